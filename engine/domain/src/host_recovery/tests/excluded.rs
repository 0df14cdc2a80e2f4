//! Excluded instances, once their host is back.

use std::collections::{BTreeSet, VecDeque};

use super::harness::{HOST, Harness, fault, id, server, timeout};
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
    let mut harness = Harness::with("UNKNOWN", |policy| {
        policy.evacuate_all = false;
        change(policy);
    })
    .proven();
    harness.forced_down().inventory(servers.clone(), Vec::new());
    harness.over(servers);
    assert_eq!(harness.state.stage, Stage::Returning);
    assert_eq!(harness.status, NotificationStatus::Finished);
    harness
}

/// Brings the host back.
fn come_back(harness: &mut Harness) {
    harness.at += 30_000;
    harness.service().beats();
    assert!(harness.clears());
    harness.service.forced_down = false;
    harness.service.up = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
}

fn returned(servers: Vec<Server>) -> Harness {
    let mut harness = left(servers, |_| {});
    come_back(&mut harness);
    assert_eq!(harness.state.stage, Stage::Starting);
    assert_eq!(harness.record.life, None);
    harness.heartbeat_age(0).service();
    harness
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
        self.requests(|command| *command == Command::ReadServer(id(number)))
    }

    fn starts(&self, number: u128) -> bool {
        self.requests(|command| *command == Command::Start(id(number)))
    }

    fn starts_any(&self) -> bool {
        self.requests(|command| matches!(command, Command::Start(_)))
    }

    fn actions(&mut self, number: u128, latest_first: &[(&str, Actor)]) -> &mut Self {
        assert!(
            self.requests(|command| *command == Command::ReadActions(id(number))),
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
    fn shows(&mut self, number: u128, server: Server) -> &mut Self {
        for _ in 0..100 {
            if self.reads_server(number) {
                return self.reads(number, Some(server));
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
    let mut harness = returned(vec![server(1)]);
    assert!(
        harness
            .message
            .as_deref()
            .unwrap()
            .contains("1 excluded instance is started when compute-1 has returned"),
        "{:?}",
        harness.message
    );
    assert_eq!(harness.state.wait().map(|wait| wait.what), Some(WaitsFor::Start));
    // Nova's power-state sync has not run yet.
    harness.shows(1, server(1));
    assert!(!harness.starts_any());
    harness.shows(1, stopped(1));
    assert!(!harness.starts_any(), "a user may have stopped it");
    harness.actions(1, FOUND_SHUT_DOWN);
    assert!(harness.starts(1), "{:?}", harness.commands);
    assert!(harness.record.moves.contains(&id(1)), "journalled first");
    assert_eq!(harness.record.unless_host_recovery.as_deref(), Some(HOST));
    assert_eq!(
        harness.record.unless_elsewhere,
        Some(Elsewhere {
            server: id(1),
            host: HOST.into()
        })
    );
    assert!(harness.record.unless_frozen.own && harness.record.unless_frozen.servers.contains(&id(1)));
    harness.answer(1, ServerCall::Start, Ok(()));
    assert!(!harness.starts_any());
    harness.shows(1, server(1));
    assert_eq!(harness.end_of(1), Some(StartEnd::Started));
    assert_eq!(
        (harness.state.stage, harness.record.life),
        (Stage::Done, Some(Life::Closed))
    );
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("1 excluded instance runs on compute-1 again"),
        "{message}"
    );
    assert_eq!(harness.status, NotificationStatus::Finished);
    assert!(
        harness.note_of(1).contains("started again on compute-1"),
        "{}",
        harness.note_of(1)
    );
}

/// Nova shows it active also before it has noticed that the guest is gone.
/// Covers P5, R36.
#[test]
fn one_that_a_user_has_started_is_back_once_it_was_seen_stopped() {
    let mut harness = returned(vec![server(1)]);
    harness.shows(1, server(1));
    assert_eq!(harness.end_of(1), None);
    harness.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    // The user was faster than this start.
    let refusal = fault(Some(409), FaultClass::Conflict, false);
    harness.answer(1, ServerCall::Start, Err(refusal));
    let starting = Server {
        task_state: Some("powering-on".into()),
        ..stopped(1)
    };
    harness.shows(1, starting);
    assert_eq!(harness.end_of(1), None);
    harness.shows(1, server(1));
    assert_eq!(harness.end_of(1), Some(StartEnd::Started));
    assert!(
        harness
            .note_of(1)
            .contains("a user has started it again on compute-1"),
        "{}",
        harness.note_of(1)
    );
    assert_eq!(harness.record.life, Some(Life::Closed));
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
        let mut harness = returned(vec![server(1)]);
        harness.shows(1, stopped(1)).actions(1, actions);
        assert!(!harness.starts_any(), "{actions:?}");
        assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted), "{actions:?}");
        assert_eq!(harness.record.life, Some(Life::Closed));
        assert!(
            harness.note_of(1).contains("not started: "),
            "{}",
            harness.note_of(1)
        );
        assert!(harness.message.as_deref().unwrap().contains("1 not started"));
    }
}

