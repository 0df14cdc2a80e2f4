use std::sync::Arc;
use std::time::Instant;

use sea_orm::{ConnectionTrait as _, DbBackend, PaginatorTrait as _, Statement};
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostAttributes, MaintenanceReason};
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::segment::SegmentChange;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{OperatorCommand, OperatorState, RecoveryKind, Task, WrittenOff};
use tachi_domain::{MigrationId, ServerId, Timestamp, Wait, WaitsFor};
use tachi_engine::ports::journal::{HostWrite, MoveWrite, ProofWrite};
use tachi_engine::ports::operator::ActionOutcome;
use tachi_engine::ports::{Hosts as _, Notifications as _, OperatorJournal as _, Segments as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::entity::{host_state, recovery_move, recovery_proof, recovery_step, vmove};
use crate::testing::{Bench, START, all, notification, pending_move, step, stopped};

mod claims;
mod operator;

/// Creates a database with one host that has stopped.
pub(super) async fn one_down() -> (Bench, Host) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    (bench, host)
}

fn server(number: u128) -> ServerId {
    ServerId(Uuid::from_u128(number))
}

fn moves(count: u32) -> Vec<MoveWrite> {
    (0..count)
        .map(|rank| pending_move(server(u128::from(rank) + 1), rank))
        .collect()
}

fn with_moves(moves: Vec<MoveWrite>) -> Write {
    Write {
        moves,
        ..Write::default()
    }
}

/// Commits, and expects the write to succeed.
async fn written(bench: &Bench, claimed: &ClaimedRecovery, write: &Write) -> OperatorState {
    let committed = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, write)
        .await
        .unwrap();
    let WriteOutcome::Written(operator_state) = committed else {
        panic!("{committed:?}");
    };
    unclocked(operator_state)
}

/// Removes the clock: servers return their time, a file does not.
fn unclocked(operator_state: OperatorState) -> OperatorState {
    OperatorState {
        clock: None,
        ..operator_state
    }
}

/// True if the claim is still held and an operator has changed nothing.
fn is_calm(committed: WriteOutcome) -> bool {
    matches!(committed, WriteOutcome::Written(operator_state) if OperatorState { clock: None, ..operator_state.clone() } == OperatorState::DEFAULT)
}

