//! Reserved hosts: real engines, a real database, the sandbox's Nova and Placement.

use std::time::Duration;

use tachi_domain::HostId;
use tachi_domain::entity::host::HostFilter;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::segment::{RecoveryMethod, SegmentFilter};
use tachi_domain::policy::Policy;
use tachi_engine::ports::{Hosts as _, Journal as _, Notifications as _, Segments as _};
use tachi_sandbox::{ApiEffect, ApiFault, Fleet, MoveFault, MoveFaultRule, RegionSettings};
use uuid::Uuid;

use super::recovery::everything;
use super::support::{Harness, IN_RESERVE, quick_policy, quick_region, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns [`quick_policy`] without guards against several failed hosts, and without a wait for other recoveries' hosts.
fn policy() -> Policy {
    Policy {
        segment_percent: 100,
        global_percent: 100,
        reserved_wait: Duration::from_secs(2),
        ..quick_policy()
    }
}

/// Returns Tachi's id of a host, and true if its row has it as reserved.
async fn row(harness: &Harness, name: &str) -> (HostId, bool) {
    let segments = harness
        .store
        .registry()
        .list_segments(&everything::<SegmentFilter>())
        .await
        .unwrap();
    let hosts = harness
        .store
        .registry()
        .list_hosts(segments[0].id, &everything::<HostFilter>())
        .await
        .unwrap();
    let host = hosts.into_iter().find(|host| host.name == name).unwrap();
    (host.id, host.reserved)
}

/// Asserts that the host is reserved, free, and in Nova as at the start.
async fn assert_in_reserve(harness: &Harness, name: &str, source: &str) {
    assert!(row(harness, name).await.1, "{name} is registered as reserved");
    let shown = harness.sandbox.region().host(name).unwrap();
    assert!(!shown.enabled, "{name} is disabled");
    assert_eq!(shown.disabled_reason.as_deref(), Some(IN_RESERVE));
    assert_not_on_hold(harness, source).await;
}

async fn assert_not_on_hold(harness: &Harness, source: &str) {
    let source = row(harness, source).await.0;
    let reserve = harness.store.journal().reserve(source).await.unwrap();
    assert!(reserve.iter().all(|row| !row.busy), "{reserve:?}");
}

fn all_on(harness: &Harness, servers: &[Uuid], host: &str) -> bool {
    let region = harness.sandbox.region();
    servers
        .iter()
        .all(|id| region.server(*id).unwrap().host.as_deref() == Some(host))
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_host_takes_the_instances_and_joins_the_aggregates_of_the_dead_one() {
    let harness = Harness::set(quick_region(4)).await;
    let region = harness.sandbox.region();
    let rack = region
        .operator()
        .create_aggregate("rack", &["compute-001", "compute-002"])
        .unwrap();
    harness
        .protect_by(RecoveryMethod::ReservedHost, &["compute-004"])
        .await;
    let servers = harness.boot("compute-001", 5);
    region.faults().power_loss("compute-001").unwrap();
    let notification = harness.report("compute-001").await;
    let policy = Policy {
        join_aggregates: true,
        ..policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, "compute-001");
    assert!(
        all_on(&harness, &servers, "compute-004"),
        "all of them on the reserved host"
    );
    assert!(
        !row(&harness, "compute-004").await.1,
        "it is not in reserve any more"
    );
    assert!(region.host("compute-004").unwrap().enabled);
    assert!(
        region
            .operator()
            .aggregate_hosts(rack)
            .contains(&"compute-004".to_owned())
    );
    assert_not_on_hold(&harness, "compute-001").await;
    engine.stop().await;
}

/// Covers R6.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_fail_at_once_and_one_reserved_host_goes_to_exactly_one_of_them() {
    let harness = Harness::set(quick_region(4)).await;
    harness
        .protect_by(RecoveryMethod::ReservedHost, &["compute-004"])
        .await;
    let region = harness.sandbox.region();
    let sources = ["compute-001", "compute-002"];
    let mut servers = Vec::new();
    let mut notifications = Vec::new();
    for source in sources {
        servers.push(harness.boot(source, 3));
        region.faults().power_loss(source).unwrap();
    }
    for source in sources {
        notifications.push(harness.report(source).await);
    }
    // Two engines, so that the journal alone decides.
    let engines = [
        harness.engine(harness.journal(), policy()).await,
        harness.engine(harness.journal(), policy()).await,
    ];
    let mut ends = Vec::new();
    for notification in &notifications {
        until("both to end", LIMIT, async || {
            !harness.status(*notification).await.0.is_open()
        })
        .await;
        ends.push(harness.status(*notification).await);
    }
    let won = ends
        .iter()
        .position(|(status, _)| *status == NotificationStatus::Finished)
        .unwrap();
    let (status, message) = &ends[1 - won];
    assert_eq!(*status, NotificationStatus::Failed);
    let message = message.as_deref().unwrap();
    assert!(message.contains("no reserved host"), "{message}");
    assert!(all_on(&harness, &servers[won], "compute-004"));
    assert!(
        all_on(&harness, &servers[1 - won], sources[1 - won]),
        "the other's are where they were"
    );
    assert_eq!(region.ledger().double_runs, 0);
    assert_not_on_hold(&harness, sources[0]).await;
    for engine in engines {
        engine.stop().await;
    }
}

/// Covers EW23.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_host_takes_leaves_the_reserve_as_it_was() {
    let harness = Harness::set(quick_region(5)).await;
    harness
        .protect_by(RecoveryMethod::RhPriority, &["compute-004", "compute-005"])
        .await;
    let servers = harness.boot("compute-001", 1);
    let region = harness.sandbox.region();
    region
        .faults()
        .add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost));
    region.faults().power_loss("compute-001").unwrap();
    let notification = harness.report("compute-001").await;
    let engine = harness.engine(harness.journal(), policy()).await;
    until("the recovery to end", LIMIT, async || {
        !harness.status(notification).await.0.is_open()
    })
    .await;
    assert_eq!(harness.status(notification).await.0, NotificationStatus::Failed);
    for name in ["compute-004", "compute-005"] {
        assert_in_reserve(&harness, name, "compute-001").await;
    }
    assert!(all_on(&harness, &servers, "compute-001"));
    engine.stop().await;
}

