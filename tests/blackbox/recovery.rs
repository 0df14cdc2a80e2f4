//! Complete recoveries, with an engine in this process.

use std::time::{Duration, Instant};

use tachi_domain::ApprovedWait;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::OperatorCommand;
use tachi_engine::ports::operator::ActionOutcome;
use tachi_engine::ports::registry::{Page, SortKey};
use tachi_engine::ports::{Notifications as _, OperatorJournal as _};
use tachi_sandbox::{
    ApiEffect, ApiFault, Boot, MoveFault, MoveFaultRule, PowerCommand, RegionSettings, VmState,
};

use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(40);

pub(crate) fn everything<F: Default>() -> Page<F> {
    let by = |column: &str| SortKey {
        column: column.into(),
        descending: false,
    };
    Page {
        filter: F::default(),
        sort: vec![by("created_at"), by("id")],
        marker: None,
        limit: 1000,
    }
}

/// Covers EW19.
#[tokio::test(flavor = "multi_thread")]
async fn forty_instances_with_a_rebuild_of_two_seconds_are_back_within_three_and_a_half_of_the_proof() {
    let region = RegionSettings {
        rebuild_time: Duration::from_secs(2),
        ..quick_region(5)
    };
    let harness = Harness::set(region).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 40);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let policy = Policy {
        tick: Policy::default().tick,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    until("the proof", LIMIT, async || {
        harness
            .store
            .registry()
            .progress(notification)
            .await
            .unwrap()
            .iter()
            .any(|task| task.name == "DisableComputeServiceTask")
    })
    .await;
    let proven = Instant::now();
    let region = harness.sandbox.region();
    until("every instance to run again", LIMIT, async || {
        region.lost(&servers).is_empty()
    })
    .await;
    let took = proven.elapsed();
    assert!(took < Duration::from_millis(3500), "took {took:?} from the proof");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers R13.
#[tokio::test(flavor = "multi_thread")]
async fn nova_is_asked_two_lists_a_tick_however_many_instances_there_are() {
    let region = RegionSettings {
        rebuild_time: Duration::from_secs(4),
        ..quick_region(5)
    };
    let harness = Harness::set(region).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 30);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let tick = Duration::from_millis(500);
    let policy = Policy {
        tick,
        heartbeat_poll: Duration::from_secs(5),
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    let requests = harness.sandbox.region().requests();
    until("all to be requested", LIMIT, async || {
        requests.count("#evacuate") >= 30
    })
    .await;
    requests.clear();
    let began = Instant::now();
    until("the last to be back", LIMIT, async || {
        harness.sandbox.region().lost(&servers).is_empty()
    })
    .await;
    let ticks = began.elapsed().as_secs_f64() / tick.as_secs_f64();
    let counts = requests.counts();
    let of = |part: &str| requests.count(part);
    let allowed = ticks.ceil() + 2.0;
    let lists = |part: &str| f64::from(u32::try_from(of(part)).unwrap());
    assert!(of("GET /compute/v2.1/os-migrations") >= 3, "{counts:?}");
    assert!(
        lists("GET /compute/v2.1/os-migrations") <= allowed,
        "{ticks} ticks: {counts:?}"
    );
    assert!(
        lists("GET /compute/v2.1/servers/detail") <= allowed,
        "{ticks} ticks: {counts:?}"
    );
    // An instance that is recorded as moved alone is read once before it is unlocked; the last one may be in between.
    assert!(
        of("GET /compute/v2.1/servers/{") <= of("#unlock") + 1,
        "no instance is polled: {counts:?}"
    );
    assert!(of("GET /compute/v2.1/os-services") <= 4, "{counts:?}");
    assert_eq!(of("/auth/tokens"), 0, "the token is kept: {counts:?}");
    harness.until_finished(notification, LIMIT).await;
    assert_eq!(requests.count("#evacuate"), 0, "none was requested twice");
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW18.
#[tokio::test(flavor = "multi_thread")]
async fn a_lying_power_controller_holds_the_recovery_until_it_is_repaired_and_an_operator_approves() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    region.faults().link_loss(HOST).unwrap();
    region.faults().maas_command(HOST, PowerCommand::Ignored).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    until("the recovery to be held", LIMIT, async || {
        harness
            .status(notification)
            .await
            .1
            .is_some_and(|message| message.starts_with("on hold:"))
    })
    .await;
    let (status, message) = harness.status(notification).await;
    assert_eq!(
        status,
        NotificationStatus::Running,
        "a held recovery is running (R20)"
    );
    assert!(message.unwrap().contains("not confirmed off"));
    assert_eq!(region.requests().count("#evacuate"), 0);
    assert_eq!(region.double_runs(), 0);

    let on_hold = harness.store.operator_journal().recoveries(false).await.unwrap();
    // An approval while the controller still reads wrong leads to another check and another hold.
    assert_eq!(
        harness
            .store
            .operator_journal()
            .submit(
                on_hold[0].id,
                OperatorCommand::Approve,
                &ApprovedWait::Current,
                "test"
            )
            .await
            .unwrap(),
        ActionOutcome::Submitted
    );
    until("it to be tried again", LIMIT, async || {
        !harness
            .status(notification)
            .await
            .1
            .is_some_and(|message| message.starts_with("on hold:"))
    })
    .await;
    until("it to be held again", LIMIT, async || {
        harness
            .status(notification)
            .await
            .1
            .is_some_and(|message| message.starts_with("on hold:"))
    })
    .await;
    assert_eq!(region.requests().count("#evacuate"), 0);

    region.faults().maas_command(HOST, PowerCommand::Works).unwrap();
    harness
        .store
        .operator_journal()
        .submit(
            on_hold[0].id,
            OperatorCommand::Approve,
            &ApprovedWait::Current,
            "test",
        )
        .await
        .unwrap();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW18.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_only_cut_off_is_powered_off_before_anything_is_moved() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 5);
    harness.sandbox.region().faults().link_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    assert!(!harness.sandbox.region().host(HOST).unwrap().power);
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW20.
#[tokio::test(flavor = "multi_thread")]
async fn each_vm_state_comes_back_as_it_was() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let states = [
        (VmState::Active, VmState::Active),
        (VmState::Stopped, VmState::Stopped),
        (VmState::Error, VmState::Error),
        (VmState::Paused, VmState::Paused),
        (VmState::Suspended, VmState::Suspended),
        (VmState::Rescued, VmState::Stopped),
    ];
    let region = harness.sandbox.region();
    let servers: Vec<_> = states
        .iter()
        .map(|(was, _)| region.boot(&Boot::on(HOST, 1).vm_state(*was)).unwrap()[0])
        .collect();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    for ((was, expected), id) in states.iter().zip(&servers) {
        let server = region.server(*id).unwrap();
        assert_eq!(server.vm_state, *expected, "was {was:?}");
        assert_ne!(server.host.as_deref(), Some(HOST), "was {was:?}");
        assert!(!server.locked, "was {was:?}");
    }
    assert_eq!(region.double_runs(), 0);
    engine.stop().await;
}

