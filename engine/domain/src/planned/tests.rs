//! Tests with a small model of Nova that answers the calls step by step. Each decision is journalled and may be
//! its engine's last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::entity::Stamps;
use crate::entity::notification::NotificationType;
use crate::entity::vmove::VmoveStatus;
use crate::fault::{Fault, FaultClass};
use crate::freeze::{Freeze, FreezeScope};
use crate::nova::{InstanceTraits, Migration, MigrationStatus, MigrationType, PowerState, Server, VmState};
use crate::recovery::{InCell, OperatorRequest, ServerCall, ServerReading, ServiceUpdate};
use crate::{HostId, MigrationId, ServiceId, Timestamp};

mod abort;
mod arrivals;
mod remaining_instances;

const HOST: &str = "compute-1";
const OTHER: &str = "compute-2";

fn id(number: u128) -> ServerId {
    ServerId(Uuid::from_u128(number))
}

fn server(number: u128, host: &str) -> Server {
    Server {
        id: id(number),
        name: format!("vm-{number}"),
        host: Some(host.to_owned()),
        vm_state: VmState::Active,
        task_state: None,
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        metadata: BTreeMap::new(),
        volume_backed: true,
        launched: true,
        fault: None,
        about: InstanceTraits::default(),
        needs: None,
        updated: None,
    }
}

fn fault(class: FaultClass, maybe_done: bool) -> Fault {
    Fault {
        class,
        status: Some(409),
        maybe_done,
        text: "nova said no".into(),
    }
}

fn order(instances: &[(u128, &str)]) -> PlannedOrder {
    PlannedOrder {
        by: "alice".into(),
        reason: "firmware".into(),
        lasts: Duration::from_hours(3),
        at_once: 2,
        limit: Duration::from_mins(10),
        with_locked: false,
        instances: instances
            .iter()
            .map(|(number, host)| (id(*number), (*host).to_owned()))
            .collect(),
    }
}

/// The model of Nova, the clock, and the recovery.
struct Bench {
    state: Option<PlannedState>,
    now: u64,
    service: Service,
    servers: BTreeMap<ServerId, Server>,
    migrations: Vec<Migration>,
    /// Nova's answers to the next calls; true if Nova executes the call.
    answers: Vec<(Result<(), Fault>, bool)>,
    /// The duration of a migration; `None` if it never ends.
    takes: Option<u64>,
    begun: BTreeMap<ServerId, u64>,
    operator_state: OperatorState,
    under_recovery: bool,
    records: Vec<Record>,
    calls: Vec<Command>,
    most_under_way: usize,
    /// True if Nova carries out aborts.
    aborts: bool,
    /// True if a recovery of the host opens right before the drain would end.
    refuses_end: bool,
    /// Instances of the host with recoveries of their own.
    recovered: Vec<ServerId>,
}

