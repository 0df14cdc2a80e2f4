//! `tachi host drain` and `tachi host giveback`: plans of an operator for a running host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::planned::PlannedOrder;
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{NotificationId, ServerId};
use tachi_engine::ports::plans::{NewPlan, PlanOutcome};
use tachi_engine::ports::{Freezes as _, OperatorJournal as _, Plans as _};
use tachi_sandbox::{ApiEffect, ApiFault, MigrationKind, MoveFault, MoveFaultRule};
use uuid::Uuid;

use super::crash::{CrashPoint, CrashingJournal, die_at_commits};
use super::support::{Harness, json, quick_policy, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Starts a region whose live migrations take half a second.
async fn harness() -> Harness {
    let mut region = quick_region(3);
    region.live_migration_time = Duration::from_millis(500);
    let harness = Harness::set(region).await;
    harness.protect().await;
    harness
}

fn drain(harness: &Harness, more: &[&str]) -> (i32, String, String) {
    let mut arguments = vec![
        "host", "drain", HOST, "--for", "1h", "--reason", "firmware", "--yes",
    ];
    arguments.extend(more);
    run(harness, &arguments)
}

async fn engine_works(harness: &Harness) {
    until("an engine to run", LIMIT, async || {
        json(harness, &["status"])["engines"][0]["alive"] == true
    })
    .await;
}

/// Asserts that no instance runs twice, none is lost, and each was migrated this many times.
fn assert_moved(harness: &Harness, servers: &[Uuid], times: usize) {
    let region = harness.sandbox.region();
    let ledger = region.ledger();
    assert_eq!(ledger.double_runs, 0, "ran twice: {:?}", ledger.doubles);
    assert_eq!(region.lost(servers), Vec::<Uuid>::new(), "lost");
    for id in servers {
        let made = region
            .migrations(*id)
            .iter()
            .filter(|record| record.status == "completed")
            .count();
        assert_eq!(made, times, "{id}");
    }
}

fn hosts(harness: &Harness, servers: &[Uuid]) -> Vec<String> {
    let region = harness.sandbox.region();
    let host = |id: &Uuid| region.server(*id).unwrap().host.unwrap();
    servers.iter().map(host).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_host_is_drained_put_back_to_work_and_given_back_what_it_had() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 3);
    let (code, printed, note) = drain(&harness, &["--no-follow"]);
    assert_eq!(code, 0, "{note}");
    assert!(note.contains("no engine has sent a heartbeat recently"), "{note}");
    assert!(printed.contains("3 instances are on compute-001"), "{printed}");
    // The answer was lost, and the request is repeated.
    let (code, again, note) = drain(&harness, &["--no-follow"]);
    assert_eq!(code, 0, "{note}");
    assert!(again.contains("nothing new was written"), "{again}");
    assert_eq!(json(&harness, &["recovery", "list"]).as_array().unwrap().len(), 1);
    let (code, _, note) = drain(&harness, &["--at-once", "3"]);
    assert_eq!(code, 1);
    assert!(
        note.contains("(kind drain) of compute-001 is not finished"),
        "{note}"
    );

    let _engine = harness.spawn("engine");
    let id = json(&harness, &["recovery", "list"])[0]["recovery"]
        .as_str()
        .unwrap()
        .to_owned();
    let (code, printed, note) = run(&harness, &["recovery", "show", &id, "--follow"]);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(
        printed.contains("compute-001 is drained: 3 instances moved, nothing is left; frozen for 60 min"),
        "{printed}"
    );
    let (_, shown, _) = run(&harness, &["recovery", "show", &id]);
    assert!(shown.contains("3/3 instances moved"), "{shown}");
    assert_moved(&harness, &servers, 1);
    assert!(hosts(&harness, &servers).iter().all(|host| host != HOST));
    let shown = harness.sandbox.region().host(HOST).unwrap();
    assert!(!shown.enabled);
    let reason = shown.disabled_reason.unwrap();
    assert!(
        reason.contains("firmware (drained by ") && reason.contains(&id),
        "{reason}"
    );
    let (_, frozen, _) = run(&harness, &["freeze", "list"]);
    assert!(frozen.contains(HOST) && frozen.contains("firmware"), "{frozen}");

    // Instances of a frozen host are not moved, and it is not returned to service.
    let (code, _, note) = run(&harness, &["host", "giveback", HOST, "--yes"]);
    assert_eq!(code, 1);
    assert!(note.contains("tachi host undrain compute-001"), "{note}");
    assert_eq!(run(&harness, &["thaw", "host", HOST]).0, 0);
    let (code, _, note) = run(&harness, &["host", "giveback", HOST, "--yes"]);
    assert_eq!(code, 1);
    assert!(note.contains("Nova shows compute-001 disabled"), "{note}");
    let back = ["host", "return", HOST, "--do", "--reason", "flashed", "--yes"];
    let (code, printed, note) = run(&harness, &back);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(harness.sandbox.region().host(HOST).unwrap().enabled);

    let (code, printed, note) = run(&harness, &["host", "giveback", HOST, "--dry-run"]);
    assert_eq!(code, 0, "{note}");
    assert!(
        printed.starts_with("3 of 3 instances moved away from compute-001 can go back"),
        "{printed}"
    );
    let (code, printed, note) = run(&harness, &["host", "giveback", HOST, "--yes"]);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(
        printed.contains("3 instances moved back to compute-001"),
        "{printed}"
    );
    assert_moved(&harness, &servers, 2);
    assert_eq!(hosts(&harness, &servers), [HOST; 3]);
    let (_, printed, _) = run(&harness, &["host", "giveback", HOST, "--dry-run"]);
    assert_eq!(
        printed.trim(),
        "no instance that was moved away from compute-001 is elsewhere"
    );
}

