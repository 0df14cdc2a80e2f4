//! Instances on the local disk of their host: a monitor there reads them, and the recovery treats each as its owner has set.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_sandbox::Boot;
use uuid::Uuid;

use super::support::{Api, Harness, json as printed, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);
/// Longer than the evacuation of the others takes.
const WAIT: Duration = Duration::from_secs(20);

fn boot(harness: &Harness, treatment: Option<&str>) -> Uuid {
    let one = Boot::on(HOST, 1).metadata("HA_Enabled", "True");
    let one = match treatment {
        Some(text) => one.metadata("HA_Local_Disk", text),
        None => one,
    };
    harness.sandbox.region().boot(&one).unwrap()[0]
}

async fn read(monitors: &Api, disks: &[Uuid]) {
    let heartbeat = json!({"version": "test", "watching": false, "local_disks": disks});
    assert_eq!(
        monitors.send_heartbeat_with(HOST, "instance", heartbeat).await,
        204
    );
}

fn finding(harness: &Harness) -> Option<Value> {
    let status = printed(harness, &["status"]);
    let mut found = status["findings"].as_array().unwrap().iter();
    found.find(|one| one["code"] == "LOCAL_DISK").cloned()
}

fn is_on_host(harness: &Harness, server: Uuid) -> bool {
    harness.sandbox.region().server(server).unwrap().host.as_deref() == Some(HOST)
}

fn shown(harness: &Harness, server: Uuid) -> String {
    run(harness, &["show", &server.to_string()]).1
}

fn assert_disks_are_shown(harness: &Harness, evacuated: Uuid, waits: Uuid, leaves: Uuid, unread: Uuid) {
    for (server, text) in [
        (
            evacuated,
            "disk: on this host alone: if the host fails, the instance comes back from its image, without this disk",
        ),
        (
            waits,
            "disk: on this host alone: if the host fails, it waits 20 s for the host",
        ),
        (
            leaves,
            "disk: on this host alone: if the host fails, it stays there until the host has returned",
        ),
        (unread, "disk: not on a local file system of this host"),
    ] {
        let text_of = shown(harness, server);
        assert!(text_of.contains(text), "{text}\n{text_of}");
    }
    let (_, list, _) = run(harness, &["instance", "list", "--host", HOST]);
    assert!(
        list.contains("local (wait:20s)") && list.contains("shared or unknown"),
        "{list}"
    );
}

/// Covers R14, P4.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_monitor_has_read_on_a_local_disk_is_reported_and_treated_as_its_owner_has_set() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let (leaves, waits) = (boot(&harness, Some("leave")), boot(&harness, Some("wait:20s")));
    let (evacuated, unread) = (boot(&harness, None), boot(&harness, Some("leave")));
    let (_api, _engine) = (harness.spawn("api"), harness.spawn("engine"));
    let unbound = harness.api().await;
    read(&unbound, &[leaves, waits, evacuated, unread]).await;
    until("the instances to be listed", LIMIT, async || {
        printed(&harness, &["status"])["instances"]["protected"] == 4
    })
    .await;
    assert_eq!(
        finding(&harness),
        None,
        "a monitor that is bound to no host proves nothing"
    );
    let disks = printed(&harness, &["instance", "list", "--host", HOST]);
    assert!(
        disks
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["disk"]["place"] == "not-read"),
        "{disks}"
    );

    read(&harness.api_of_monitor(HOST).await, &[leaves, waits, evacuated]).await;
    until("the finding", LIMIT, async || finding(&harness).is_some()).await;
    let found = finding(&harness).unwrap();
    assert_eq!(
        (&found["grade"], &found["subjects"], &found["instances"]),
        (&json!("info"), &json!([HOST]), &json!(1)),
        "{found}"
    );
    assert_disks_are_shown(&harness, evacuated, waits, leaves, unread);

    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let began = Instant::now();
    let notification = harness.report(HOST).await;
    until("those that wait for nothing to be moved", LIMIT, async || {
        !is_on_host(&harness, evacuated) && !is_on_host(&harness, unread)
    })
    .await;
    until("the message to show the wait", LIMIT, async || {
        let (_, message) = harness.status(notification).await;
        let message = message.unwrap_or_default();
        message.contains("1 instance waits until ") && message.contains(" for its host (local disk)")
    })
    .await;
    let moves = printed(&harness, &["instance", "list", "--recovering"]);
    let own = moves
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["instance"] == waits.to_string());
    let own = own.unwrap();
    assert_eq!(own["waits"]["for"], "local-disk", "{own}");
    assert_eq!(own["needs_person"], false, "{own}");
    let output = shown(&harness, waits);
    assert!(
        output.contains("known: its disk is on this host alone: it waits for the host until "),
        "{output}"
    );
    assert!(
        is_on_host(&harness, waits) && began.elapsed() < WAIT,
        "{:?}",
        began.elapsed()
    );

    until("the wait to end", LIMIT, async || {
        !harness.sandbox.region().migrations(waits).is_empty()
    })
    .await;
    assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
    harness.until_finished(notification, LIMIT).await;
    let (status, message) = harness.status(notification).await;
    assert_eq!(status, NotificationStatus::Finished);
    assert_eq!(
        message.as_deref(),
        Some(
            "3 instances moved, 1 left where it was; 1 excluded instance is started when compute-001 has returned"
        )
    );
    assert!(is_on_host(&harness, leaves) && harness.sandbox.region().migrations(leaves).is_empty());
    let history = printed(&harness, &["recovery", "show", HOST]).to_string();
    for text in [
        "local_disk is leave",
        "its host is not back in time, so it is evacuated without its disk",
    ] {
        assert!(history.contains(text), "{text}\n{history}");
    }
    harness.assert_each_exactly_once(&[waits, evacuated, unread], HOST);
}

/// Covers R14.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_a_wait_for_a_local_disk() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let (first, second) = (boot(&harness, Some("wait:2h")), boot(&harness, Some("wait:2h")));
    let (_api, _engine) = (harness.spawn("api"), harness.spawn("engine"));
    read(&harness.api_of_monitor(HOST).await, &[first, second]).await;
    until("the reading to be stored", LIMIT, async || {
        let disks = printed(&harness, &["instance", "list", "--host", HOST]);
        let is_local = |one: &Value| one["disk"]["place"] == "local";
        disks
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(is_local))
    })
    .await;
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    until("both to wait", LIMIT, async || {
        let message = harness.status(notification).await.1.unwrap_or_default();
        message.starts_with("2 instances wait for their host (local disk)")
    })
    .await;
    for (server, option) in [(first, "--retry"), (second, "--dismiss")] {
        let id = server.to_string();
        assert_eq!(
            run(
                &harness,
                &["instance", "resolve", &id, option, "--reason", "test"]
            )
            .0,
            0,
            "{option}"
        );
    }
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&[first], HOST);
    assert!(is_on_host(&harness, second));
}
