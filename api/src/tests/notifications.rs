//! Sections 2.7 and 5.1: notifications.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::Timestamp;
use tachi_domain::entity::TaskProgress;
use tachi_domain::entity::progress::ProgressDetail;

use super::bench::{Bench, PROJECT, fault, notification};

async fn bench_with_host() -> Bench {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    bench.host(&segment, "h").await;
    bench
}

#[tokio::test]
async fn accepted_shown_and_listed_in_both_path_forms() {
    for prefix in ["/v1".to_owned(), format!("/v1/{PROJECT}")] {
        let bench = bench_with_host().await;
        let collection = format!("{prefix}/notifications");
        let payload = json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"});
        let sent = notification("COMPUTE_HOST", "h", "2026-11-20T06:15:08.123456", &payload);
        let got = bench.send_at("1.0", "POST", &collection, sent).await;
        assert_eq!(got.status, 202);
        assert_eq!(
            bench.notifications_sent.0.load(Ordering::SeqCst),
            1,
            "engines are woken"
        );
        let made = got.root("notification");
        let (host, segment) = {
            let rows = bench.registry.rows();
            (rows.hosts[0].id.to_string(), rows.segments[0].id.to_string())
        };
        let uuid = made["notification_uuid"].as_str().unwrap().to_owned();
        let expected = json!({
            "id": 3, "notification_uuid": uuid, "generated_time": "2026-11-20T06:15:08.123456",
            "source_host_uuid": host, "type": "COMPUTE_HOST", "payload": payload, "status": "new",
            "failover_segment_uuid": segment, "message": null, "created_at": "2026-11-20T06:15:08.000000",
            "updated_at": null, "deleted_at": null, "deleted": false,
        });
        assert_eq!(made, expected);
        let member = format!("{collection}/{uuid}");
        assert_eq!(bench.get_at("1.0", &member).await.root("notification"), expected);
        assert_eq!(
            bench.get_at("1.3", &collection).await.root("notifications"),
            json!([expected])
        );
        for version in ["1.1", "1.3"] {
            let shown = bench.get_at(version, &member).await.root("notification");
            assert_eq!(shown["recovery_workflow_details"], json!([]), "{version}");
        }
    }
}