/// Returns the command that the end of a drain prints, as an operator types it.
fn command_of_the_end(printed: &str) -> Vec<String> {
    let (_, rest) = printed.split_once("When the work is done: tachi ").unwrap();
    let command = rest.split([';', '\n']).next().unwrap().replace("TEXT", "flashed");
    command.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_the_command_that_a_drain_prints_at_its_end_is_accepted() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    engine_works(&harness).await;
    let (code, printed, note) = drain(&harness, &[]);
    assert_eq!(code, 0, "{printed} {note}");
    let mut command = command_of_the_end(&printed);
    assert_eq!(command[..3], ["host", "undrain", HOST]);
    command.push("--yes".to_owned());
    let typed: Vec<&str> = command.iter().map(String::as_str).collect();
    let (code, printed, note) = run(&harness, &typed);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(harness.sandbox.region().host(HOST).unwrap().enabled);
    assert_eq!(hosts(&harness, &servers), [HOST; 2]);

    // An operator has disabled the host: the end of the drain may not enable it.
    let region = harness.sandbox.region();
    region
        .operator()
        .set_service(HOST, false, Some("bad RAM"))
        .unwrap();
    let (code, printed, note) = drain(&harness, &["--limit", "10m"]);
    assert_eq!(code, 0, "{printed} {note}");
    let command = command_of_the_end(&printed);
    assert_eq!(command, ["thaw", "host", HOST]);
    let typed: Vec<&str> = command.iter().map(String::as_str).collect();
    let (code, printed, note) = run(&harness, &typed);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(!harness.sandbox.region().host(HOST).unwrap().enabled);
    assert_eq!(harness.store.freezes().freezes().await.unwrap(), []);
}