/// Returns every row that a commit can write.
pub(super) async fn contents(bench: &Bench) -> Vec<String> {
    let tables = [
        (
            "recovery",
            "uuid, life, epoch, seq, beat, elapsed_ms, COALESCE(state, ''), proven_off, waits_for",
        ),
        ("recovery_move", "vmove_uuid, COALESCE(open_key, ''), state"),
        ("vmoves", "uuid, status"),
        ("recovery_step", "text"),
        ("recovery_proof", "evidence"),
        ("host_state", "host_uuid, why"),
        (
            "notifications",
            "notification_uuid, status, COALESCE(message, '')",
        ),
        ("hosts", "uuid, on_maintenance"),
    ];
    let db = bench.store.db.reader();
    let backend = db.get_database_backend();
    let sql = tables.map(|(table, columns)| match backend {
        DbBackend::Sqlite => format!(
            "SELECT {} AS it FROM {table}",
            columns.replace(", ", " || ").replace(" || '')", ", '')")
        ),
        DbBackend::MySql | DbBackend::Postgres | _ => format!("SELECT CONCAT({columns}) AS it FROM {table}"),
    });
    let sql = format!(
        "SELECT it FROM ({}) AS everything ORDER BY 1",
        sql.join(" UNION ALL ")
    );
    let rows = db
        .query_all_raw(Statement::from_string(backend, sql))
        .await
        .unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// A write that touches every table.
fn everything(host: HostId) -> Write {
    Write {
        elapsed: Elapsed::from_millis(1234),
        state: Some("{\"step\":\"plan\"}".to_owned()),
        wait: Some(Wait::bare(WaitsFor::Approval, Timestamp::from_micros(START))),
        life: None,
        moves: moves(3),
        steps: vec![step(Task::Evacuate, 0.5, false, "moving")],
        proofs: vec![ProofWrite {
            kind: "device".to_owned(),
            by: "engine".to_owned(),
            from: "bmc1".to_owned(),
            evidence: "{}".to_owned(),
            at: Timestamp::from_micros(START),
        }],
        notification: Some((NotificationStatus::Running, Some("moving".to_owned()))),
        host: Some(HostWrite {
            host,
            why: MaintenanceReason::Recovery,
        }),
        proven_off: Some(true),
        unless_host_recovery: None,
        unless_elsewhere: None,
        unless_joined: false,
        unless_evidence: false,
        latest: None,
        planned: Vec::new(),
        rewind_done: false,
        freeze: None,
        restarted: None,
        reservations: Vec::new(),
        host_back: None,
        running_again: false,
        dismissed: false,
        unrepaired: false,
        processed_action_ids: Vec::new(),
        order: None,
        move_order: None,
        unless_frozen: tachi_domain::freeze::UnlessFrozen::default(),
        worse: Vec::new(),
    }
}

#[tokio::test]
async fn moves_are_inserted_then_overwritten_and_shown_as_vmoves() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let mut moves = moves(2);
    written(&bench, &claimed, &with_moves(moves.clone())).await;
    let notification = claimed.notification.id;
    let pending = bench
        .store
        .registry()
        .list_vmoves(notification, &all())
        .await
        .unwrap();
    assert_eq!(pending.len(), 2);
    assert!(
        pending
            .iter()
            .all(|shown| shown.status == Some(VmoveStatus::Pending))
    );
    assert!(pending.iter().all(|shown| shown.stamps.updated_at.is_none()));

    bench.clock.set_wall_on(7);
    let at = bench.clock_wall();
    let instance = &mut moves[0];
    let vmove = &mut instance.vmove;
    vmove.status = VmoveStatus::Succeeded;
    vmove.dest_host = Some("cmp2".to_owned());
    (vmove.start_time, vmove.end_time) = (Some(at), Some(at));
    vmove.message = Some("moved".to_owned());
    instance.open = false;
    instance.state = "done".to_owned();
    let more = pending_move(server(3), 2);
    written(
        &bench,
        &claimed,
        &with_moves(vec![moves[0].clone(), more.clone()]),
    )
    .await;

    let shown = bench
        .store
        .registry()
        .get_vmove(notification, moves[0].vmove.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.status, Some(VmoveStatus::Succeeded));
    assert_eq!(shown.dest_host.as_deref(), Some("cmp2"));
    assert_eq!(shown.source_host.as_deref(), Some("cmp1"));
    assert_eq!((shown.start_time, shown.end_time), (Some(at), Some(at)));
    assert_eq!(shown.message.as_deref(), Some("moved"));
    assert_eq!(shown.instance_uuid, server(1).to_string());
    assert_eq!(shown.stamps.updated_at, Some(at.whole_seconds()));
    let untouched = bench
        .store
        .registry()
        .get_vmove(notification, moves[1].vmove.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(untouched.stamps.updated_at, None);
    let other_notification = tachi_domain::NotificationId(Uuid::nil());
    assert_eq!(
        bench
            .store
            .registry()
            .get_vmove(other_notification, more.vmove.id)
            .await
            .unwrap(),
        None
    );
    let states = bench.claim_newest("engine2").await.moves;
    assert_eq!(states, ["done", "{\"rank\":1}", "{\"rank\":2}"]);
}

/// Covers R6.
#[tokio::test]
async fn an_instance_is_moved_by_one_recovery_at_a_time() {
    let (bench, host) = one_down().await;
    let first = bench.claim_newest("engine").await;
    let mut stored = moves(3);
    written(&bench, &first, &with_moves(stored.clone())).await;
    let other = bench.host(&host.segment, "cmp2").await;
    bench.stopped(&other).await;
    let second = bench.claim_newest("engine").await;
    assert_ne!(second.id, first.id);

    let before = contents(&bench).await;
    let moves = vec![pending_move(server(2), 0), pending_move(server(9), 1)];
    let write = Write {
        moves: moves.clone(),
        ..everything(other.id)
    };
    let refused = bench
        .store
        .journal()
        .commit_at(second.id, second.epoch, &write)
        .await
        .unwrap();
    assert_eq!(refused, WriteOutcome::MovesTaken(vec![server(2)]));
    assert_eq!(contents(&bench).await, before, "nothing was written");

    // A finished move releases its instance, and a closed one requests none.
    stored[1].open = false;
    written(&bench, &first, &with_moves(vec![stored[1].clone()])).await;
    let mut listed = pending_move(server(1), 2);
    listed.open = false;
    written(&bench, &second, &with_moves([moves, vec![listed]].concat())).await;
}

/// Covers R6.
#[tokio::test]
async fn the_database_itself_refuses_a_second_move_of_an_instance() {
    let (bench, host) = one_down().await;
    let first = bench.claim_newest("engine").await;
    written(&bench, &first, &with_moves(moves(1))).await;
    let other = bench.host(&host.segment, "cmp2").await;
    bench.stopped(&other).await;
    let second = bench.claim_newest("engine").await;
    let row = claim::without_state(bench.store.db.reader(), &second.id.to_string())
        .await
        .unwrap();
    let insert = UncheckedMoves { row, moves: moves(1) };
    let Err(Stop::Failed(Failure::Db(error))) = bench.store.db.write(&insert).await else {
        panic!("two recoveries move one instance");
    };
    assert!(is_unique_violation(&error), "{error}");
}

/// Inserts moves without a check for other recoveries of their instances.
struct UncheckedMoves {
    row: recovery::Model,
    moves: Vec<MoveWrite>,
}

#[async_trait]
impl crate::transaction::Transaction for UncheckedMoves {
    type Output = ();

    async fn run(&self, tx: &crate::transaction::Tx) -> Result<crate::transaction::TxOutcome<()>, Stop> {
        moves::write(tx, &self.row, &self.moves, Timestamp::from_micros(START)).await?;
        Ok(crate::transaction::TxOutcome::Keep(()))
    }
}

#[tokio::test]
async fn a_recovery_that_is_closed_frees_its_host_and_its_instances() {
    for (life, moves_stay) in [(Life::Watching, true), (Life::Closed, false)] {
        let (bench, _) = one_down().await;
        let claimed = bench.claim_newest("engine").await;
        written(&bench, &claimed, &with_moves(moves(1))).await;
        let write = Write {
            life: Some(life),
            ..Write::default()
        };
        written(&bench, &claimed, &write).await;
        let row = claim::without_state(bench.store.db.reader(), &claimed.id.to_string())
            .await
            .unwrap();
        assert_eq!(row.open_key, None, "{life}");
        assert_eq!(row.life, life.as_str());
        let row = recovery_move::Entity::find()
            .one(bench.store.db.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.open_key.is_some(), moves_stay, "{life}");
    }
}

#[tokio::test]
async fn long_lists_are_written_in_batches() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let write = Write {
        moves: moves(1234),
        steps: vec![step(Task::Evacuate, 0.0, false, "x"); 2345],
        ..Write::default()
    };
    written(&bench, &claimed, &write).await;
    let db = bench.store.db.reader();
    assert_eq!(vmove::Entity::find().count(db).await.unwrap(), 1234);
    assert_eq!(recovery_move::Entity::find().count(db).await.unwrap(), 1234);
    assert_eq!(recovery_step::Entity::find().count(db).await.unwrap(), 2345);
    assert_eq!(recovery_proof::Entity::find().count(db).await.unwrap(), 0);
    // Taken instances are found across batches.
    let other = bench.host(&claimed.host.clone().unwrap().segment, "cmp2").await;
    bench.stopped(&other).await;
    let second = bench.claim_newest("engine").await;
    let refused = bench
        .store
        .journal()
        .commit_at(second.id, second.epoch, &with_moves(moves(1234)))
        .await
        .unwrap();
    let WriteOutcome::MovesTaken(taken) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(taken.len(), 1234);
}

