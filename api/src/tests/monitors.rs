//! Heartbeats of monitors.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::monitor::{HeartbeatUse, MonitorKind, Resume};

use super::bench::{Bench, TestResponse};

fn body() -> Value {
    json!({"monitor": {
        "version": "0.9.0", "troubles": {"pacemaker": "away\u{1b}[2J"}, "watches": ["cmp1", "cmp2"], "watching": true,
        "guests_resume": "yes", "guests_by": "/etc/nova/nova.conf:3\u{1b}", "notice_seconds": 6, "notice_by": "looks every 5 s",
    }})
}

async fn put(bench: &Bench, token: &str, path: &str, body: &Value) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench.raw("PUT", path, &headers, body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_written_in_batches_and_the_last_of_a_monitor_applies() {
    let bench = Bench::new();
    let path = "/v1/monitors/cmp1/host";
    for version in ["0.8.0", "0.9.0"] {
        let mut body = body();
        body["monitor"]["version"] = version.into();
        assert_eq!(put(&bench, "masakari_monitor", path, &body).await.status, 204);
    }
    assert_eq!(
        put(
            &bench,
            "service",
            "/v1/monitors/cmp2/process",
            &json!({"monitor": {"version": "1"}})
        )
        .await
        .status,
        204
    );
    assert!(bench.registry.rows().signatures.is_empty(), "not yet");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut written = bench.registry.rows().signatures.clone();
    written.sort_by(|one, other| one.host.cmp(&other.host));
    assert_eq!(written.len(), 2, "one of each monitor, in one go: {written:?}");
    assert_eq!(written[0].version, "0.9.0");
    assert!(
        !written[0].troubles["pacemaker"].contains('\u{1b}'),
        "it goes to terminals"
    );
    assert_eq!(written[0].watches.len(), 2);
    let guests = written[0].guests.as_ref().unwrap();
    assert_eq!(
        (guests.resume, guests.by.as_str()),
        (Resume::Yes, "/etc/nova/nova.conf:3 ")
    );
    let notice = written[0].notice.as_ref().unwrap();
    assert_eq!(
        (notice.seconds, notice.by.as_str(), notice.beside.as_str()),
        (6, "looks every 5 s", "")
    );
    assert_eq!(
        (&written[1].guests, &written[1].notice),
        (&None, &None),
        "an older monitor"
    );
    assert!(written[1].watches.is_empty() && !written[1].watching);
}

#[tokio::test(start_paused = true)]
async fn a_host_in_no_segment_gets_404_and_is_looked_up_again_later() {
    let bench = Bench::new();
    let sign = || async {
        put(&bench, "admin", "/v1/monitors/stranger/host", &body())
            .await
            .status
    };
    assert_eq!(sign().await, 204);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sign().await, 404);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(sign().await, 204, "it may have joined one");
}

/// Covers R15.
#[tokio::test(start_paused = true)]
async fn with_the_database_away_heartbeats_wait_for_five_seconds_at_most() {
    let bench = Bench::new();
    let broken = |now| {
        bench
            .registry
            .broken
            .store(now, std::sync::atomic::Ordering::SeqCst);
    };
    let sign = || async {
        put(&bench, "admin", "/v1/monitors/cmp1/host", &body())
            .await
            .status
    };
    for (pause, written) in [(3, 1), (5, 1)] {
        broken(true);
        assert_eq!(sign().await, 204);
        tokio::time::sleep(Duration::from_secs(pause)).await;
        broken(false);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let rows = bench.registry.rows().signatures.len();
        assert_eq!(rows, written, "away for {pause} s: what waits for 5 s is dropped");
    }
    assert_eq!(sign().await, 204);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        bench.registry.rows().signatures.len(),
        2,
        "the next one is written"
    );
}