/// Covers EW1.
#[tokio::test(flavor = "multi_thread")]
async fn auto_priority_takes_a_reserved_host_for_what_the_scheduler_has_no_room_for() {
    // Room for ten of them on each host; the third has seven already.
    let region = RegionSettings {
        fleet: Fleet {
            hosts: 3,
            vcpus: 10,
            ..Fleet::default()
        },
        ..quick_region(3)
    };
    let harness = Harness::set(region).await;
    harness
        .protect_by(RecoveryMethod::AutoPriority, &["compute-003"])
        .await;
    let region = harness.sandbox.region();
    let there = harness.boot("compute-002", 7);
    let servers = harness.boot("compute-001", 8);
    region.faults().power_loss("compute-001").unwrap();
    let notification = harness.report("compute-001").await;
    let engine = harness.engine(harness.journal(), policy()).await;
    harness.until_finished(notification, LIMIT).await;
    let on = |host: &str| region.host(host).unwrap().servers;
    assert_eq!(on("compute-001"), 0);
    assert_eq!(on("compute-002"), 10, "first what the scheduler finds room for");
    assert_eq!(on("compute-003"), 5, "and the rest on the reserved host");
    assert_eq!(region.lost(&servers), Vec::<Uuid>::new());
    assert_eq!(region.lost(&there), Vec::<Uuid>::new());
    assert_eq!(region.ledger().double_runs, 0);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_placement_the_scheduler_decides_and_the_story_says_so() {
    let harness = Harness::set(quick_region(4)).await;
    harness
        .protect_by(RecoveryMethod::ReservedHost, &["compute-004"])
        .await;
    let region = harness.sandbox.region();
    let gone = ApiEffect::Status {
        status: 503,
        retry_after: None,
    };
    region.api_faults().add(ApiFault::always("/placement/", gone));
    let servers = harness.boot("compute-001", 2);
    region.faults().power_loss("compute-001").unwrap();
    let notification = harness.report("compute-001").await;
    let engine = harness.engine(harness.journal(), policy()).await;
    harness.until_finished(notification, LIMIT).await;
    assert!(all_on(&harness, &servers, "compute-004"));
    let tasks = harness.store.registry().progress(notification).await.unwrap();
    let reserve = tasks.iter().find(|task| task.name == "ReserveHostTask").unwrap();
    let history = format!("{reserve:?}");
    assert!(history.contains("Nova's scheduler decides"), "{history}");
    engine.stop().await;
}

/// Covers R22.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_back_and_stays_up_is_enabled_and_out_of_maintenance_if_that_is_wanted() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot("compute-001", 2);
    let region = harness.sandbox.region();
    region.faults().power_loss("compute-001").unwrap();
    let notification = harness.report("compute-001").await;
    let policy = Policy {
        enable_after_return: Some(Duration::from_secs(3)),
        ..policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    harness.until_finished(notification, LIMIT).await;
    let source_host = region.host("compute-001").unwrap();
    assert!(!source_host.enabled && source_host.forced_down);
    region.faults().power_on("compute-001").unwrap();
    until("the host to be in service again", LIMIT, async || {
        let shown = region.host("compute-001").unwrap();
        shown.enabled && !shown.forced_down
    })
    .await;
    let segments = harness
        .store
        .registry()
        .list_segments(&everything::<SegmentFilter>())
        .await
        .unwrap();
    until("it to be off maintenance", LIMIT, async || {
        let hosts = everything::<HostFilter>();
        let hosts = harness
            .store
            .registry()
            .list_hosts(segments[0].id, &hosts)
            .await
            .unwrap();
        hosts.iter().all(|host| !host.on_maintenance)
    })
    .await;
    harness.assert_each_exactly_once(&servers, "compute-001");
    engine.stop().await;
}