impl Bench {
    fn new(kind: RecoveryKind, order: &PlannedOrder, servers: Vec<Server>) -> Self {
        let notification = Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(1)),
            kind: NotificationType::ComputeHost,
            generated_time: Timestamp::from_micros(0),
            source_host: HostId(Uuid::from_u128(2)),
            segment: None,
            payload: order.payload(kind),
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: Timestamp::from_micros(0),
                updated_at: None,
            },
        };
        let recovery = RecoveryId(Uuid::from_u128(3));
        let state = PlannedState::new(recovery, kind, &notification, HOST, Policy::default());
        Self {
            state: Some(state),
            now: 0,
            service: Service {
                id: ServiceId(Uuid::from_u128(4)),
                host: HOST.into(),
                enabled: true,
                disabled_reason: None,
                up: true,
                forced_down: false,
                last_heartbeat: None,
                nova_now: None,
            },
            servers: servers.into_iter().map(|server| (server.id, server)).collect(),
            migrations: Vec::new(),
            answers: Vec::new(),
            takes: Some(3_000),
            begun: BTreeMap::new(),
            operator_state: OperatorState::DEFAULT,
            under_recovery: false,
            records: Vec::new(),
            calls: Vec::new(),
            most_under_way: 0,
            aborts: true,
            refuses_end: false,
            recovered: Vec::new(),
        }
    }

    fn drain(servers: Vec<Server>) -> Self {
        Self::new(RecoveryKind::Drain, &order(&[]), servers)
    }

    fn state(&self) -> &PlannedState {
        self.state.as_ref().unwrap()
    }

    fn one(&self, number: u128) -> &PlannedMove {
        &self.state().moves[&id(number)]
    }

    fn clock(&self) -> DecisionTime {
        DecisionTime {
            elapsed: Elapsed::from_millis(self.now),
            wall: Timestamp::from_micros(i64::try_from(self.now * 1_000).unwrap()),
        }
    }

    /// Decides, stores the record, and lets Nova answer. A refused record is decided again, as the driver does.
    fn record_message(&mut self, observations: Vec<Observation>) {
        let clock = self.clock();
        let decision = decide(self.state.as_mut().unwrap(), observations, clock);
        let mut record = decision.record;
        let begins = self.under_recovery || self.refuses_end && record.life.is_some();
        let refusal = if begins && record.unless_host_recovery.is_some() {
            Some(Observation::HostUnderRecovery)
        } else if record.freeze.is_some() && !self.recovered.is_empty() {
            (record.life, record.notification) = (None, None);
            Some(Observation::InstancesUnderRecovery(self.recovered.clone()))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            record.freeze = None;
            record.steps.clear();
            record.unless_host_recovery = None;
            let mut batch: Vec<Observation> =
                decision.commands.into_iter().map(Observation::NotSent).collect();
            batch.push(refusal);
            let again = decide(self.state.as_mut().unwrap(), batch, clock);
            record.merge(again.record);
            self.records.push(record);
            assert!(again.commands.is_empty(), "{:?}", again.commands);
            return;
        }
        self.records.push(record);
        let mut answers = Vec::new();
        for command in decision.commands {
            answers.push(self.answer(&command));
            self.calls.push(command);
        }
        if !answers.is_empty() {
            self.record_message(answers);
        }
    }

    fn live(&mut self, server: ServerId, target: Option<&str>) {
        let number = u64::try_from(self.migrations.len()).unwrap() + 1;
        self.migrations.push(Migration {
            id: MigrationId(number),
            server,
            kind: MigrationType::LiveMigration,
            status: MigrationStatus::Running,
            source: self.servers[&server].host.clone(),
            dest: Some(target.unwrap_or(OTHER).to_owned()),
            created_at: None,
            updated_at: None,
        });
        self.servers.get_mut(&server).unwrap().task_state = Some("migrating".into());
        self.begun.insert(server, self.now);
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else there is or will be is forbidden"
    )]
    fn answer(&mut self, command: &Command) -> Observation {
        match command {
            Command::ReadService => Observation::Service(Ok(Some(self.service.clone()))),
            Command::UpdateService { update, .. } => {
                let ServiceUpdate::Disable { reason } = update else {
                    panic!("{update:?}");
                };
                self.service.enabled = false;
                self.service.disabled_reason = Some(reason.clone());
                Observation::ServiceUpdated(Ok(self.service.clone()))
            }
            Command::TakeInventory { .. } => {
                let on_host = self.servers.values();
                let servers: Vec<Server> = on_host
                    .filter(|server| server.host.as_deref() == Some(HOST))
                    .cloned()
                    .collect();
                Observation::Inventory(Ok(Inventory {
                    evacuated: Vec::new(),
                    migrations: self.migrations.clone(),
                    in_cell: if servers.is_empty() {
                        InCell::Has(0)
                    } else {
                        InCell::NotQueried
                    },
                    servers,
                    service: Some(self.service.clone()),
                    written_off: BTreeMap::new(),
                    may_run: BTreeMap::new(),
                    local_disks: [].into(),
                }))
            }
            Command::FollowMove(server) => {
                let migrations = self.migrations.iter().filter(|row| row.server == *server);
                Observation::Followed {
                    server: *server,
                    result: Ok(ServerReading {
                        server: self.servers.get(server).cloned(),
                        migrations: migrations.cloned().collect(),
                        percent: self.begun.get(server).map(|_| 61),
                    }),
                }
            }
            Command::LiveMigrate { server, target } => {
                let (result, done) = if self.answers.is_empty() {
                    (Ok(()), true)
                } else {
                    self.answers.remove(0)
                };
                if done {
                    self.live(*server, target.as_deref());
                }
                Observation::ServerCall {
                    server: *server,
                    call: ServerCall::LiveMigrate,
                    result,
                }
            }
            Command::AbortMigration { server, migration } => {
                if !self.aborts {
                    return Observation::ServerCall {
                        server: *server,
                        call: ServerCall::AbortMigration,
                        result: Err(fault(FaultClass::Permanent, false)),
                    };
                }
                let row = self
                    .migrations
                    .iter_mut()
                    .find(|row| row.id == *migration)
                    .unwrap();
                row.status = MigrationStatus::Cancelled;
                self.begun.remove(server);
                self.servers.get_mut(server).unwrap().task_state = None;
                Observation::ServerCall {
                    server: *server,
                    call: ServerCall::AbortMigration,
                    result: Ok(()),
                }
            }
            other => panic!("a planned move has no business with {other:?}"),
        }
    }

    fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        if self.records.is_empty() {
            let operator_state = self.operator_state.clone();
            self.record_message(vec![Observation::Claimed(operator_state)]);
        }
        while self.now < until && self.state().stage != PlannedStage::Done {
            self.now += 100;
            let under_way = self.state().count(MoveStage::Asked);
            self.most_under_way = self.most_under_way.max(under_way);
            let over: Vec<ServerId> = self
                .begun
                .iter()
                .filter(|(_, begun)| self.takes.is_some_and(|takes| self.now - **begun >= takes))
                .map(|(server, _)| *server)
                .collect();
            for server in over {
                self.begun.remove(&server);
                let row = self.migrations.iter_mut().rev().find(|row| row.server == server);
                let row = row.unwrap();
                row.status = MigrationStatus::Completed;
                let server = self.servers.get_mut(&server).unwrap();
                server.host.clone_from(&row.dest);
                server.task_state = None;
            }
            self.record_message(vec![Observation::Tick]);
        }
    }

    fn end(&mut self) -> (NotificationStatus, String) {
        self.run(3_600_000);
        assert_eq!(
            self.state().stage,
            PlannedStage::Done,
            "{:?}",
            self.state().message
        );
        let notification = self
            .records
            .iter()
            .rev()
            .find_map(|record| record.notification.clone());
        let (status, text) = notification.unwrap();
        (status, text.unwrap())
    }

    fn orders(&self) -> Vec<ServerId> {
        self.calls
            .iter()
            .filter_map(|call| {
                if let Command::LiveMigrate { server, .. } = call {
                    Some(*server)
                } else {
                    None
                }
            })
            .collect()
    }

    fn say_abort(&mut self) {
        self.operator_state.word = Some(OperatorRequest {
            number: 1,
            word: OperatorCommand::Reject,
            by: "bob".into(),
            at: Timestamp::from_micros(0),
        });
        let operator_state = self.operator_state.clone();
        self.record_message(vec![Observation::OperatorState(operator_state)]);
    }

    /// Replaces the engine by another one that reads the journal.
    fn take_over(&mut self) {
        let head = self.state().head().unwrap();
        self.state = Some(PlannedState::restore(&head).unwrap());
        let operator_state = self.operator_state.clone();
        self.record_message(vec![Observation::Claimed(operator_state)]);
    }

    fn froze(&self) -> bool {
        self.records.iter().any(|record| record.freeze.is_some())
    }
}

