//! The boot guard's answer for a fenced host, by the real API beside a real engine.

use std::time::Duration;

use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Covers R12, R25.
#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_host_is_held_until_it_is_handed_back() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let process = harness.spawn("api");
    let api = harness.api().await;
    let boot_state = async |host: &str| {
        let answer = api.get(&format!("/boot-guard/{host}")).await;
        let guard = &answer["boot_guard"];
        (
            guard["hold"].as_bool().unwrap(),
            guard["waits_for"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let free = (false, String::new());
    assert_eq!(boot_state(HOST).await, free);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    assert_eq!(boot_state(HOST).await, free, "a report alone holds no host");
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    until("the host to be held", LIMIT, async || boot_state(HOST).await.0).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    until("its queue to be all that is left", LIMIT, async || {
        boot_state(HOST).await == (true, "queue".to_owned())
    })
    .await;
    for other in ["compute-002", "nobody.example.org"] {
        assert_eq!(boot_state(other).await, free, "{other}");
    }
    harness.sandbox.region().faults().purge_queue(HOST).unwrap();
    harness.sandbox.region().faults().power_on(HOST).unwrap();
    until("the host to be free", LIMIT, async || {
        boot_state(HOST).await == free
    })
    .await;
    engine.stop().await;
    drop(process);
}