/// Covers P5.
#[test]
fn only_what_ran_and_what_policy_excludes_is_started() {
    let rests = |change: fn(&mut Server)| {
        let mut instance = server(1);
        change(&mut instance);
        instance
    };
    let off = [
        stopped(1),
        rests(|instance| instance.vm_state = VmState::Error),
        rests(|instance| instance.vm_state = VmState::Paused),
        rests(|instance| instance.power_state = PowerState::Shutdown),
        rests(|instance| instance.launched = false),
        rests(|instance| instance.task_state = Some("deleting".into())),
        rests(|instance| instance.name = "amphora-11111111-2222-3333-4444-555555555555".into()),
    ];
    for instance in off {
        let mut harness = left(vec![instance.clone()], |_| {});
        assert_eq!(harness.start_of(1), None, "{instance:?}");
        come_back(&mut harness);
        assert_eq!(harness.record.life, Some(Life::Closed), "{instance:?}");
    }
    let mut harness = left(vec![server(1)], |policy| policy.start_excluded = false);
    come_back(&mut harness);
    assert_eq!(
        (harness.start_of(1), harness.record.life),
        (None, Some(Life::Closed))
    );
}

/// Covers P5.
#[test]
fn one_that_has_moved_or_is_deleted_or_is_in_a_state_of_its_owners_is_left() {
    let on_other_host = Server {
        host: Some("compute-7".into()),
        ..stopped(1)
    };
    let paused = Server {
        vm_state: VmState::Paused,
        ..server(1)
    };
    for (shown, why) in [
        (Some(on_other_host), "Nova shows it on compute-7"),
        (Some(paused), "Nova shows it paused"),
        (None, "it was deleted meanwhile"),
    ] {
        let mut harness = returned(vec![server(1)]);
        assert!(harness.reads_server(1));
        if shown.is_none() {
            harness.reads(1, None);
            assert_eq!(
                harness.end_of(1),
                None,
                "a copy that lags behind gives this answer too"
            );
            harness.tick(5_000);
            assert!(harness.reads_server(1));
        }
        harness.reads(1, shown);
        assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted));
        assert!(harness.note_of(1).contains(why), "{}", harness.note_of(1));
        assert_eq!(harness.record.life, Some(Life::Closed));
    }
}

/// Covers P5.
#[test]
fn nothing_is_started_on_a_host_that_is_down_or_frozen_or_in_an_operators_maintenance() {
    let block: [fn(&mut Harness); 4] = [
        |harness| {
            harness.operator_state(true, true);
        },
        |harness| {
            harness.operator_state(false, false);
        },
        |harness| harness.service.forced_down = true,
        |harness| {
            let freeze = Freeze {
                number: 1,
                scope: FreezeScope::Host,
                name: HOST.into(),
                until: Timestamp::from_micros(3_600_000_000),
                by: "alice".into(),
                reason: "firmware".into(),
                unless_worse: false,
            };
            harness.operator_state.frozen.over.push(freeze);
            let operator_state = harness.operator_state.clone();
            harness.see(Observation::OperatorState(operator_state));
        },
    ];
    for (case, block) in block.into_iter().enumerate() {
        let mut harness = returned(vec![server(1)]);
        block(&mut harness);
        harness.later(1_000);
        for _ in 0..3_600 {
            harness.later(1_000);
            assert!(!harness.starts_any() && !harness.reads_server(1), "case {case}");
        }
        assert_eq!((harness.state.stage, harness.end_of(1)), (Stage::Starting, None));
        let wait = harness.state.wait().unwrap();
        assert!(wait.what == WaitsFor::Start && wait.on.len() == 1, "{wait:?}");
    }
}

/// Covers P5, R5.
#[test]
fn a_start_without_an_answer_is_not_repeated_while_it_may_take_effect() {
    let mut harness = returned(vec![server(1)]);
    harness.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    let requested_at = harness.at;
    harness.answer(1, ServerCall::Start, Err(timeout()));
    harness.take_over();
    while harness.at < requested_at + 80_000 {
        harness.later(1_000);
        if harness.reads_server(1) {
            harness.reads(1, Some(stopped(1)));
        }
        assert!(!harness.starts_any(), "at {}", harness.at);
    }
    harness
        .later(2_000)
        .shows(1, stopped(1))
        .actions(1, FOUND_SHUT_DOWN);
    assert!(harness.starts(1));
    assert_eq!(harness.start_of(1).map(|start| start.tries), Some(2));
}

