//! Excluded instances, once their host is back.

use std::collections::{BTreeSet, VecDeque};

use super::bed::{HOST, Harness, fault, id, server, timeout};
use crate::Timestamp;
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::freeze::{Freeze, FreezeScope};
use crate::host_recovery::{ExcludedStart, Stage, StartEnd};
use crate::nova::{Actor, PowerState, Server, ServerAction, VmState};
use crate::policy::Policy;
use crate::recovery::{Command, Elsewhere, Life, Observation, ServerCall};
use crate::wait::WaitsFor;

fn stopped(number: u128) -> Server {
    Server {
        vm_state: VmState::Stopped,
        power_state: PowerState::Shutdown,
        ..server(number)
    }
}

/// Returns a recovery whose moves are done: these instances were listed, and policy excludes them all.
fn left(servers: Vec<Server>, change: impl FnOnce(&mut Policy)) -> Harness {
    let mut bed = Harness::with("UNKNOWN", |policy| {
        policy.evacuate_all = false;
        change(policy);
    })
    .proven();
    bed.forced_down().inventory(servers.clone(), Vec::new());
    bed.over(servers);
    assert_eq!(bed.state.stage, Stage::Returning);
    assert_eq!(bed.status, NotificationStatus::Finished);
    bed
}

/// Brings the host back.
fn come_back(bed: &mut Harness) {
    bed.at += 30_000;
    bed.service().beats();
    assert!(bed.clears());
    bed.service.forced_down = false;
    bed.service.up = true;
    let seen = bed.service.clone();
    bed.see(Observation::ServiceUpdated(Ok(seen)));
}

fn returned(servers: Vec<Server>) -> Harness {
    let mut bed = left(servers, |_| {});
    come_back(&mut bed);
    assert_eq!(bed.state.stage, Stage::Starting);
    assert_eq!(bed.record.life, None);
    bed.heartbeat_age(0).service();
    bed
}

fn requested(latest_first: &[(&str, Actor)]) -> Vec<ServerAction> {
    let action = |(action, by): &(&str, Actor)| ServerAction {
        action: (*action).to_owned(),
        by: *by,
        at: None,
    };
    latest_first.iter().map(action).collect()
}

const FOUND_SHUT_DOWN: &[(&str, Actor)] = &[("stop", Actor::Nova), ("create", Actor::Person)];

impl Harness {
    fn reads_server(&self, number: u128) -> bool {
        self.wants(|command| *command == Command::ReadServer(id(number)))
    }

    fn starts(&self, number: u128) -> bool {
        self.wants(|command| *command == Command::Start(id(number)))
    }

    fn starts_any(&self) -> bool {
        self.wants(|command| matches!(command, Command::Start(_)))
    }

    fn actions(&mut self, number: u128, latest_first: &[(&str, Actor)]) -> &mut Self {
        assert!(
            self.wants(|command| *command == Command::ReadActions(id(number))),
            "{:?}",
            self.commands
        );
        self.see(Observation::Actions {
            server: id(number),
            result: Ok(Some(requested(latest_first))),
        })
    }

    /// Passes time with a heartbeat of the host.
    fn later(&mut self, millis: u64) -> &mut Self {
        self.at += millis;
        self.heartbeat_age(0).service()
    }

    /// Passes time until the recovery reads the instance, then answers the read.
    fn shows(&mut self, number: u128, seen: Server) -> &mut Self {
        for _ in 0..100 {
            if self.reads_server(number) {
                return self.reads(number, Some(seen));
            }
            self.later(1_000);
        }
        panic!("{number} is not read: {:?}", self.commands);
    }

    fn start_of(&self, number: u128) -> Option<ExcludedStart> {
        self.one(number).start
    }

    fn end_of(&self, number: u128) -> Option<StartEnd> {
        self.start_of(number).and_then(|start| start.end)
    }

    fn note_of(&self, number: u128) -> &str {
        self.one(number).note.as_deref().unwrap_or_default()
    }
}

/// Covers P5.
#[test]
fn an_excluded_instance_that_ran_is_started_when_its_host_is_back() {
    let mut bed = returned(vec![server(1)]);
    assert!(
        bed.message
            .as_deref()
            .unwrap()
            .contains("1 excluded instance is started when compute-1 has returned"),
        "{:?}",
        bed.message
    );
    assert_eq!(bed.state.wait().map(|wait| wait.what), Some(WaitsFor::Start));
    // Nova's power-state sync has not run yet.
    bed.shows(1, server(1));
    assert!(!bed.starts_any());
    bed.shows(1, stopped(1));
    assert!(!bed.starts_any(), "a user may have stopped it");
    bed.actions(1, FOUND_SHUT_DOWN);
    assert!(bed.starts(1), "{:?}", bed.commands);
    assert!(bed.record.moves.contains(&id(1)), "journalled first");
    assert_eq!(bed.record.unless_host_recovery.as_deref(), Some(HOST));
    assert_eq!(
        bed.record.unless_elsewhere,
        Some(Elsewhere {
            server: id(1),
            host: HOST.into()
        })
    );
    assert!(bed.record.unless_frozen.own && bed.record.unless_frozen.servers.contains(&id(1)));
    bed.answer(1, ServerCall::Start, Ok(()));
    assert!(!bed.starts_any());
    bed.shows(1, server(1));
    assert_eq!(bed.end_of(1), Some(StartEnd::Started));
    assert_eq!(
        (bed.state.stage, bed.record.life),
        (Stage::Over, Some(Life::Closed))
    );
    let message = bed.message.clone().unwrap();
    assert!(
        message.contains("1 excluded instance runs on compute-1 again"),
        "{message}"
    );
    assert_eq!(bed.status, NotificationStatus::Finished);
    assert!(
        bed.note_of(1).contains("started again on compute-1"),
        "{}",
        bed.note_of(1)
    );
}