/// Covers R12.
#[tokio::test]
async fn nothing_is_written_while_the_named_host_is_recovered() {
    let (bench, host) = one_down().await;
    let host_recovery = bench.claim_newest("engine").await;
    let other = bench.host(&host.segment, "cmp2").await;
    let payload = [("instance_uuid", "6c2b9d7e-0b0e-4f52-9c61-000000000001")];
    let vm = notification(NotificationType::Vm, "cmp2", bench.clock_wall(), &payload);
    bench.accept(&vm).await.unwrap();
    let started = notification(
        NotificationType::ComputeHost,
        "cmp2",
        bench.clock_wall(),
        &[("event", "STARTED")],
    );
    let vm_recovery = bench.claim_newest("engine").await;
    bench.accept(&started).await.unwrap();
    let unless = |name: &str| Write {
        steps: vec![step(Task::StopInstance, 0.0, false, "stopping")],
        unless_host_recovery: Some(name.to_owned()),
        ..Write::default()
    };
    written(&bench, &vm_recovery, &unless("cmp2")).await;
    let before = contents(&bench).await;
    let refused = bench
        .store
        .journal()
        .commit_at(vm_recovery.id, vm_recovery.epoch, &unless("cmp1"))
        .await
        .unwrap();
    assert_eq!(refused, WriteOutcome::HostUnderRecovery);
    assert_eq!(contents(&bench).await, before, "nothing was written");
    written(&bench, &host_recovery, &unless("cmp1")).await;
    bench.stopped(&other).await;
    let refused = bench
        .store
        .journal()
        .commit_at(vm_recovery.id, vm_recovery.epoch, &unless("cmp2"))
        .await
        .unwrap();
    assert_eq!(refused, WriteOutcome::HostUnderRecovery);
    let end = Write {
        life: Some(Life::Watching),
        ..Write::default()
    };
    written(&bench, &host_recovery, &end).await;
    written(&bench, &vm_recovery, &unless("cmp1")).await;
}