/// Covers EW2, EW8.
#[tokio::test(flavor = "multi_thread")]
async fn failures_of_nova_are_outlived() {
    let harness = Harness::set(quick_region(5)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 8);
    let region = harness.sandbox.region();
    let few = |fault| MoveFaultRule {
        times: Some(2),
        ..MoveFaultRule::always(fault)
    };
    region.faults().add_move_fault(few(MoveFault::Error));
    region.faults().add_move_fault(few(MoveFault::LateFailure));
    let times = |effect, route: &str, times| ApiFault {
        times: Some(times),
        ..ApiFault::always(route, effect)
    };
    let faults = region.api_faults();
    faults.add(times(
        ApiEffect::Status {
            status: 503,
            retry_after: None,
        },
        "os-migrations",
        2,
    ));
    faults.add(times(
        ApiEffect::Status {
            status: 500,
            retry_after: None,
        },
        "servers/detail",
        2,
    ));
    faults.add(times(ApiEffect::BreakAfterAct, "#evacuate", 2));
    faults.add(times(ApiEffect::Break, "#lock", 2));
    faults.add(times(ApiEffect::StatusAfterAct { status: 504 }, "#unlock", 2));
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    // An unlock without an answer counts once no replica of Nova's database can be older than the lock: 30 s.
    harness.until_finished(notification, LIMIT * 2).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers R22.
#[tokio::test(flavor = "multi_thread")]
async fn forced_down_is_cleared_when_the_hosts_nova_compute_is_back() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    let host = region.host(HOST).unwrap();
    assert!(host.forced_down && !host.enabled, "{host:?}");
    assert!(
        host.disabled_reason.unwrap().contains("[tachi "),
        "the reason carries our mark"
    );
    region.faults().power_on(HOST).unwrap();
    until("forced_down to be cleared", LIMIT, async || {
        !region.host(HOST).unwrap().forced_down
    })
    .await;
    assert!(!region.host(HOST).unwrap().enabled, "enabling is the operator's");
    until("the recovery to be closed", LIMIT, async || {
        harness
            .store
            .operator_journal()
            .recoveries(false)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW13.
#[tokio::test(flavor = "multi_thread")]
async fn marked_instances_are_asked_for_first() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    let plain = region.boot(&Boot::on(HOST, 4)).unwrap();
    let marked = harness.boot(HOST, 4);
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let policy = Policy {
        in_flight: 1,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    harness.until_finished(notification, LIMIT).await;
    let requested: Vec<String> = region
        .requests()
        .journal()
        .into_iter()
        .filter(|entry| entry.route.contains("#evacuate"))
        .map(|entry| entry.target)
        .collect();
    assert_eq!(requested.len(), 8);
    for (place, target) in requested.iter().enumerate() {
        let is_marked = marked.iter().any(|id| target.contains(&id.to_string()));
        assert_eq!(
            is_marked,
            place < 4,
            "place {place} is {target}; unmarked are {plain:?}"
        );
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_policy_leaves_are_listed_with_the_reason() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    let left = region.boot(&Boot::on(HOST, 2)).unwrap();
    let marked = harness.boot(HOST, 2);
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let policy = Policy {
        evacuate_all: false,
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    harness.until_finished(notification, LIMIT).await;
    let vmoves = harness
        .store
        .registry()
        .list_vmoves(notification, &everything())
        .await
        .unwrap();
    assert_eq!(vmoves.len(), 4);
    for vmove in vmoves {
        let is_left = left.iter().any(|id| id.to_string() == vmove.instance_uuid);
        let status = vmove.status.unwrap().as_str();
        assert_eq!(status, if is_left { "ignored" } else { "succeeded" });
        assert_eq!(
            is_left,
            vmove
                .message
                .is_some_and(|why| why.contains("evacuate_all_instances"))
        );
    }
    harness.assert_each_exactly_once(&marked, HOST);
    engine.stop().await;
}
