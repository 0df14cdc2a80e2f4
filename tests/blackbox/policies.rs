//! Rules for instances, reports with additional information, and limits of restarts.

use std::time::Duration;

use tachi_domain::NotificationId;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::policy::{FencingMode, Policy};
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock as _, Notifications as _, RegistryError, Reports as _};
use tachi_sandbox::{ApiEffect, ApiFault, Boot};
use uuid::Uuid;

use super::recovery::everything;
use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(40);

/// Sends a report that is dated `later` seconds from now.
async fn report(
    harness: &Harness,
    kind: NotificationType,
    pairs: &[(&str, &str)],
    later: i64,
) -> Result<NotificationId, RegistryError> {
    let now = SystemClock.wall();
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let new = NewNotification {
        kind,
        hostname: HOST.into(),
        generated_time: now.minus_seconds(-later),
        payload: pairs.collect(),
        evidence: None,
        reporter: None,
    };
    let accepted = harness
        .store
        .registry()
        .accept_notification(&new, 180, now)
        .await?;
    Ok(accepted.id)
}

async fn host_stopped(harness: &Harness, status: &str) -> Result<NotificationId, RegistryError> {
    let pairs = [("event", "STOPPED"), ("host_status", status)];
    report(harness, NotificationType::ComputeHost, &pairs, 0).await
}

async fn until_closed(harness: &Harness, id: NotificationId) -> (NotificationStatus, String) {
    let what = format!("notification {id} to end");
    until(&what, LIMIT, async || !harness.status(id).await.0.is_open()).await;
    let (status, message) = harness.status(id).await;
    (status, message.unwrap_or_default())
}

/// Covers EW16.
#[tokio::test(flavor = "multi_thread")]
async fn normal_after_unknown_is_not_lost_though_no_engine_ran_in_between() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let first = host_stopped(&harness, "UNKNOWN").await.unwrap();
    let second = host_stopped(&harness, "NORMAL").await.unwrap_err();
    assert!(matches!(second, RegistryError::Duplicate), "{second:?}");
    let policy = Policy {
        fencing: FencingMode::External,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    harness.until_finished(first, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW16.
#[tokio::test(flavor = "multi_thread")]
async fn normal_after_an_ignored_unknown_begins_a_recovery() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let policy = Policy {
        fencing: FencingMode::External,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    let first = host_stopped(&harness, "UNKNOWN").await.unwrap();
    let (status, why) = until_closed(&harness, first).await;
    assert_eq!(status, NotificationStatus::Ignored);
    assert!(why.contains("host_status is UNKNOWN"), "{why}");
    let second = host_stopped(&harness, "NORMAL").await.unwrap();
    harness.until_finished(second, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW6.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_after_a_failed_recovery_is_a_new_attempt() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    region.api_faults().add(ApiFault::always(
        "#evacuate",
        ApiEffect::Status {
            status: 409,
            retry_after: None,
        },
    ));
    let policy = Policy {
        attempts: 1,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    let first = host_stopped(&harness, "NORMAL").await.unwrap();
    let (status, why) = until_closed(&harness, first).await;
    assert_eq!(status, NotificationStatus::Failed);
    assert!(why.contains("2 instances need an operator"), "{why}");
    for vmove in harness
        .store
        .registry()
        .list_vmoves(first, &everything())
        .await
        .unwrap()
    {
        let message = vmove.message.unwrap_or_default();
        assert!(message.contains("409"), "the cause: {message}");
    }
    region.faults().clear_faults();
    let second = host_stopped(&harness, "NORMAL").await.unwrap();
    assert_ne!(first, second);
    harness.until_finished(second, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW25.
#[tokio::test(flavor = "multi_thread")]
async fn amphorae_and_what_a_rule_names_are_left_and_the_others_go_by_priority() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    let boot = |boot: Boot| region.boot(&boot).unwrap()[0];
    let amphora = boot(Boot::on(HOST, 1).exact_name(&format!("amphora-{}", Uuid::new_v4())));
    let excluded = boot(Boot::on(HOST, 1).metadata("ha", "never"));
    let low = boot(Boot::on(HOST, 1).metadata("HA_Priority", "-1"));
    let plain = boot(Boot::on(HOST, 1));
    let high = boot(Boot::on(HOST, 1).metadata("HA_Priority", "7"));
    let marked = harness.boot(HOST, 1)[0];
    region.faults().power_loss(HOST).unwrap();
    let mut policy = Policy {
        in_flight: 1,
        ..quick_policy()
    };
    policy.leave.metadata.push("ha=never".parse().unwrap());
    let engine = harness.engine(harness.journal(), policy).await;
    let notification = host_stopped(&harness, "NORMAL").await.unwrap();
    harness.until_finished(notification, LIMIT).await;
    let requested: Vec<String> = region
        .requests()
        .journal()
        .into_iter()
        .filter(|entry| entry.route.contains("#evacuate"))
        .map(|entry| entry.target)
        .collect();
    let order = [marked, high, plain, low];
    assert_eq!(requested.len(), order.len(), "{requested:?}");
    for (target, server) in requested.iter().zip(order) {
        assert!(
            target.contains(&server.to_string()),
            "{requested:?} in the order {order:?}"
        );
    }
    let vmoves = harness
        .store
        .registry()
        .list_vmoves(notification, &everything())
        .await
        .unwrap();
    for (left, why) in [
        (amphora, "Octavia"),
        (excluded, "exclude_instance_metadata names ha=never"),
    ] {
        let row = vmoves
            .iter()
            .find(|row| row.instance_uuid == left.to_string())
            .unwrap();
        assert_eq!(row.status.unwrap().as_str(), "ignored");
        assert!(row.message.as_deref().unwrap().contains(why), "{row:?}");
        let server = region.server(left).unwrap();
        assert_eq!(server.host.as_deref(), Some(HOST));
        assert!(!server.locked);
    }
    harness.assert_each_exactly_once(&order, HOST);
    engine.stop().await;
}

/// Covers EW26.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_crashes_repeatedly_needs_an_operator_whichever_engine_handles_it() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let id = server.to_string();
    let region = harness.sandbox.region();
    let policy = Policy {
        max_restarts: 2,
        restart_pause: Duration::from_millis(300),
        ..quick_policy()
    };
    let pairs = [
        ("event", "LIFECYCLE"),
        ("vir_domain_event", "STOPPED_FAILED"),
        ("instance_uuid", id.as_str()),
    ];
    for round in 0..4 {
        region.faults().crash_guest(server).unwrap();
        let engine = harness.engine(harness.journal(), policy.clone()).await;
        let crash = report(&harness, NotificationType::Vm, &pairs, round * 200 - 600)
            .await
            .unwrap();
        let (status, message) = until_closed(&harness, crash).await;
        if round < 3 {
            assert_eq!(status, NotificationStatus::Finished, "{round}: {message}");
            let is_moved = message.contains("was moved to ");
            assert_eq!(is_moved, round == 2, "{round}: {message}");
        } else {
            assert_eq!(status, NotificationStatus::Failed, "{round}: {message}");
            assert!(message.contains("restarted 3 times"), "{message}");
        }
        engine.stop().await;
    }
    let requests = region.requests();
    assert_eq!((requests.count("#os-stop"), requests.count("#os-start")), (3, 3));
    assert_eq!(
        (requests.count("#migrate"), requests.count("#confirmResize")),
        (1, 1)
    );
}
