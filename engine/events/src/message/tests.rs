//! Compares our messages with those of upstream's code (`tests/upstream.json`, written by `tests/upstream/events.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod};
use tachi_domain::entity::vmove::{VmoveState, VmoveStatus};
use tachi_domain::entity::{Host, Notification, Segment, Stamps};
use tachi_domain::event::{
    Cause, Change, EventSnapshot, FailureCause, HandlingMethod, Phase, RecoveryEvent, RecoverySnapshot,
    Subject, ThawCause, VmoveSnapshot,
};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{NotificationId, RecoveryId, ServerId, Timestamp, VmoveId};

use super::*;

/// 2026-11-20 12:30:15.25, the time in upstream's messages.
const NOW: Timestamp = Timestamp::from_micros(1_795_177_815_250_000);

fn upstream() -> Value {
    serde_json::from_str(include_str!("../../tests/upstream.json")).unwrap()
}

/// Returns the inner messages of upstream by name; the last one of a name.
fn theirs() -> &'static BTreeMap<String, Value> {
    static THEIRS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
        let sent = upstream()["messagingv2"].as_array().unwrap().clone();
        sent.into_iter()
            .map(|one| {
                let inner = one["body"]["oslo.message"].clone();
                (inner["event_type"].as_str().unwrap().to_owned(), inner)
            })
            .collect()
    });
    &THEIRS
}

fn cause() -> Arc<Cause> {
    Arc::new(Cause {
        request_id: "req-6128798e-1111-4222-8333-0123456789ab".into(),
        global_request_id: Some("req-7128798e-1111-4222-8333-0123456789ab".into()),
        user_id: Some("5f2e1d4c".into()),
        user_name: Some("operator".into()),
        project_id: Some("8a7b6c5d".into()),
        roles: vec!["admin".into()],
        is_admin: true,
        ..Cause::default()
    })
}

fn uuid_in<T: std::str::FromStr>(value: &Value) -> T
where
    T::Err: std::fmt::Debug,
{
    value.as_str().unwrap().parse().unwrap()
}

fn segment() -> Segment {
    let theirs = &theirs()["segment.update.end"]["payload"]["masakari_object.data"];
    Segment {
        row: 1,
        id: uuid_in(&theirs["uuid"]),
        name: "racks".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        stamps: Stamps {
            created_at: NOW.whole_seconds(),
            updated_at: Some(NOW.whole_seconds()),
        },
    }
}

fn host() -> Host {
    let theirs = &theirs()["host.update.end"]["payload"]["masakari_object.data"];
    Host {
        row: 1,
        id: uuid_in(&theirs["uuid"]),
        name: "compute-1".into(),
        segment: segment(),
        kind: "COMPUTE".into(),
        control_attributes: "SSH".into(),
        reserved: false,
        on_maintenance: true,
        stamps: segment().stamps,
    }
}

fn notification() -> Notification {
    let theirs = &theirs()["notification.process.start"]["payload"]["masakari_object.data"];
    let payload = [
        ("event", "STOPPED"),
        ("cluster_status", "OFFLINE"),
        ("host_status", "NORMAL"),
    ];
    Notification {
        row: 1,
        id: uuid_in(&theirs["notification_uuid"]),
        kind: NotificationType::ComputeHost,
        generated_time: NOW,
        source_host: host().id,
        segment: None,
        payload: payload.map(|(key, value)| (key.into(), value.into())).into(),
        status: NotificationStatus::New,
        message: None,
        reporter: None,
        stamps: segment().stamps,
    }
}

fn failure() -> FailureCause {
    FailureCause {
        exception: "HostRecoveryFailureException".into(),
        message: "no valid host".into(),
        module: "tachi.engine".into(),
        function: "EvacuateInstancesTask".into(),
        trace: "EvacuateInstancesTask: no valid host".into(),
    }
}

fn event(subject: Subject, phase: Phase) -> Event {
    Event {
        at: NOW,
        cause: cause(),
        subject,
        phase: Some(phase),
        failure: (phase == Phase::Error).then(failure),
    }
}