/// Covers R30.
#[tokio::test(flavor = "multi_thread")]
async fn operator_the_end_of_a_drain_leaves_the_freezes_of_others() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    engine_works(&harness).await;
    let (code, printed, note) = drain(&harness, &[]);
    assert_eq!(code, 0, "{printed} {note}");
    let other = [
        "freeze",
        "host",
        HOST,
        "--for",
        "8h",
        "--reason",
        "RAID open, do not use",
    ];
    let (code, _, note) = run(&harness, &other);
    assert_eq!(code, 0, "{note}");
    let frozen = async || {
        let all = harness.store.freezes().freezes().await.unwrap();
        let shown = all.into_iter().map(|one| (one.by_drain, one.freeze.reason));
        shown.collect::<Vec<_>>()
    };
    let both = frozen().await;
    assert_eq!(
        both,
        [
            (true, "firmware".to_owned()),
            (false, "RAID open, do not use".to_owned())
        ]
    );
    let host = json(&harness, &["freeze", "list"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for back in [
        &["host", "undrain", &host, "--reason", "flashed", "--yes"][..],
        &["host", "return", HOST, "--do", "--reason", "flashed", "--yes"],
    ] {
        let (code, printed, note) = run(&harness, back);
        assert_eq!(code, 1, "{back:?} {printed} {note}");
        assert!(
            note.contains("nothing was done") && note.contains("(RAID open, do not use)"),
            "{back:?} {note}"
        );
        assert_eq!(frozen().await, both, "{back:?}");
        assert!(!harness.sandbox.region().host(HOST).unwrap().enabled, "{back:?}");
    }
    // The command that the refusal shows ends the freeze that the refusal is about.
    let (code, printed, note) = run(&harness, &["thaw", "host", HOST]);
    assert!(code == 0 && printed.contains("firmware"), "{printed} {note}");
    assert_eq!(frozen().await, both[..1]);
    let (code, printed, note) = run(
        &harness,
        &["host", "undrain", &host, "--reason", "flashed", "--yes"],
    );
    assert_eq!(code, 0, "{printed} {note}");
    assert_eq!(frozen().await, []);
    assert!(harness.sandbox.region().host(HOST).unwrap().enabled);
    assert_eq!(hosts(&harness, &servers), [HOST; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_what_a_drain_cannot_move_stays_is_named_and_keeps_the_host_from_being_frozen() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 4);
    let _engine = harness.spawn("engine");
    engine_works(&harness).await;
    let region = harness.sandbox.region();
    let rule = |fault, server: usize| MoveFaultRule::always(fault).server(servers[server]);
    region.faults().add_move_fault(rule(MoveFault::LiveRefused, 0));
    region.faults().add_move_fault(rule(MoveFault::LiveError, 1));
    region.faults().add_move_fault(rule(MoveFault::LiveHang, 2));
    // Nova does the work, and its proxy reports a failure.
    let lie = ApiFault::next(1, "#os-migrateLive", ApiEffect::StatusAfterAct { status: 500 });
    region.api_faults().add(lie);
    let (code, printed, note) = drain(&harness, &["--limit", "10s"]);
    assert_eq!(code, 1, "{printed} {note}");
    for part in [
        "PCI devices",
        "gave up migration",
        "aborted: it was not done within 10 s",
        "1 instance moved, 3 left running",
        "it is not frozen, so what is left stays protected",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let (_, frozen, _) = run(&harness, &["freeze", "list"]);
    assert!(!frozen.contains("firmware"), "{frozen}");
    let at = hosts(&harness, &servers);
    assert_eq!(at.iter().filter(|host| *host == HOST).count(), 3, "{at:?}");
    assert_eq!(harness.sandbox.region().ledger().double_runs, 0);
    let all = json(&harness, &["recovery", "list", "--all"]);
    let id = all[0]["recovery"].as_str().unwrap();
    let (code, _, note) = run(&harness, &["recovery", "retry", id, "--yes", "--reason", "again"]);
    assert_eq!(code, 1);
    assert!(
        note.contains("`tachi host drain compute-001` starts another"),
        "{note}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_an_aborted_drain_aborts_what_is_under_way_and_begins_nothing_more() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 4);
    let _engine = harness.spawn("engine");
    engine_works(&harness).await;
    let region = harness.sandbox.region();
    region
        .faults()
        .add_move_fault(MoveFaultRule::always(MoveFault::LiveHang));
    assert_eq!(drain(&harness, &["--no-follow"]).0, 0);
    let id = json(&harness, &["recovery", "list"])[0]["recovery"]
        .as_str()
        .unwrap()
        .to_owned();
    until("two to be under way", LIMIT, async || {
        json(&harness, &["recovery", "show", &id])["moves"]["ongoing"] == 2
    })
    .await;
    assert_eq!(
        run(
            &harness,
            &["host", "drain", HOST, "--abort", "--yes", "--reason", "not today"]
        )
        .0,
        0
    );
    let (code, printed, _) = run(&harness, &["recovery", "show", &id, "--follow"]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("0 of 4 moved, 4 not moved"), "{printed}");
    assert_eq!(hosts(&harness, &servers), [HOST; 4]);
    let cancelled: usize = servers
        .iter()
        .map(|id| {
            let records = region.migrations(*id);
            records
                .iter()
                .filter(|record| record.status == "cancelled")
                .count()
        })
        .sum();
    assert_eq!(cancelled, 2);
}

/// Writes a plan without a command; `put` has the hosts to which the instances of a giveback were moved.
async fn plan(harness: &Harness, kind: RecoveryKind, put: BTreeMap<ServerId, String>) -> NotificationId {
    let order = PlannedOrder {
        by: "alice".into(),
        reason: "firmware".into(),
        lasts: Duration::from_hours(1),
        at_once: 2,
        limit: Duration::from_mins(5),
        with_locked: false,
        instances: put,
    };
    let region = harness.store.operator_journal().region().await.unwrap();
    let mut hosts = region.into_iter().flat_map(|segment| segment.hosts);
    let host = hosts.find(|view| view.host.name == HOST).unwrap().host.id;
    let new = NewPlan {
        kind,
        host,
        payload: order.payload(kind),
    };
    let begun = harness.store.plans().plan(&new).await.unwrap();
    let PlanOutcome::Started { notification, .. } = begun else {
        panic!("{begun:?}");
    };
    notification
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_while_it_is_drained_is_recovered_and_never_frozen() {
    let harness = harness().await;
    let servers = harness.boot(HOST, 6);
    let region = harness.sandbox.region();
    // Two are caught in the middle, and are not known to be anywhere else: they wait for an operator, as after any half move.
    let drained = plan(&harness, RecoveryKind::Drain, BTreeMap::new()).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    until("the first to be moved", LIMIT, async || {
        hosts(&harness, &servers).iter().any(|host| host != HOST)
    })
    .await;
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    until("the drain to end", LIMIT, async || {
        harness.status(drained).await.0 == NotificationStatus::Failed
    })
    .await;
    let (_, text) = harness.status(drained).await;
    assert!(text.unwrap().contains("is being recovered, so this drain ends"));
    let untouched: Vec<Uuid> = servers
        .iter()
        .copied()
        .filter(|id| {
            region
                .migrations(*id)
                .iter()
                .all(|record| record.kind == MigrationKind::Evacuation)
        })
        .collect();
    assert!(!untouched.is_empty());
    until(
        "instances without a started move to be recovered",
        LIMIT,
        async || hosts(&harness, &untouched).iter().all(|host| host != HOST),
    )
    .await;
    assert!(harness.store.freezes().freezes().await.unwrap().is_empty());
    assert_eq!(region.ledger().double_runs, 0);
    let _ = notification;
    engine.stop().await;
}

/// The host to which the instances of a giveback were moved.
const OTHER: &str = "compute-002";

/// Lets an engine die at its `at`-th commit and another one finish. Returns false if there were fewer commits.
async fn die_at(kind: RecoveryKind, at: usize, crash_point: CrashPoint) -> bool {
    let harness = harness().await;
    let is_drain = kind == RecoveryKind::Drain;
    let servers = harness.boot(if is_drain { HOST } else { OTHER }, 3);
    let put = servers
        .iter()
        .filter(|_| !is_drain)
        .map(|id| ((*id).into(), OTHER.to_owned()));
    let planned = plan(&harness, kind, put.collect()).await;
    let (journal, dead) = CrashingJournal::new(&harness, at, crash_point);
    let first = harness.engine(Arc::new(journal), quick_policy()).await;
    let died = tokio::select! {
        () = dead.cancelled() => true,
        () = harness.until_finished(planned, LIMIT) => dead.is_cancelled(),
    };
    first.kill().await;
    let second = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(planned, LIMIT).await;
    second.stop().await;
    assert_moved(&harness, &servers, 1);
    assert!(
        hosts(&harness, &servers)
            .iter()
            .all(|host| (host != HOST) == is_drain)
    );
    let frozen = harness.store.freezes().freezes().await.unwrap();
    assert_eq!(
        frozen.len(),
        usize::from(is_drain),
        "a host that is emptied is frozen once"
    );
    died
}

async fn die_at_every_commit(kind: RecoveryKind, crash_point: CrashPoint) {
    die_at_commits(|at| die_at(kind, at, crash_point)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_before_any_commit_is_followed_by_one_that_drains_each_instance_once() {
    die_at_every_commit(RecoveryKind::Drain, CrashPoint::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_after_any_commit_is_followed_by_one_that_drains_each_instance_once() {
    die_at_every_commit(RecoveryKind::Drain, CrashPoint::After).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_while_it_drains_is_followed_by_one_that_moves_each_instance_once() {
    die_at_every_commit(RecoveryKind::Drain, CrashPoint::Acting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_before_any_commit_is_followed_by_one_that_gives_back_each_instance_once() {
    die_at_every_commit(RecoveryKind::Giveback, CrashPoint::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_after_any_commit_is_followed_by_one_that_gives_back_each_instance_once() {
    die_at_every_commit(RecoveryKind::Giveback, CrashPoint::After).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_while_it_gives_back_is_followed_by_one_that_moves_each_instance_once() {
    die_at_every_commit(RecoveryKind::Giveback, CrashPoint::Acting).await;
}