#[tokio::test]
async fn the_schema_of_create() {
    let bench = bench_with_host().await;
    let good = json!({"event": "STOPPED"});
    let with = |key: &str, value: Value| {
        let mut sent = notification("COMPUTE_HOST", "h", "2026-01-01", &good);
        sent["notification"][key] = value;
        sent
    };
    let cases = [
        (
            "nothing",
            json!({"notification": {}}),
            "'type' is a required property",
        ),
        (
            "type in lower case",
            with("type", json!("vm")),
            "'vm' is not one of ['COMPUTE_HOST', 'VM', 'PROCESS']",
        ),
        (
            "hostname with a slash",
            with("hostname", json!("a/b")),
            "'a/b' does not match",
        ),
        (
            "time",
            with("generated_time", json!("yesterday")),
            "'yesterday' is not a 'date-time'",
        ),
        (
            "payload is a text",
            with("payload", json!("x")),
            "'x' is not of type 'object'",
        ),
        (
            "payload value",
            with("payload", json!({"event": 1})),
            "1 is not of type 'string'",
        ),
        (
            "payload value, long",
            with("payload", json!({"event": "x".repeat(256)})),
            "is too long",
        ),
        (
            "payload key",
            with("payload", json!({"a/b": "x"})),
            "'a/b' does not match",
        ),
        (
            "payload key, empty",
            with("payload", json!({"": "x"})),
            "'' does not match",
        ),
        (
            "unknown key",
            with("status", json!("new")),
            "'status' was unexpected",
        ),
    ];
    for (name, sent, text) in cases {
        let (status, _, message) = bench.send("POST", "/v1/notifications", sent).await.fault();
        assert_eq!(status, 400, "{name}");
        assert!(message.contains(text), "{name}: {message}");
    }
    assert_eq!(bench.notifications_sent.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn payloads_by_type() {
    let server = "6128798e-1111-4222-8333-0123456789ab";
    let cases = [
        ("COMPUTE_HOST", json!({"event": "STARTED"}), Ok(())),
        (
            "COMPUTE_HOST",
            json!({"event": "STOPPED", "host_status": "UNKNOWN"}),
            Ok(()),
        ),
        (
            "COMPUTE_HOST",
            json!({"event": "STOPPED", "cluster_status": "ONLINE"}),
            Ok(()),
        ),
        ("COMPUTE_HOST", json!({}), Err("'event' is a required property")),
        (
            "COMPUTE_HOST",
            json!({"event": "stopped"}),
            Err("'stopped' is not one of ['STARTED', 'STOPPED']"),
        ),
        (
            "COMPUTE_HOST",
            json!({"event": "STOPPED", "host_status": "normal"}),
            Err("'normal' is not one of"),
        ),
        (
            "COMPUTE_HOST",
            json!({"event": "STOPPED", "cluster_status": ""}),
            Err("'' is not one of"),
        ),
        (
            "COMPUTE_HOST",
            json!({"event": "STOPPED", "x": "y"}),
            Err("'x' was unexpected"),
        ),
        (
            "PROCESS",
            json!({"event": "STOPPED", "process_name": "nova-compute"}),
            Ok(()),
        ),
        (
            "PROCESS",
            json!({"event": "STOPPED"}),
            Err("'process_name' is a required property"),
        ),
        (
            "PROCESS",
            json!({"event": "STOPPED", "process_name": ""}),
            Err("'' should be non-empty"),
        ),
        (
            "PROCESS",
            json!({"event": "stopped", "process_name": "x"}),
            Err("'stopped' is not one of"),
        ),
        (
            "VM",
            json!({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED", "instance_uuid": server}),
            Ok(()),
        ),
        (
            "VM",
            json!({"event": "LIFECYCLE", "instance_uuid": server}),
            Err("'vir_domain_event' is a required property"),
        ),
        (
            "VM",
            json!({"event": "X", "vir_domain_event": "Y", "instance_uuid": "vm1"}),
            Err("'vm1' is not a 'uuid'"),
        ),
        (
            "VM",
            json!({"event": "", "vir_domain_event": "Y", "instance_uuid": server}),
            Err("'' should be non-empty"),
        ),
    ];
    for (kind, payload, expected) in cases {
        let bench = bench_with_host().await;
        let sent = notification(kind, "h", "2026-01-01", &payload);
        let got = bench.send("POST", "/v1/notifications", sent).await;
        match expected {
            Ok(()) => assert_eq!(got.status, 202, "{kind} {payload}: {}", got.text),
            Err(text) => {
                let (status, _, message) = got.fault();
                assert_eq!(status, 400, "{kind} {payload}");
                assert!(message.contains(text), "{kind} {payload}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn refusals() {
    let bench = bench_with_host().await;
    let got = bench.notify("nobody", "2026-01-01").await;
    assert_eq!(
        got.fault(),
        fault(400, "badRequest", "Host with name nobody could not be found.")
    );
    assert_eq!(bench.notify("h", "2026-01-01").await.status, 202);
    let got = bench.notify("h", "2026-01-01").await;
    let text = "Notification received from host h of type COMPUTE_HOST is duplicate.";
    assert_eq!(got.fault(), fault(409, "conflictingRequest", text));
    bench.registry.rows().hosts[0].on_maintenance = true;
    let got = bench.notify("h", "2026-01-02").await;
    let text = "Notification received from host h of type 'COMPUTE_HOST' is ignored as the host is already under \
                maintenance.";
    assert_eq!(got.fault(), fault(409, "conflictingRequest", text));
    assert_eq!(
        bench.notifications_sent.0.load(Ordering::SeqCst),
        1,
        "only what was accepted wakes engines"
    );
}

#[tokio::test]
async fn the_duplicate_window_is_the_options() {
    for (window, status) in [(180, 409), (60, 202)] {
        let bench = Bench::with(|mut options| {
            options.duplicate_window_seconds = window;
            options
        });
        let segment = bench.segment("s").await;
        bench.host(&segment, "h").await;
        bench.notify("h", "2026-01-01T00:00:00").await;
        assert_eq!(
            bench.notify("h", "2026-01-01T00:01:01").await.status,
            status,
            "{window}"
        );
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let bench = bench_with_host().await;
    for day in 1..=3 {
        bench.notify("h", &format!("2026-01-0{day}")).await;
    }
    let host = bench.registry.rows().hosts[0].id;
    let since = "generated-since";
    let cases = [
        (String::new(), 3),
        ("status=new".to_owned(), 3),
        ("status=bogus".to_owned(), 0),
        ("type=COMPUTE_HOST".to_owned(), 3),
        ("type=VM".to_owned(), 0),
        (format!("source_host_uuid={host}"), 3),
        ("source_host_uuid=x".to_owned(), 0),
        (format!("{since}=2026-01-02"), 2),
        (format!("{since}=2026-01-02T01:00:00%2B01:00"), 2),
        ("generated_since=2026-01-03".to_owned(), 3),
        ("sort_key=uuid&limit=1".to_owned(), 1),
    ];
    for (query, expected) in cases {
        let got = bench.get(&format!("/v1/notifications?{query}")).await;
        assert_eq!(
            got.root("notifications").as_array().unwrap().len(),
            expected,
            "{query}"
        );
    }
    for bad in ["x", "", "2026-01-02T01:00:00+01:00"] {
        let got = bench.get(&format!("/v1/notifications?{since}={bad}")).await;
        assert_eq!(
            got.fault(),
            fault(400, "badRequest", "Invalid generated-since value"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn unknown_notifications() {
    let bench = bench_with_host().await;
    for id in ["x", "6128798e-1111-4222-8333-0123456789ab"] {
        let got = bench.get(&format!("/v1/notifications/{id}")).await;
        assert_eq!(
            got.fault(),
            fault(404, "itemNotFound", &format!("No notification with id {id}."))
        );
    }
}

#[tokio::test]
async fn progress() {
    let bench = bench_with_host().await;
    let uuid = bench.notify("h", "2026-01-01").await.root("notification")["notification_uuid"].clone();
    let detail = |micros, progress, message: &str| ProgressDetail {
        at: Timestamp::from_micros(micros),
        progress,
        message: message.to_owned(),
    };
    bench.registry.rows().progress = vec![TaskProgress {
        name: "EvacuateInstancesTask".to_owned(),
        progress: 1.0,
        state: "SUCCESS".to_owned(),
        details: vec![
            detail(1_551_966_868_842_031, 0.0, "begins"),
            detail(1_551_966_874_000_000, 1.0, "done"),
        ],
    }];
    let path = format!("/v1/notifications/{}", uuid.as_str().unwrap());
    let shown = bench.get_at("1.1", &path).await.root("notification");
    let expected = json!([{
        "name": "EvacuateInstancesTask", "progress": 1.0, "state": "SUCCESS",
        "progress_details": [
            {"timestamp": "2019-03-07 13:54:28.842031", "progress": "0.0", "message": "begins"},
            {"timestamp": "2019-03-07 13:54:34", "progress": "1.0", "message": "done"},
        ],
    }]);
    assert_eq!(shown["recovery_workflow_details"], expected);
    assert!(
        bench
            .get_at("1.0", &path)
            .await
            .root("notification")
            .get("recovery_workflow_details")
            .is_none()
    );
}