#[test]
fn a_stored_order_is_read_back() {
    let order = order(&[(7, OTHER), (8, "a.b-c")]);
    assert_eq!(PlannedOrder::read(&order.payload(RecoveryKind::Giveback)), order);
    let nothing = PlannedOrder::read(&BTreeMap::new());
    assert_eq!((nothing.at_once, nothing.limit), (1, MIN_MOVE_LIMIT));
    assert!(nothing.lasts.is_zero() && nothing.instances.is_empty());
}

/// Covers T2.
#[test]
fn an_order_above_the_limits_is_read_as_the_limits() {
    let most = u64::MAX.to_string();
    let keys = ["for_seconds", "limit_seconds"].map(|key| (key.to_owned(), most.clone()));
    let mut payload = BTreeMap::from(keys);
    payload.insert("at_once".to_owned(), u32::MAX.to_string());
    let read = PlannedOrder::read(&payload);
    assert_eq!((read.lasts, read.limit), (MAX_FREEZE_DURATION, MAX_MOVE_LIMIT));
    assert_eq!(read.at_once, MAX_PARALLEL_MOVES);
}

#[test]
fn a_host_is_disabled_then_emptied_two_at_a_time_and_frozen_only_at_its_end() {
    let mut bench = Bench::drain((1..=5).map(|number| server(number, HOST)).collect());
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert!(
        text.starts_with("compute-1 is drained: 5 instances moved, nothing is left; frozen for 180 min"),
        "{text}"
    );
    assert_eq!(text.matches("tachi ").count(), 1, "{text}");
    assert!(
        text.ends_with("tachi host undrain compute-1 --reason TEXT"),
        "{text}"
    );
    assert_eq!(bench.most_under_way, 2);
    assert_eq!(bench.orders().len(), 5, "each once");
    let reason = bench.service.disabled_reason.clone().unwrap();
    assert!(
        crate::recovery::is_drained(&reason) && reason.starts_with("firmware"),
        "{reason}"
    );
    let frozen: Vec<_> = bench
        .records
        .iter()
        .filter(|record| record.freeze.is_some())
        .collect();
    assert_eq!(frozen.len(), 1);
    assert_eq!(
        frozen[0].life,
        Some(Life::Closed),
        "in the transaction that ends it"
    );
    assert_eq!(frozen[0].unless_host_recovery.as_deref(), Some(HOST));
}