/// Returns every event of upstream's, with the same subjects.
fn ours() -> Vec<Event> {
    let (segment, host, notification) = (segment(), host(), notification());
    let described = Segment {
        description: Some("two racks".into()),
        ..segment.clone()
    };
    let new = NewSegment {
        name: described.name.clone(),
        service_type: described.service_type.clone(),
        enabled: described.enabled,
        description: described.description.clone(),
        recovery_method: described.recovery_method,
    };
    let described = EventSnapshot::Entity(described);
    let plain = EventSnapshot::Entity(segment);
    let fresh = EventSnapshot::Entity(Host {
        on_maintenance: false,
        ..host.clone()
    });
    let kept = EventSnapshot::Entity(host);
    let report = EventSnapshot::Entity(notification);
    let mut events = vec![
        event(Subject::Segment(Change::Create, described.clone()), Phase::Start),
        event(Subject::Segment(Change::Create, described), Phase::End),
        event(
            Subject::Segment(Change::Create, EventSnapshot::New(new)),
            Phase::Error,
        ),
        event(Subject::Host(Change::Create, fresh.clone()), Phase::Start),
        event(Subject::Host(Change::Create, fresh), Phase::End),
        event(
            Subject::Notification(HandlingMethod::Create, report.clone()),
            Phase::Start,
        ),
        event(
            Subject::Notification(HandlingMethod::Create, report.clone()),
            Phase::End,
        ),
        event(
            Subject::Notification(HandlingMethod::Process, report.clone()),
            Phase::Start,
        ),
        event(
            Subject::Notification(HandlingMethod::Process, report.clone()),
            Phase::End,
        ),
        event(
            Subject::Notification(HandlingMethod::Process, report),
            Phase::Error,
        ),
    ];
    for change in [Change::Update, Change::Delete] {
        for phase in [Phase::Start, Phase::End] {
            events.push(event(Subject::Segment(change, plain.clone()), phase));
            events.push(event(Subject::Host(change, kept.clone()), phase));
        }
    }
    events
}