/// Covers P5, R36.
#[test]
fn one_that_a_user_has_stopped_since_stays_stopped() {
    for actions in [
        &[("stop", Actor::Person), ("create", Actor::Person)][..],
        &[
            ("stop", Actor::Nova),
            ("stop", Actor::Person),
            ("create", Actor::Person),
        ],
        &[("shelve", Actor::Person), ("create", Actor::Person)],
        // Nova's records do not go back far enough.
        &[("stop", Actor::Nova)],
        &[],
    ] {
        let mut bed = returned(vec![server(1)]);
        bed.shows(1, stopped(1)).actions(1, actions);
        assert!(!bed.starts_any(), "{actions:?}");
        assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted), "{actions:?}");
        assert_eq!(bed.record.life, Some(Life::Closed));
        assert!(bed.note_of(1).contains("not started: "), "{}", bed.note_of(1));
        assert!(bed.message.as_deref().unwrap().contains("1 not started"));
    }
}

/// Covers P5.
#[test]
fn only_what_ran_and_what_policy_excludes_is_started() {
    let rests = |change: fn(&mut Server)| {
        let mut one = server(1);
        change(&mut one);
        one
    };
    let off = [
        stopped(1),
        rests(|one| one.vm_state = VmState::Error),
        rests(|one| one.vm_state = VmState::Paused),
        rests(|one| one.power_state = PowerState::Shutdown),
        rests(|one| one.launched = false),
        rests(|one| one.task_state = Some("deleting".into())),
        rests(|one| one.name = "amphora-11111111-2222-3333-4444-555555555555".into()),
    ];
    for one in off {
        let mut bed = left(vec![one.clone()], |_| {});
        assert_eq!(bed.start_of(1), None, "{one:?}");
        come_back(&mut bed);
        assert_eq!(bed.record.life, Some(Life::Closed), "{one:?}");
    }
    let mut bed = left(vec![server(1)], |policy| policy.start_excluded = false);
    come_back(&mut bed);
    assert_eq!((bed.start_of(1), bed.record.life), (None, Some(Life::Closed)));
}

/// Covers P5.
#[test]
fn one_that_has_moved_or_is_deleted_or_is_in_a_state_of_its_owners_is_left() {
    let elsewhere = Server {
        host: Some("compute-7".into()),
        ..stopped(1)
    };
    let paused = Server {
        vm_state: VmState::Paused,
        ..server(1)
    };
    for (seen, why) in [
        (Some(elsewhere), "Nova shows it on compute-7"),
        (Some(paused), "Nova shows it paused"),
        (None, "it was deleted meanwhile"),
    ] {
        let mut bed = returned(vec![server(1)]);
        assert!(bed.reads_server(1));
        if seen.is_none() {
            bed.reads(1, None);
            assert_eq!(
                bed.end_of(1),
                None,
                "a copy that lags behind gives this answer too"
            );
            bed.tick(5_000);
            assert!(bed.reads_server(1));
        }
        bed.reads(1, seen);
        assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted));
        assert!(bed.note_of(1).contains(why), "{}", bed.note_of(1));
        assert_eq!(bed.record.life, Some(Life::Closed));
    }
}

/// Covers P5.
#[test]
fn nothing_is_started_on_a_host_that_is_down_or_frozen_or_in_an_operators_maintenance() {
    let block: [fn(&mut Harness); 4] = [
        |bed| {
            bed.operator_state(true, true);
        },
        |bed| {
            bed.operator_state(false, false);
        },
        |bed| bed.service.forced_down = true,
        |bed| {
            let freeze = Freeze {
                number: 1,
                scope: FreezeScope::Host,
                name: HOST.into(),
                until: Timestamp::from_micros(3_600_000_000),
                by: "alice".into(),
                reason: "firmware".into(),
                unless_worse: false,
            };
            bed.operator_state.frozen.over.push(freeze);
            let operator_state = bed.operator_state.clone();
            bed.see(Observation::OperatorState(operator_state));
        },
    ];
    for (case, block) in block.into_iter().enumerate() {
        let mut bed = returned(vec![server(1)]);
        block(&mut bed);
        bed.later(1_000);
        for _ in 0..3_600 {
            bed.later(1_000);
            assert!(!bed.starts_any() && !bed.reads_server(1), "case {case}");
        }
        assert_eq!((bed.state.stage, bed.end_of(1)), (Stage::Starting, None));
        let wait = bed.state.wait().unwrap();
        assert!(wait.what == WaitsFor::Start && wait.on.len() == 1, "{wait:?}");
    }
}