#[test]
fn every_call_is_journalled_alone_before_it_is_sent_and_only_without_a_recovery() {
    let mut bench = Bench::drain(vec![server(1, HOST), server(2, HOST)]);
    bench.end();
    let intents: Vec<_> = bench
        .records
        .iter()
        .filter(|record| record.unless_elsewhere.is_some())
        .collect();
    assert_eq!(intents.len(), 2);
    for record in intents {
        assert!(record.head && record.unless_frozen.own);
        assert_eq!(record.unless_host_recovery.as_deref(), Some(HOST));
        assert_eq!(record.unless_frozen.servers.len(), 1);
    }
}

#[test]
fn instances_placed_during_the_disabling_are_moved_too() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.run(1_000);
    bench.servers.insert(id(2), server(2, HOST));
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(1), id(2)]);
}

#[test]
fn a_host_that_dies_in_the_middle_ends_the_drain_and_is_neither_frozen_nor_asked_for_anything() {
    for at in (0..12_000).step_by(100) {
        let mut bench = Bench::drain((1..=3).map(|number| server(number, HOST)).collect());
        bench.run(at);
        let orders_before = bench.orders().len();
        if bench.state().stage == PlannedStage::Done {
            continue;
        }
        bench.takes = None;
        bench.service.up = false;
        bench.under_recovery = true;
        bench.run(60_000);
        assert_eq!(
            bench.state().stage,
            PlannedStage::Done,
            "at {at}: {:?}",
            bench.state().message
        );
        assert_eq!(bench.orders().len(), orders_before, "at {at}");
        assert!(!bench.froze(), "at {at}");
        assert!(
            bench.state().moves.values().all(PlannedMove::is_finished),
            "at {at}"
        );
    }
}

#[test]
fn an_end_that_the_journal_refuses_because_the_host_has_died_this_moment_is_another_end() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    // The transaction that would freeze the host.
    bench.refuses_end = true;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    assert!(
        text.starts_with("compute-1 is being recovered, so this drain ends"),
        "{text}"
    );
    assert!(!bench.froze());
}

#[test]
fn no_call_is_repeated_if_the_engine_dies_at_any_moment() {
    for at in (100..9_000).step_by(100) {
        let mut bench = Bench::drain((1..=3).map(|number| server(number, HOST)).collect());
        bench.run(at);
        if bench.state().stage == PlannedStage::Done {
            continue;
        }
        bench.take_over();
        let (status, text) = bench.end();
        assert_eq!(status, NotificationStatus::Finished, "at {at}: {text}");
        let orders = bench.orders();
        assert_eq!(
            orders.len(),
            orders.iter().collect::<BTreeSet<_>>().len(),
            "at {at}: {orders:?}"
        );
    }
}