/// Covers R14 and R15.
#[tokio::test(start_paused = true)]
async fn the_boot_and_the_local_disks_of_a_host_are_taken_from_a_caller_that_is_bound_to_it_alone() {
    let bench = Bench::new();
    let mut with_boot = body();
    with_boot["monitor"]["boot_id"] = "boot".into();
    with_boot["monitor"]["uptime_ms"] = 61_000.into();
    with_boot["monitor"]["local_disks"] = json!(["00000000-0000-0000-0000-000000000007"]);
    with_boot["monitor"]["shut_down"] = json!(["00000000-0000-0000-0000-000000000008"]);
    for (kind, token, body) in [
        ("host", "masakari-monitor-cmp1", &with_boot),
        ("process", "masakari-monitor-cmp1", &body()),
        ("instance", "admin", &with_boot),
    ] {
        let path = format!("/v1/monitors/cmp1/{kind}");
        assert_eq!(put(&bench, token, &path, body).await.status, 204, "{kind}");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let written = bench.registry.rows().signatures.clone();
    let heartbeat_use = |kind| {
        let one = written.iter().find(|one| one.kind == kind).unwrap();
        (one.heartbeat_use, one.boot.as_ref().map(|boot| boot.up.as_secs()))
    };
    assert_eq!(heartbeat_use(MonitorKind::Host), (HeartbeatUse::Counts, Some(61)));
    assert_eq!(
        heartbeat_use(MonitorKind::Process),
        (HeartbeatUse::NoBootId, None)
    );
    assert_eq!(
        heartbeat_use(MonitorKind::Instance),
        (HeartbeatUse::Unbound, None)
    );
    let disks = |kind| {
        let one = written.iter().find(|one| one.kind == kind).unwrap();
        one.local_disks.as_ref().map(BTreeSet::len)
    };
    assert_eq!(disks(MonitorKind::Host), Some(1));
    assert_eq!(disks(MonitorKind::Process), None, "it does not say");
    assert_eq!(disks(MonitorKind::Instance), None, "it is bound to no host");
    let shut_down = |kind| {
        let one = written.iter().find(|one| one.kind == kind).unwrap();
        one.shut_down.len()
    };
    assert_eq!(
        [MonitorKind::Host, MonitorKind::Process, MonitorKind::Instance].map(shut_down),
        [1, 0, 0]
    );
}

#[tokio::test(start_paused = true)]
async fn lost_planes_are_dated_and_the_answer_names_the_hosts_that_nova_shows_down() {
    let bench = Bench::new();
    *bench.operator_journal.down.lock().unwrap() = vec!["b", "c"];
    let heartbeat = json!({"monitor": {
        "version": "0.9.0",
        "planes": {"a": {"storage": 60}, "b": {"tenant": 5}},
        "processes_down": {"libvirtd\u{1b}": 30},
    }});
    let got = put(&bench, "masakari_monitor", "/v1/monitors/cmp1/host", &heartbeat).await;
    assert_eq!(got.status, 204);
    assert_eq!(got.header("x-tachi-down-in-nova"), Some("b"));
    let got = put(&bench, "masakari_monitor", "/v1/monitors/cmp2/host", &body()).await;
    assert_eq!(
        got.header("x-tachi-down-in-nova"),
        None,
        "it has asked of no host"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    let written = bench.registry.rows().signatures.clone();
    let one = written.iter().find(|one| one.host == "cmp1").unwrap();
    let planes = one.planes.as_ref().unwrap();
    let earlier = planes["b"]["tenant"].micros_since(planes["a"]["storage"]);
    assert_eq!(earlier, 55_000_000);
    assert_eq!(one.processes_down.keys().collect::<Vec<_>>(), ["libvirtd "]);
}

#[tokio::test]
async fn invalid_heartbeats_are_refused_with_reasons() {
    let bench = Bench::new();
    let many: Vec<String> = (0..1_001).map(|n| format!("h{n}")).collect();
    let parts: Value = (0..33)
        .map(|n| (format!("p{n}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for (path, body, status, part) in [
        (
            "/v1/monitors/cmp1/dog",
            body(),
            404,
            "valid kinds: host, process, instance, introspective",
        ),
        ("/v1/monitors/cmp1/host", json!({}), 400, "monitor"),
        ("/v1/monitors/cmp1/host", json!({"monitor": {}}), 400, "version"),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "watches": "all"}}),
            400,
            "array",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "watches": ["a b"]}}),
            400,
            "does not match",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "watches": many}}),
            400,
            "the limit is 1000",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "troubles": parts}}),
            400,
            "the limit is 32",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "planes": {"cmp1": {"storage": "long"}}}}),
            400,
            "planes",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "planes": {"cmp1": (0..9).map(|n| (n.to_string(), 0)).collect::<std::collections::BTreeMap<_, _>>()}}}),
            400,
            "the limit is 8",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "processes_down": ["libvirtd"]}}),
            400,
            "object",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "guests_resume": "perhaps"}}),
            400,
            "'unknown'",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "notice_seconds": -1}}),
            400,
            "notice_seconds",
        ),
        (
            "/v1/monitors/cmp1/host",
            json!({"monitor": {"version": "1", "more": 1}}),
            400,
            "more",
        ),
    ] {
        let got = put(&bench, "admin", path, &body).await;
        assert_eq!(got.status, status, "{path} {body}");
        assert!(got.text.contains(part), "{part}: {}", got.text);
    }
}

/// Covers T1.
#[tokio::test]
async fn a_monitor_sends_heartbeats_for_its_own_host_only() {
    let bench = Bench::new();
    for (token, status) in [
        ("admin", 204),
        ("masakari_monitor", 204),
        ("service", 204),
        ("member", 403),
        ("reader", 403),
    ] {
        assert_eq!(
            put(&bench, token, "/v1/monitors/cmp1/host", &body()).await.status,
            status,
            "{token}"
        );
    }
}
