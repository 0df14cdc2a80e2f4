//! Instances that policy excludes, once their host is back: the engine in this process, the region simulated.

use std::time::Duration;

use serde_json::json;
use tachi_domain::NotificationId;
use tachi_domain::policy::Policy;
use tachi_engine::ports::Notifications as _;
use tachi_sandbox::{Boot, RegionSettings, VmState};
use uuid::Uuid;

use super::recovery::everything;
use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

async fn message(harness: &Harness, id: NotificationId, server: Uuid) -> String {
    let vmoves = harness.store.registry().list_vmoves(id, &everything()).await;
    let mut vmoves = vmoves.unwrap().into_iter();
    let found = vmoves.find(|vmove| vmove.instance_uuid == server.to_string());
    found.and_then(|vmove| vmove.message).unwrap_or_default()
}

/// Covers P5, R36.
#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_instance_runs_again_when_its_host_is_back_and_one_that_was_stopped_meanwhile_does_not() {
    let harness = Harness::set(RegionSettings {
        power_sync_interval: Duration::from_millis(100),
        ..quick_region(4)
    })
    .await;
    harness.protect().await;
    let region = harness.sandbox.region();
    let excluded = region.boot(&Boot::on(HOST, 3)).unwrap();
    let marked = harness.boot(HOST, 1);
    let policy = Policy {
        evacuate_all: false,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&marked, HOST);
    let (_, status_message) = harness.status(notification).await;
    let status_message = status_message.unwrap_or_default();
    assert!(
        status_message.contains("3 excluded instances are started when compute-001 has returned"),
        "{status_message}"
    );
    // Its owner has stopped this one.
    assert_eq!(harness.act(excluded[0], &json!({"os-stop": null})).await, 202);
    let starts = || region.requests().count("#os-start");
    assert_eq!(
        (region.lost(&excluded).len(), starts()),
        (3, 0),
        "nothing runs before"
    );
    region.faults().power_on(HOST).unwrap();
    until("the excluded instances to run", LIMIT, async || {
        region.lost(&excluded[1..]).is_empty()
    })
    .await;
    until("the recovery to show it", LIMIT, async || {
        let (_, status_message) = harness.status(notification).await;
        status_message.is_some_and(|status_message| {
            status_message.contains("2 excluded instances run on compute-001 again, 1 not started")
        })
    })
    .await;
    let stopped = region.server(excluded[0]).unwrap();
    assert_eq!(stopped.vm_state, VmState::Stopped);
    assert_eq!(starts(), 2, "each of the others is started once");
    for (server, times) in excluded.iter().zip([1, 2, 2]) {
        let runs = region.runs(*server);
        assert!(runs.iter().all(|run| run.host.as_ref() == HOST), "{runs:?}");
        assert_eq!(runs.len(), times, "{runs:?}");
    }
    let why = message(&harness, notification, excluded[0]).await;
    assert!(why.contains("not started: a user has stopped it"), "{why}");
    let why = message(&harness, notification, excluded[1]).await;
    assert!(why.contains("started again on compute-001"), "{why}");
    assert_eq!(region.double_runs(), 0);
    engine.stop().await;
}