/// Seed 7023784: the older recovery took the newer one's two changes of Nova's record for heartbeats, and returned a
/// host that was off.
/// Covers R22.
#[tokio::test]
async fn the_newer_of_two_recoveries_that_watch_a_host_decides() {
    let (bench, host) = one_down().await;
    let watch = Write {
        life: Some(Life::Watching),
        notification: Some((NotificationStatus::Finished, None)),
        ..Write::default()
    };
    let hand_back = Write {
        steps: vec![step(Task::Return, 0.5, false, "clearing forced_down")],
        unless_host_recovery: Some("cmp1".to_owned()),
        ..Write::default()
    };
    let older = bench.claim_newest("engine").await;
    written(&bench, &older, &watch).await;
    written(&bench, &older, &hand_back).await;
    bench.clock.set_wall_on(200);
    bench.stopped(&host).await;
    let newer = bench.claim_newest("engine").await;
    assert_ne!(older.id, newer.id);
    for life in [None, Some(Life::Watching)] {
        let change = Write {
            life,
            ..Write::default()
        };
        written(&bench, &newer, &change).await;
        let before = contents(&bench).await;
        let refused = bench
            .store
            .journal()
            .commit_at(older.id, older.epoch, &hand_back)
            .await
            .unwrap();
        assert_eq!(refused, WriteOutcome::HostUnderRecovery, "{life:?}");
        assert_eq!(contents(&bench).await, before, "nothing was written");
    }
    written(&bench, &newer, &hand_back).await;
    let end = Write {
        life: Some(Life::Closed),
        ..Write::default()
    };
    written(&bench, &newer, &end).await;
    written(&bench, &older, &hand_back).await;
}