/// Covers P5.
#[test]
fn one_that_does_not_start_is_given_up_and_named() {
    let mut harness = returned(vec![server(1)]);
    let mut starts = 0;
    for _ in 0..1_800 {
        if harness.reads_server(1) {
            harness.reads(1, Some(stopped(1)));
        }
        if harness.requests(|command| *command == Command::ReadActions(id(1))) {
            harness.actions(1, FOUND_SHUT_DOWN);
        }
        if harness.starts(1) {
            starts += 1;
            harness.answer(1, ServerCall::Start, Ok(()));
        }
        harness.later(1_000);
    }
    assert_eq!(starts, 4, "{:?}", harness.one(1));
    assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted));
    assert_eq!(harness.state.stage, Stage::Done);
    // Instances that Nova shows as active throughout are not waited for either.
    let mut harness = returned(vec![server(1)]);
    for _ in 0..1_900 {
        if harness.reads_server(1) {
            harness.reads(1, Some(server(1)));
        }
        harness.later(1_000);
    }
    assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted));
    assert_eq!(harness.state.stage, Stage::Done);
    // A permanent refusal is not retried.
    let mut harness = returned(vec![server(1)]);
    harness.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    let refusal = fault(Some(403), FaultClass::Permanent, false);
    harness.answer(1, ServerCall::Start, Err(refusal));
    assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted));
}

/// Covers P5.
#[test]
fn a_new_death_of_the_host_comes_first_and_the_starts_go_on_after_it() {
    let mut harness = returned(vec![server(1)]);
    harness.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(harness.starts(1));
    // The journal refuses the intent: a new recovery is open.
    let refused = vec![
        Observation::NotSent(Command::Start(id(1))),
        Observation::HostUnderRecovery,
    ];
    harness.see_all(refused);
    assert_eq!(harness.start_of(1), Some(ExcludedStart::default()));
    assert!(!harness.starts_any());
    harness.service.forced_down = true;
    for _ in 0..600 {
        harness.later(1_000);
        assert!(!harness.starts_any());
    }
    harness.service.forced_down = false;
    harness
        .later(1_000)
        .shows(1, stopped(1))
        .actions(1, FOUND_SHUT_DOWN);
    assert!(harness.starts(1));
}

/// Covers P5.
#[test]
fn one_that_an_evacuation_may_have_left_running_elsewhere_is_not_started() {
    let mut harness = returned(vec![server(1), server(2)]);
    harness.shows(1, stopped(1)).actions(1, FOUND_SHUT_DOWN);
    assert!(harness.starts(1));
    let refused = vec![
        Observation::NotSent(Command::Start(id(1))),
        Observation::MayRunOn(BTreeSet::from(["compute-7".to_owned()])),
    ];
    harness.see_all(refused);
    assert_eq!(harness.end_of(1), Some(StartEnd::NotStarted));
    assert!(harness.note_of(1).contains("compute-7"), "{}", harness.note_of(1));
    assert_eq!(harness.end_of(2), None);
    assert_eq!(harness.state.stage, Stage::Starting);
}

/// Covers P5.
#[test]
fn a_host_starts_few_instances_at_a_time() {
    let servers: Vec<Server> = (1..=40).map(server).collect();
    let mut harness = returned(servers);
    let mut read_ids = BTreeSet::new();
    for _ in 0..400 {
        let mut commands: VecDeque<Command> = harness.commands.drain(..).collect();
        while let Some(command) = commands.pop_front() {
            let reads =
                |command: &&Command| matches!(command, Command::ReadServer(_) | Command::ReadActions(_));
            assert!(commands.iter().filter(reads).count() <= 5, "{commands:?}");
            match command {
                Command::ReadServer(server) => {
                    let number = server.0.as_u128();
                    harness.reads(number, Some(stopped(number)));
                }
                Command::ReadActions(server) => {
                    let result = Ok(Some(requested(FOUND_SHUT_DOWN)));
                    harness.see(Observation::Actions { server, result });
                }
                Command::Start(server) => {
                    read_ids.insert(server);
                    harness.answer(server.0.as_u128(), ServerCall::Start, Ok(()));
                }
                _ => continue,
            }
            commands.extend(harness.commands.drain(..));
        }
        harness.later(50);
    }
    assert_eq!(read_ids.len(), 10);
}