#[test]
fn a_false_answer_is_checked() {
    use FaultClass::{Conflict, Permanent, Transient};
    // Nova's answer, whether Nova executed the call, the instance's final status, and the number of orders.
    let cases = [
        (
            fault(Transient, true),
            true,
            VmoveStatus::Succeeded,
            1,
            "a 500 after the work",
        ),
        (
            fault(Conflict, false),
            true,
            VmoveStatus::Succeeded,
            1,
            "a proxy repeated the call",
        ),
        (
            fault(Conflict, false),
            false,
            VmoveStatus::Ignored,
            1,
            "a conflict",
        ),
        (
            fault(Permanent, false),
            false,
            VmoveStatus::Ignored,
            1,
            "a refusal",
        ),
        (
            fault(Transient, true),
            false,
            VmoveStatus::Succeeded,
            2,
            "a call that was lost",
        ),
        (
            fault(Transient, false),
            false,
            VmoveStatus::Succeeded,
            2,
            "Nova was away",
        ),
    ];
    for (answer, done, status, orders, what) in cases {
        let mut bench = Bench::drain(vec![server(1, HOST)]);
        bench.answers = vec![(Err(answer), done)];
        bench.end();
        assert_eq!(bench.one(1).status(), status, "{what}: {:?}", bench.one(1));
        assert_eq!(bench.orders().len(), orders, "{what}");
    }
}

/// Covers R8.
#[test]
fn a_call_without_an_answer_is_not_repeated_before_it_can_no_longer_take_effect() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.answers = vec![(Err(fault(FaultClass::Transient, true)), false)];
    let counts = bench.state().policy.absence_counts_after();
    while bench.orders().len() < 2 {
        bench.run(100);
        assert_ne!(
            bench.state().stage,
            PlannedStage::Done,
            "{:?}",
            bench.state().message
        );
    }
    assert!(
        bench.now >= u64::try_from(counts.as_millis()).unwrap(),
        "{}",
        bench.now
    );
}

#[test]
fn a_hanging_migration_is_aborted_and_finished_moves_stay_listed() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.takes = None;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    let aborts = bench
        .calls
        .iter()
        .filter(|call| matches!(call, Command::AbortMigration { .. }))
        .count();
    assert_eq!(aborts, 1);
    assert!(bench.now >= 600_000 && bench.now < 700_000, "{}", bench.now);
    assert!(text.contains("aborted: it was not done within 600 s"), "{text}");
    assert_eq!(bench.one(1).percent, Some(60), "in tens");
}

#[test]
fn a_migration_that_nova_does_not_end_is_left_to_nova_and_said_so() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.takes = None;
    bench.aborts = false;
    bench.end();
    let note = bench.one(1).note.clone().unwrap();
    assert!(
        note.contains("is still running after the request to abort it"),
        "{note}"
    );
}

#[test]
fn an_abort_starts_nothing_and_aborts_running_migrations() {
    let mut bench = Bench::drain((1..=4).map(|number| server(number, HOST)).collect());
    bench.takes = None;
    bench.run(2_000);
    assert_eq!(bench.orders().len(), 2);
    bench.say_abort();
    let (status, text) = bench.end();
    assert_eq!((status, bench.orders().len()), (NotificationStatus::Failed, 2));
    assert!(
        text.starts_with("aborted by bob: 0 of 4 moved, 4 not moved"),
        "{text}"
    );
    assert!(
        text.ends_with("tachi host undrain compute-1 --reason TEXT returns it to service"),
        "{text}"
    );
    assert!(bench.servers.values().all(|server| server.task_state.is_none()));
    assert!(!bench.froze());
}

/// Covers R23.
#[test]
fn a_service_disabled_by_others_stays_so() {
    let mut bench = Bench::new(RecoveryKind::Drain, &order(&[]), vec![server(1, HOST)]);
    bench.service.enabled = false;
    bench.service.disabled_reason = Some("mine".into());
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.service.disabled_reason.as_deref(), Some("mine"));
    assert!(!text.contains("undrain"), "{text}");
    assert!(
        text.ends_with("When the work is done: tachi thaw host compute-1; its service was disabled before the drain, and stays so"),
        "{text}"
    );
}

