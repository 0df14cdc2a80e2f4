//! Monitors that are bound to their host, by the real API and the real engine: their heartbeats contradict a report that the host is off.

use std::time::Duration;

use serde_json::json;
use tachi_domain::entity::notification::NotificationStatus;

use super::support::{Api, Harness, json as printed, quick_region, until};

const HOST: &str = "compute-001";
/// Heartbeats contradict a report only when they are received more than 80 s after its date.
const LIMIT: Duration = Duration::from_secs(240);

fn append(harness: &Harness, text: &str) {
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    std::fs::write(harness.conf(), conf + text).unwrap();
}

/// Sends a heartbeat of each of the three monitors of the host, with this uptime.
async fn beat(monitors: &Api, seconds: u64) {
    for kind in ["host", "process", "instance"] {
        let heartbeat = json!({
            "version": "test", "watching": false, "boot_id": "8f4d7e0e-0000-4000-8000-000000000001", "uptime_ms": seconds * 1_000,
        });
        assert_eq!(monitors.send_heartbeat_with(HOST, kind, heartbeat).await, 204);
    }
}

/// nova-compute is stopped for an upgrade, the guests keep running, and a control node reports NORMAL without evidence.
/// Covers R15.
#[tokio::test(flavor = "multi_thread")]
async fn slow_a_host_with_continued_monitor_heartbeats_is_not_evacuated_on_a_bare_normal() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    let external = "[fencing]\nmode = external\nnormal_without_evidence = wait\nheartbeat_stale_after = 5\n";
    std::fs::write(harness.conf(), conf.replace("[fencing]\n", external)).unwrap();
    append(&harness, "[DEFAULT]\nwait_period_after_service_update = 25\n");
    let (_api, _engine) = (harness.spawn("api"), harness.spawn("engine"));
    let monitors = harness.api_of_monitor(HOST).await;
    beat(&monitors, 1_000).await;
    until("the heartbeats to be written", LIMIT, async || {
        let listed = printed(&harness, &["monitor", "list"]);
        let counts = |one: &serde_json::Value| one["heartbeat_use"] == "counts";
        listed
            .as_array()
            .is_some_and(|all| all.len() == 3 && all.iter().all(counts))
    })
    .await;
    harness.sandbox.region().faults().agent_stop(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let began = std::time::Instant::now();
    let mut hold = String::new();
    until("the recovery to be on hold", LIMIT, async || {
        beat(&monitors, 1_010 + began.elapsed().as_secs()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        hold = printed(&harness, &["recovery", "list", "--state", "held"]).to_string();
        hold.contains("sent heartbeats at")
    })
    .await;
    assert!(
        began.elapsed() >= Duration::from_secs(80),
        "{:?}: {hold}",
        began.elapsed()
    );
    assert_eq!(harness.status(notification).await.0, NotificationStatus::Running);
    let region = harness.sandbox.region();
    assert_eq!(region.requests().count("#evacuate"), 0);
    assert_eq!(region.ledger().double_runs, 0);
    assert_eq!(region.lost(&servers), Vec::<uuid::Uuid>::new());
}