/// Returns the message inside the sent envelope.
fn sent(event: &Event) -> Value {
    let body = Message::of(event, "controller").body(Format::Enveloped);
    let outer: Value = serde_json::from_slice(&body).unwrap();
    let keys: BTreeSet<&String> = outer.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_eq!(outer["oslo.version"], "2.0");
    serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn we_send_every_event_of_upstream() {
    let ours: BTreeSet<String> = ours().iter().map(Event::name).collect();
    let theirs: BTreeSet<String> = theirs().keys().cloned().collect();
    assert_eq!(ours, theirs);
}

#[test]
fn a_message_has_the_fields_and_forms_of_upstreams() {
    let theirs = theirs();
    for event in ours() {
        let name = event.name();
        let (sent, theirs) = (sent(&event), &theirs[&name]);
        assert_eq!(keys(&sent), keys(theirs), "{name}");
        for key in keys(theirs) {
            match key {
                "payload" => {}
                // Random; of the same form.
                "message_id" | "_unique_id" => {
                    let (sent, theirs) = (sent[key].as_str().unwrap(), theirs[key].as_str().unwrap());
                    let id = Uuid::parse_str(sent).unwrap();
                    assert_eq!(sent.len(), theirs.len(), "{name} {key}");
                    assert_eq!(id.get_version_num(), 4, "{name} {key}");
                }
                // Masakari reads the name from Keystone; our messages contain only ids.
                "_context_project_name" => assert_eq!(sent[key], Value::Null),
                _ => assert_eq!(sent[key], theirs[key], "{name} {key}"),
            }
        }
    }
}

#[test]
fn a_payload_equals_upstreams_except_for_its_defects() {
    let theirs = theirs();
    for event in ours() {
        let name = event.name();
        let mut sent = sent(&event)["payload"].clone();
        let mut theirs = theirs[&name]["payload"].clone();
        let (data, their_data) = (
            sent["masakari_object.data"].as_object_mut().unwrap(),
            theirs["masakari_object.data"].as_object_mut().unwrap(),
        );
        if name.ends_with(".create.end") {
            // Upstream sends some messages before it knows the object's ids.
            let id = ["uuid", "notification_uuid"]
                .iter()
                .find_map(|key| data.remove(*key));
            assert!(id.is_some() && data.remove("id").is_some(), "{name}");
        }
        if event.failure.is_some() {
            let (fault, their_fault) = (data.remove("fault").unwrap(), their_data.remove("fault").unwrap());
            assert_eq!(keys(&fault), keys(&their_fault));
            let (fault, their_fault) = (
                &fault["masakari_object.data"],
                &their_fault["masakari_object.data"],
            );
            assert_eq!(keys(fault), keys(their_fault));
            // Upstream's engine sends the class of a string, and no trace.
            assert_ne!(fault["exception"], "str");
            assert!(fault["traceback"].as_str().unwrap().contains("no valid host"));
        }
        assert_eq!(sent, theirs, "{name}");
    }
}

#[test]
fn the_bare_form_is_upstreams() {
    let theirs = upstream()["messaging"][0]["body"].clone();
    let event = event(
        Subject::Notification(HandlingMethod::Process, EventSnapshot::Entity(notification())),
        Phase::End,
    );
    let body = Message::of(&event, "controller").body(Format::Bare);
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(keys(&sent), keys(&theirs));
    assert_eq!(sent["payload"], theirs["payload"]);
}

/// Covers EW35.
#[test]
fn instances_and_recoveries_have_separate_events() {
    let vmove = VmoveSnapshot {
        notification: NotificationId(Uuid::from_u128(2)),
        recovery: RecoveryId(Uuid::from_u128(3)),
        server: ServerId(Uuid::from_u128(4)),
        state: VmoveState {
            id: VmoveId(Uuid::from_u128(1)),
            name: "db-1".into(),
            source_host: "compute-1".into(),
            dest_host: None,
            start_time: Some(NOW),
            end_time: None,
            status: VmoveStatus::Ongoing,
            message: None,
        },
    };
    let sent_vmove = sent(&event(Subject::Vmove(vmove), Phase::Start));
    assert_eq!(sent_vmove["event_type"], "vmove.process.start");
    let payload = &sent_vmove["payload"];
    assert_eq!(payload["masakari_object.namespace"], "tachi");
    assert_eq!(payload["masakari_object.name"], "VMovePayload");
    let data = &payload["masakari_object.data"];
    assert_eq!(data["start_time"], "2026-11-20T12:30:15Z");
    assert_eq!(
        (&data["dest_host"], &data["end_time"], &data["fault"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    let recovery = RecoverySnapshot {
        id: RecoveryId(Uuid::from_u128(3)),
        notification: NotificationId(Uuid::from_u128(2)),
        kind: RecoveryKind::Host,
        host: host().id,
        host_name: Some("compute-1".into()),
        segment: Some(segment().id),
        recovery_method: Some(RecoveryMethod::Auto),
        engine: "controller:1:ab".into(),
        status: NotificationStatus::Running,
        dismissed: false,
        message: None,
        moves: [(VmoveStatus::Ongoing, 2)].into(),
    };
    let held = Event {
        phase: None,
        failure: Some(failure()),
        ..event(Subject::Recovery(RecoveryEvent::Hold, recovery), Phase::Start)
    };
    let sent = sent(&held);
    assert_eq!(sent["event_type"], "recovery.hold");
    assert_eq!(sent["priority"], "ERROR");
    let data = &sent["payload"]["masakari_object.data"];
    let counts = json!({ "pending": 0, "ongoing": 2, "ignored": 0, "failed": 0, "succeeded": 0 });
    assert_eq!(data["vmoves"], counts);
    assert_eq!(data["type"], "host");
}

#[test]
fn a_freeze_event_contains_its_end() {
    let freeze = Freeze {
        number: 1,
        scope: FreezeScope::Host,
        name: "compute-1".into(),
        until: NOW,
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    };
    let soon = Event {
        phase: None,
        ..event(Subject::Freeze(ThawCause::EndsSoon, freeze), Phase::Start)
    };
    let sent = sent(&soon);
    assert_eq!(sent["event_type"], "freeze.ends_soon");
    let payload = &sent["payload"];
    assert_eq!(payload["masakari_object.namespace"], "tachi");
    assert_eq!(payload["masakari_object.name"], "FreezePayload");
    let data = json!({
        "scope": "host",
        "name": "compute-1",
        "until": "2026-11-20T12:30:15Z",
        "by": "alice",
        "reason": "firmware",
        "fault": null,
    });
    assert_eq!(payload["masakari_object.data"], data);
}

#[test]
fn no_message_contains_a_token() {
    for event in ours() {
        assert_eq!(sent(&event)["_context_auth_token"], Value::Null);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_arrives_unchanged(name in "\\PC*", description in any::<String>(), value in any::<String>()) {
        let segment = Segment {
            name: name.clone(),
            description: Some(description.clone()),
            ..segment()
        };
        let sent_message = sent(&event(Subject::Segment(Change::Create, EventSnapshot::Entity(segment)), Phase::End));
        let data = &sent_message["payload"]["masakari_object.data"];
        prop_assert_eq!(data["name"].as_str(), Some(name.as_str()));
        prop_assert_eq!(data["description"].as_str(), Some(description.as_str()));
        let report = Notification {
            payload: [(value.clone(), value.clone())].into(),
            ..notification()
        };
        let sent_message = sent(&event(Subject::Notification(HandlingMethod::Create, EventSnapshot::Entity(report)), Phase::End));
        let payload = &sent_message["payload"]["masakari_object.data"]["payload"];
        prop_assert_eq!(payload[&value].as_str(), Some(value.as_str()));
    }
}