/// Covers P5, R5.
#[test]
fn a_start_without_an_answer_is_not_repeated_while_it_may_take_effect() {
    let mut bed = returned(vec![server(1)]);
    bed.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    let asked = bed.at;
    bed.answer(1, ServerCall::Start, Err(timeout()));
    bed.take_over();
    while bed.at < asked + 80_000 {
        bed.later(1_000);
        if bed.reads_server(1) {
            bed.reads(1, Some(stopped(1)));
        }
        assert!(!bed.starts_any(), "at {}", bed.at);
    }
    bed.later(2_000).shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(bed.starts(1));
    assert_eq!(bed.start_of(1).map(|start| start.tries), Some(2));
}

/// Covers P5.
#[test]
fn one_that_does_not_start_is_given_up_and_named() {
    let mut bed = returned(vec![server(1)]);
    let mut starts = 0;
    for _ in 0..1_800 {
        if bed.reads_server(1) {
            bed.reads(1, Some(stopped(1)));
        }
        if bed.wants(|command| *command == Command::ReadActions(id(1))) {
            bed.actions(1, FOUND_SHUT_DOWN);
        }
        if bed.starts(1) {
            starts += 1;
            bed.answer(1, ServerCall::Start, Ok(()));
        }
        bed.later(1_000);
    }
    assert_eq!(starts, 4, "{:?}", bed.one(1));
    assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted));
    assert_eq!(bed.state.stage, Stage::Over);
    // Instances that Nova shows as active throughout are not waited for either.
    let mut bed = returned(vec![server(1)]);
    for _ in 0..1_900 {
        if bed.reads_server(1) {
            bed.reads(1, Some(server(1)));
        }
        bed.later(1_000);
    }
    assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted));
    assert_eq!(bed.state.stage, Stage::Over);
    // A permanent refusal is not retried.
    let mut bed = returned(vec![server(1)]);
    bed.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    let refusal = fault(Some(403), FaultClass::Permanent, false);
    bed.answer(1, ServerCall::Start, Err(refusal));
    assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted));
}

/// Covers P5.
#[test]
fn a_new_death_of_the_host_comes_first_and_the_starts_go_on_after_it() {
    let mut bed = returned(vec![server(1)]);
    bed.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(bed.starts(1));
    // The journal refuses the intent: a new recovery is open.
    let refused = vec![
        Observation::NotSent(Command::Start(id(1))),
        Observation::HostUnderRecovery,
    ];
    bed.see_all(refused);
    assert_eq!(bed.start_of(1), Some(ExcludedStart::default()));
    assert!(!bed.starts_any());
    bed.service.forced_down = true;
    for _ in 0..600 {
        bed.later(1_000);
        assert!(!bed.starts_any());
    }
    bed.service.forced_down = false;
    bed.later(1_000).shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(bed.starts(1));
}

/// Covers P5.
#[test]
fn one_that_an_evacuation_may_have_left_running_elsewhere_is_not_started() {
    let mut bed = returned(vec![server(1), server(2)]);
    bed.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(bed.starts(1));
    let refused = vec![
        Observation::NotSent(Command::Start(id(1))),
        Observation::MayRunOn(BTreeSet::from(["compute-7".to_owned()])),
    ];
    bed.see_all(refused);
    assert_eq!(bed.end_of(1), Some(StartEnd::NotStarted));
    assert!(bed.note_of(1).contains("compute-7"), "{}", bed.note_of(1));
    assert_eq!(bed.end_of(2), None);
    assert_eq!(bed.state.stage, Stage::Starting);
}

/// Covers P5.
#[test]
fn a_host_starts_few_instances_at_a_time() {
    let servers: Vec<Server> = (1..=40).map(server).collect();
    let mut bed = returned(servers);
    let mut asked = BTreeSet::new();
    for _ in 0..400 {
        let mut commands: VecDeque<Command> = bed.commands.drain(..).collect();
        while let Some(command) = commands.pop_front() {
            let reads = |one: &&Command| matches!(one, Command::ReadServer(_) | Command::ReadActions(_));
            assert!(commands.iter().filter(reads).count() <= 5, "{commands:?}");
            match command {
                Command::ReadServer(server) => {
                    let number = server.0.as_u128();
                    bed.reads(number, Some(stopped(number)));
                }
                Command::ReadActions(server) => {
                    let result = Ok(Some(requested(FOUND_SHUT_DOWN)));
                    bed.see(Observation::Actions { server, result });
                }
                Command::Start(server) => {
                    asked.insert(server);
                    bed.answer(server.0.as_u128(), ServerCall::Start, Ok(()));
                }
                _ => continue,
            }
            commands.extend(bed.commands.drain(..));
        }
        bed.later(50);
    }
    assert_eq!(asked.len(), 10);
}
