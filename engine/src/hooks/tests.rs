use std::collections::BTreeMap;

use tachi_domain::entity::Stamps;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{RecoveryMethod, Segment};
use tachi_domain::hooks::{Defaults, Hook, Phase};
use tachi_domain::{HostId, NotificationId, SegmentId, ServerId};
use uuid::Uuid;

use super::*;
use crate::ports::hooks::NoHooks;

fn document_context() -> DocumentContext {
    let stamps = Stamps {
        created_at: Timestamp::from_micros(0),
        updated_at: None,
    };
    let segment = Segment {
        row: 1,
        id: SegmentId(Uuid::from_u128(1)),
        name: "one\"; rm -rf /".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        stamps,
    };
    let host = Host {
        row: 1,
        id: HostId(Uuid::from_u128(2)),
        name: "compute-1".into(),
        segment,
        kind: "COMPUTE".into(),
        control_attributes: "SSH".into(),
        reserved: false,
        on_maintenance: false,
        stamps,
    };
    let payload: BTreeMap<String, String> = [("event".to_owned(), "STOPPED".to_owned())].into();
    DocumentContext {
        recovery: RecoveryId(Uuid::from_u128(4)),
        kind: RecoveryKind::Host,
        notification: Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(3)),
            kind: NotificationType::ComputeHost,
            generated_time: Timestamp::from_micros(1_700_000_000_500_000),
            source_host: host.id,
            segment: None,
            payload,
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps,
        },
        host: Some(host),
        engine: "c1:7:x".into(),
    }
}

fn call() -> HookCall {
    HookCall {
        phase: Phase::Main,
        number: 1,
        attempt: 2,
        hook: Hook::parse("exec:/x", Defaults::default()).unwrap(),
        instances: Some(vec![HookInstance {
            id: ServerId(Uuid::from_u128(9)),
            name: Some("web".into()),
            status: "pending",
            dest_host: None,
            message: None,
        }]),
        proof: Some("compute-1 is off".into()),
    }
}

#[test]
fn a_hook_gets_a_versioned_document() {
    let run = document_context().run(&call());
    let document: Value = serde_json::from_str(&run.document).unwrap();
    let expected = json!({
        "version": 1,
        "recovery": "00000000-0000-0000-0000-000000000004",
        "kind": "host",
        "phase": "main",
        "hook": 2,
        "attempt": 2,
        "engine": "c1:7:x",
        "notification": {
            "notification_uuid": "00000000-0000-0000-0000-000000000003",
            "type": "COMPUTE_HOST",
            "generated_time": "2023-11-14T22:13:20.500Z",
            "payload": { "event": "STOPPED" },
        },
        "host": {
            "uuid": "00000000-0000-0000-0000-000000000002",
            "name": "compute-1",
            "type": "COMPUTE",
            "control_attributes": "SSH",
            "reserved": false,
        },
        "segment": {
            "uuid": "00000000-0000-0000-0000-000000000001",
            "name": "one\"; rm -rf /",
            "service_type": "COMPUTE",
            "recovery_method": "auto",
        },
        "proof": "compute-1 is off",
        "instances": [{
            "uuid": "00000000-0000-0000-0000-000000000009",
            "name": "web",
            "status": "pending",
            "dest_host": null,
            "message": null,
        }],
    });
    assert_eq!(document, expected);
    assert_eq!(run.key, "00000000-0000-0000-0000-000000000004-main-2");
}

#[test]
fn the_key_of_a_repetition_is_the_same() {
    let first = HookCall { attempt: 1, ..call() };
    assert_eq!(
        document_context().run(&first).key,
        document_context().run(&call()).key
    );
}

#[tokio::test]
async fn an_engine_without_hooks_fails_them() {
    let observation = run(Box::new(call()), &document_context(), &NoHooks).await;
    assert!(
        matches!(observation, Observation::Hook { attempt: 2, .. }),
        "{observation:?}"
    );
}