#[test]
fn a_host_that_is_down_is_not_drained() {
    for forced_down in [false, true] {
        let mut bench = Bench::new(RecoveryKind::Drain, &order(&[]), vec![server(1, HOST)]);
        bench.service.up = false;
        bench.service.forced_down = forced_down;
        let (status, _) = bench.end();
        assert_eq!(status, NotificationStatus::Failed);
        assert!(bench.orders().is_empty() && bench.service.enabled);
    }
}

#[test]
fn a_freeze_blocks_moves_that_have_not_started() {
    let freeze = |scope| Freeze {
        number: 1,
        scope,
        name: "x".into(),
        until: Timestamp::from_micros(60_000_000),
        by: "carol".into(),
        reason: "audit".into(),
        unless_worse: false,
    };
    let mut bench = Bench::drain((1..=3).map(|number| server(number, HOST)).collect());
    bench.run(1_000);
    let orders_before = bench.orders().len();
    bench
        .operator_state
        .frozen
        .over
        .push(freeze(FreezeScope::Segment));
    let operator_state = bench.operator_state.clone();
    bench.record_message(vec![Observation::OperatorState(operator_state)]);
    bench.run(120_000);
    assert_eq!(bench.orders().len(), orders_before);
    assert_eq!(bench.state().wait().map(|wait| wait.what), Some(WaitsFor::Frozen));
    bench.operator_state = OperatorState::DEFAULT;
    bench
        .operator_state
        .frozen
        .instances
        .insert(id(3), freeze(FreezeScope::Instance));
    let operator_state = bench.operator_state.clone();
    bench.record_message(vec![Observation::OperatorState(operator_state)]);
    let (_, text) = bench.end();
    assert!(!bench.orders().contains(&id(3)), "{text}");
    assert!(text.contains("vm-3 (instance x is frozen"), "{text}");
}

#[test]
fn a_giveback_moves_back_instances_that_have_not_moved_since() {
    let order = order(&[(1, OTHER), (2, OTHER)]);
    let mut bench = Bench::new(
        RecoveryKind::Giveback,
        &order,
        vec![server(1, OTHER), server(2, "compute-3")],
    );
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed, "{text}");
    assert_eq!(bench.servers[&id(1)].host.as_deref(), Some(HOST));
    let named = |call: &Command| matches!(call, Command::LiveMigrate { target, .. } if target.as_deref() == Some(HOST));
    assert_eq!(bench.calls.iter().filter(|call| named(call)).count(), 1);
    assert!(
        text.contains("vm-2 (it was moved since, and is on compute-3)"),
        "{text}"
    );
    assert!(bench.service.enabled && !bench.froze());
}

#[test]
fn nothing_is_moved_back_to_a_disabled_host() {
    let mut bench = Bench::new(
        RecoveryKind::Giveback,
        &order(&[(1, OTHER)]),
        vec![server(1, OTHER)],
    );
    bench.service.enabled = false;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    assert!(text.contains("compute-1 is disabled in Nova"), "{text}");
    assert!(bench.orders().is_empty());
}

/// Covers C1.
#[test]
fn an_instance_that_may_run_elsewhere_is_not_moved() {
    let mut bench = Bench::drain(vec![server(1, HOST), server(2, HOST)]);
    while bench.orders().is_empty() {
        bench.run(100);
    }
    let first = bench.orders()[0];
    let now = bench.clock();
    // As after a refused write of the intent by the journal.
    let mut state = bench.state.take().unwrap();
    state.moves.get_mut(&first).unwrap().stage = MoveStage::Asked;
    state.journalled_server = Some(first);
    let target = None;
    let batch = vec![
        Observation::NotSent(Command::LiveMigrate {
            server: first,
            target,
        }),
        Observation::MayRunOn(BTreeSet::from(["compute-9".to_owned()])),
    ];
    let _ = decide(&mut state, batch, now);
    let instance = &state.moves[&first];
    assert_eq!(instance.stage, MoveStage::Left);
    assert!(
        instance.note.as_ref().unwrap().contains("compute-9"),
        "{:?}",
        instance.note
    );
}
