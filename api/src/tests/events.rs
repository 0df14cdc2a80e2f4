//! Section 5.5: events of requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use tachi_domain::event::{Event, EventSnapshot, Priority, Subject};
use tachi_engine::ports::Events;
use tachi_testkit::EventRecorder;

use super::bench::{Bench, PROJECT};

fn bench() -> (Bench, Arc<EventRecorder>) {
    let recorder = Arc::<EventRecorder>::default();
    let events: Arc<dyn Events> = recorder.clone();
    let bench = Bench::with(|mut options| {
        options.events = events;
        options
    });
    (bench, recorder)
}

fn host(name: &str) -> serde_json::Value {
    json!({"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}})
}

fn report(host: &str) -> serde_json::Value {
    json!({"notification": {
        "type": "COMPUTE_HOST", "hostname": host, "generated_time": "2026-11-20T12:00:00.000000",
        "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}
    }})
}

#[tokio::test]
async fn every_change_publishes_a_start_and_an_end_event() {
    let (bench, recorder) = bench();
    let segment = bench.segment("s1").await;
    assert_eq!(recorder.names(), ["segment.create.start", "segment.create.end"]);
    bench
        .send("PUT", &segment, json!({"segment": {"description": "racks"}}))
        .await;
    assert_eq!(recorder.names(), ["segment.update.start", "segment.update.end"]);
    let hosts = format!("{segment}/hosts");
    let made = bench.send("POST", &hosts, host("h1")).await.root("host");
    assert_eq!(recorder.names(), ["host.create.start", "host.create.end"]);
    let member = format!("{hosts}/{}", made["uuid"].as_str().unwrap());
    bench
        .send("PUT", &member, json!({"host": {"reserved": true}}))
        .await;
    assert_eq!(recorder.names(), ["host.update.start", "host.update.end"]);
    assert_eq!(bench.delete(&member).await.status, 204);
    assert_eq!(recorder.names(), ["host.delete.start", "host.delete.end"]);
    assert_eq!(bench.delete(&segment).await.status, 204);
    assert_eq!(recorder.names(), ["segment.delete.start", "segment.delete.end"]);
}

#[tokio::test]
async fn an_accepted_notification_is_published_with_its_id() {
    let (bench, recorder) = bench();
    let segment = bench.segment("s1").await;
    bench.send("POST", &format!("{segment}/hosts"), host("h1")).await;
    recorder.emitted();
    let got = bench.send("POST", "/v1/notifications", report("h1")).await;
    let id = got.root("notification")["notification_uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let emitted = recorder.emitted();
    let [start, end] = emitted.as_slice() else {
        panic!("{emitted:?}");
    };
    let Subject::Notification(_, EventSnapshot::Entity(done)) = &end.subject else {
        panic!("{emitted:?}");
    };
    assert_eq!(done.id.to_string(), id);
    assert!(start.starts_creation(), "at its start the event has no id");
    // A repeated report is a duplicate without an event.
    assert_eq!(
        bench.send("POST", "/v1/notifications", report("h1")).await.status,
        409
    );
    assert_eq!(recorder.names(), Vec::<String>::new());
}

/// Covers EW35.
#[tokio::test]
async fn a_failed_change_is_published_with_its_reason() {
    let (bench, recorder) = bench();
    let segment = bench.segment("s1").await;
    bench.segment("s2").await;
    let hosts = format!("{segment}/hosts");
    bench.send("POST", &hosts, host("h1")).await;
    recorder.emitted();
    let taken = json!({"segment": {"name": "s2"}});
    assert_eq!(bench.send("PUT", &segment, taken).await.status, 409);
    let emitted = recorder.emitted();
    let names: Vec<String> = emitted.iter().map(Event::name).collect();
    assert_eq!(names, ["segment.update.start", "segment.update.error"]);
    assert_eq!(emitted[1].priority(), Priority::Error);
    let failure = emitted[1].failure.as_ref().unwrap();
    assert_eq!(failure.exception, "FailoverSegmentExists");
    assert_eq!(failure.message, "Failover segment with name s2 already exists.");
    let Subject::Segment(_, EventSnapshot::Entity(entity)) = &emitted[1].subject else {
        panic!("{emitted:?}");
    };
    assert_eq!(entity.name, "s2", "as it would have been");
    assert_eq!(bench.send("POST", &hosts, host("h1")).await.status, 409);
    assert_eq!(recorder.names(), ["host.create.start", "host.create.error"]);
    bench.registry.broken.store(true, Ordering::SeqCst);
    assert_eq!(
        bench.send("POST", "/v1/notifications", report("h1")).await.status,
        500
    );
    let emitted = recorder.emitted();
    assert_eq!(emitted[1].name(), "notification.create.error");
    assert_eq!(emitted[1].failure.as_ref().unwrap().exception, "DBError");
}

#[tokio::test]
async fn early_refusals_publish_no_event() {
    let (bench, recorder) = bench();
    let segment = bench.segment("s1").await;
    let hosts = format!("{segment}/hosts");
    bench.send("POST", &hosts, host("h1")).await;
    bench.send("POST", "/v1/notifications", report("h1")).await;
    recorder.emitted();
    let nobody = "/v1/segments/6128798e-1111-4222-8333-0123456789ab";
    for (name, status, got) in [
        ("a list", 200, bench.get("/v1/segments").await),
        ("in use", 409, bench.delete(&segment).await),
        ("no such segment", 404, bench.delete(nobody).await),
        (
            "a bad body",
            400,
            bench.send("POST", &hosts, json!({"host": {}})).await,
        ),
        (
            "no such machine",
            400,
            bench.send("POST", &hosts, host("unknown-1")).await,
        ),
        (
            "no such host",
            400,
            bench.send("POST", "/v1/notifications", report("h9")).await,
        ),
    ] {
        assert_eq!(got.status, status, "{name}: {}", got.text);
        assert_eq!(recorder.names(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn an_event_has_the_request_ids_and_the_user() {
    const GLOBAL: &str = "req-6128798e-1111-4222-8333-0123456789ab";
    let (bench, recorder) = bench();
    let body = json!({"segment": {"name": "s", "service_type": "COMPUTE", "recovery_method": "auto"}});
    let headers = [
        ("x-auth-token", "admin"),
        ("content-type", "application/json"),
        ("x-openstack-request-id", GLOBAL),
    ];
    let got = bench
        .raw("POST", "/v1/segments", &headers, body.to_string())
        .await;
    assert_eq!(got.status, 201, "{}", got.text);
    for event in recorder.emitted() {
        let cause = &event.cause;
        assert_eq!(
            Some(cause.request_id.as_str()),
            got.header("x-openstack-request-id")
        );
        assert_eq!(cause.global_request_id.as_deref(), Some(GLOBAL));
        assert_eq!(cause.user_id.as_deref(), Some("admin-user"));
        assert_eq!(cause.project_id.as_deref(), Some(PROJECT));
        assert_eq!(cause.roles, ["admin"]);
        assert!(cause.is_admin);
    }
}