/// Covers R10.
#[tokio::test]
async fn hosts_are_proven_off_while_their_recovery_is_open_or_watching() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let cases = [
        ("not yet", None, None, names(&[])),
        ("proven", Some(true), None, names(&["cmp1"])),
        ("left as it is", None, None, names(&["cmp1"])),
        ("watching", None, Some(Life::Watching), names(&["cmp1"])),
        ("seen on", Some(false), None, names(&[])),
        (
            "proven again, and closed",
            Some(true),
            Some(Life::Closed),
            names(&[]),
        ),
    ];
    for (case, proven_off, life, expected) in cases {
        let write = Write {
            proven_off,
            life,
            ..Write::default()
        };
        written(&bench, &claimed, &write).await;
        assert_eq!(
            bench.store.journal().proven_off().await.unwrap(),
            expected,
            "{case}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beats_of_two_processes_do_not_get_in_each_others_way() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let stores = [bench.store.clone(), bench.another().await];
    let mut owners = JoinSet::new();
    for number in 0..8_usize {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let store = stores[number % 2].clone();
        owners.spawn(async move {
            for beat in 1..=20 {
                let elapsed = Elapsed::from_millis(beat);
                let beaten = store
                    .journal()
                    .beat_at(claimed.id, claimed.epoch, elapsed)
                    .await
                    .unwrap();
                assert!(matches!(beaten, WriteOutcome::Written(_)), "{beaten:?}");
            }
        });
    }
    while let Some(owner) = owners.join_next().await {
        owner.unwrap();
    }
    let views = bench.store.journal().unsettled().await.unwrap();
    assert!(views.iter().all(|view| view.beat == 21), "{views:?}");
}

/// Covers R10.
#[tokio::test]
async fn the_next_recovery_of_a_host_knows_the_records_given_up() {
    let (bench, host) = one_down().await;
    let given_up = |status: &str| {
        vec![WrittenOff {
            id: MigrationId(4),
            status: status.into(),
            dest: Some("cmp2".to_owned()),
        }]
    };
    let mut first = moves(3);
    first[0].written_off = given_up("accepted");
    first[2].state = "\"written_off\":[{ of a newer engine".to_owned();
    let ended = |moves: Vec<MoveWrite>| Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Finished, None)),
        ..with_moves(moves)
    };
    let older = bench.claim_newest("engine").await;
    written(&bench, &older, &ended(first.clone())).await;
    bench.clock.set_wall_on(200);
    bench.stopped(&host).await;
    let newer = bench.claim_newest("engine").await;
    let mut again = moves(1);
    again[0].server = first[0].server;
    again[0].written_off = given_up("pre-migrating");
    written(&bench, &newer, &ended(again)).await;

    let found = bench.store.journal().written_off("cmp1").await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [first[0].server]);
    let shapes: Vec<&str> = found[&first[0].server]
        .iter()
        .map(|off| off.status.as_nova())
        .collect();
    assert_eq!(shapes, ["pre-migrating"], "as the newer recovery has seen it");
    assert!(
        bench
            .store
            .journal()
            .written_off("cmp2")
            .await
            .unwrap()
            .is_empty()
    );
}

/// Prints the durations. Fails only far beyond the budget, because the machine may be busy.
#[tokio::test]
async fn a_thousand_moves_and_a_beat_take_no_longer_than_they_may() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let mut moves = moves(1000);
    let start = Instant::now();
    written(&bench, &claimed, &with_moves(moves.clone())).await;
    let inserted = start.elapsed();
    for instance in &mut moves {
        instance.vmove.status = VmoveStatus::Ongoing;
    }
    let start = Instant::now();
    written(&bench, &claimed, &with_moves(moves)).await;
    let overwritten = start.elapsed();
    let beats = 50;
    let start = Instant::now();
    for _ in 0..beats {
        let beaten = bench
            .store
            .journal()
            .beat_at(claimed.id, claimed.epoch, Elapsed::ZERO)
            .await
            .unwrap();
        assert!(is_calm(beaten));
    }
    let beat = start.elapsed() / beats;
    println!("1000 moves inserted in {inserted:?}, overwritten in {overwritten:?}; one beat {beat:?}");
    assert!(inserted.as_millis() < 10_000, "{inserted:?}");
    assert!(overwritten.as_millis() < 20_000, "{overwritten:?}");
    assert!(beat.as_millis() < 500, "{beat:?}");
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    let (bench, _) = one_down().await;
    let spoil = "UPDATE notifications SET payload = '[1]'";
    bench.store.db.writer().execute_unprepared(spoil).await.unwrap();
    let error = bench
        .store
        .journal()
        .claim_at(bench.newest().await, 0, "engine")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "claiming a recovery");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("notifications") && source.contains("payload"),
        "{source}"
    );
}

#[tokio::test]
async fn a_clone_is_the_same_database() {
    let (bench, _) = one_down().await;
    let clone: Arc<dyn Journal> = Arc::new(bench.store.journal().clone());
    assert_eq!(
        clone.unsettled().await.unwrap(),
        bench.store.journal().unsettled().await.unwrap()
    );
    let new = stopped("cmp1", bench.clock_wall());
    assert!(bench.accept(&new).await.is_err());
}
