//! Random sequences of observations: the invariants hold, and there is exactly one end.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// Splitmix64: one number gives one observation, so that a failing sequence shrinks by omission.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn state(&mut self) -> VmState {
        match self.roll(24) {
            8..15 => VmState::Stopped,
            15 | 16 => VmState::Resized,
            17 | 18 => VmState::Error,
            19 => VmState::Building,
            20 => VmState::Other("odd".into()),
            21 if self.roll(6) == 0 => VmState::Paused,
            22 if self.roll(6) == 0 => VmState::ShelvedOffloaded,
            _ => VmState::Active,
        }
    }

    fn fault(&mut self) -> Fault {
        match self.roll(8) {
            0..3 => lost(),
            3 | 4 => fault(FaultClass::Conflict, Some(409), false),
            5 | 6 => fault(FaultClass::Transient, Some(429), false),
            _ if self.roll(8) == 0 => fault(FaultClass::Permanent, Some(400), false),
            _ => fault(FaultClass::Fatal, Some(401), false),
        }
    }

    fn observation(&mut self, last: &[Command]) -> Observation {
        let commanded = last.first().cloned();
        match self.roll(21) {
            20 if self.roll(2) == 0 => actions(Err(self.fault())),
            20 => actions(Ok(Some(Vec::new()))),
            0 => Observation::OperatorState(operator_state(self.roll(2) == 0, self.roll(2) == 0)),
            1 => Observation::OperatorState(OperatorState::DEFAULT),
            2 => silent(),
            3..8 => {
                let task = (self.roll(4) == 0).then_some("powering-off");
                let host = if self.roll(80) == 0 { "c2" } else { HOST };
                shown(Server {
                    host: Some(host.into()),
                    ..server(self.state(), task)
                })
            }
            8..11 => up(),
            11 => service(self.roll(2) == 0, self.roll(2) == 0),
            12 => Observation::Service(Err(lost())),
            13..16 => {
                let call = match self.roll(5) {
                    0 => ServerCall::Activate,
                    1 => ServerCall::Stop,
                    2 => ServerCall::Migrate,
                    3 => ServerCall::ConfirmMigration,
                    _ => ServerCall::Start,
                };
                let result = if self.roll(2) == 0 {
                    Ok(())
                } else {
                    Err(self.fault())
                };
                answer(call, result)
            }
            16 => commanded.map_or(Observation::Tick, Observation::NotSent),
            17 if self.roll(40) == 0 => Observation::HostUnderRecovery,
            17 if self.roll(40) == 0 => Observation::MayRunOn(["c9".to_owned()].into()),
            18 if self.roll(60) == 0 => operator_action(1, OperatorCommand::Reject),
            _ => Observation::Tick,
        }
    }
}

/// The latest observations, recorded separately from the code under test.
#[derive(Default)]
struct Facts {
    forbidden: bool,
    up: Option<bool>,
    unanswered: Option<(u64, Command)>,
}

impl Facts {
    fn apply(&mut self, observation: &Observation) {
        match observation {
            Observation::Claimed(operator_state) | Observation::OperatorState(operator_state) => {
                self.forbidden = !operator_state.segment_enabled || operator_state.operator_maintenance;
            }
            Observation::Service(result) => {
                self.up = Some(matches!(result, Ok(Some(service)) if service.up && !service.forced_down));
            }
            Observation::ServerCall { call, result, .. } => {
                let answered = result.as_ref().err().is_none_or(|fault| !fault.maybe_done);
                self.unanswered.take_if(|(_, command)| {
                    answered && command.server_call().is_some_and(|(_, mine)| mine == *call)
                });
            }
            Observation::NotSent(command) => {
                self.unanswered.take_if(|(_, open)| command == open);
            }
            Observation::Tick
            | Observation::Region(_)
            | Observation::MayRunOn(_)
            | Observation::InstancesUnderRecovery(_)
            | Observation::OrderRefused
            | Observation::Power { .. }
            | Observation::PowerOff { .. }
            | Observation::PowerOn { .. }
            | Observation::FencingStopped(_)
            | Observation::Levels(_)
            | Observation::ServiceUpdated(_)
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_)
            | Observation::Inventory(_)
            | Observation::Lists(_)
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::Server { .. }
            | Observation::MovesTaken(_)
            | Observation::Hook { .. }
            | Observation::Followed { .. }
            | Observation::Rewound
            | Observation::HostUnderRecovery
            | Observation::Actions { .. } => {}
        }
    }

    fn judge(&mut self, (at, call): &(u64, Command)) {
        assert!(!self.forbidden, "{call:?} against the operator's action");
        assert_eq!(self.up, Some(true), "{call:?} to a host not seen up");
        if let Some((since, open)) = self.unanswered.take() {
            assert!(
                *at >= since + LATE_EFFECT_WINDOW,
                "{call:?} while {open:?} may still come"
            );
        }
        self.unanswered = Some((*at, call.clone()));
        // A read of the host's state permits one call.
        self.up = None;
    }
}

/// Runs one sequence of elapsed times and observations. Returns the end and the number of calls.
fn weather(sequence: &[(u64, u64)]) -> (NotificationStatus, usize) {
    let mut run = Run::begun();
    run.state.policy = Policy {
        restart_again_for: Duration::from_mins(1),
        ..Policy::default()
    };
    let mut facts = Facts::default();
    for (passed, number) in sequence {
        let mut dice = Dice(*number);
        run.at += passed;
        let observation = if dice.roll(30) == 0 {
            run.state = VmRecovery::restore(&run.state.head().unwrap()).unwrap();
            facts.up = None;
            Observation::Claimed(operator_state(!facts.forbidden, false))
        } else {
            dice.observation(&run.commands)
        };
        facts.apply(&observation);
        run.actions = (dice.roll(8) > 0).then(Vec::new);
        let before = run.calls.len();
        run.observe(observation);
        if run.calls.len() > before {
            facts.judge(run.calls.last().unwrap());
        }
        if run.state.stage == Stage::Done {
            return (run.end().0, run.calls.len());
        }
    }
    // Without faults: everything is permitted and answered, and Nova executes all calls.
    run.actions = Some(Vec::new());
    run.observe(Observation::OperatorState(OperatorState::DEFAULT));
    let (mut vm_state, mut host) = (VmState::Active, HOST);
    while run.state.stage != Stage::Done && run.at < 10_000_000 {
        run.at += 500;
        // Open queries of the fault phase are answered now.
        let sight = Server {
            host: Some(host.into()),
            ..server(vm_state.clone(), None)
        };
        for observation in [shown(sight), up()] {
            run.observe(observation);
            if let Some((_, call)) = run.commands.iter().find_map(Command::server_call) {
                vm_state = if matches!(call, ServerCall::Stop | ServerCall::ConfirmMigration) {
                    VmState::Stopped
                } else if call == ServerCall::Migrate {
                    VmState::Resized
                } else {
                    VmState::Active
                };
                if call == ServerCall::Migrate {
                    host = "c2";
                }
                run.observe(answer(call, Ok(())));
            }
        }
    }
    (run.end().0, run.calls.len())
}

/// Covers R5, R12, R20.
#[test]
fn random_sequences_never_call_where_they_must_not_and_end_once() {
    let config = Config {
        cases: 600,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let sequences = proptest::collection::vec((0..1000_u64, any::<u64>()), 1..300);
    let ends = RefCell::new(BTreeMap::<NotificationStatus, u32>::new());
    let calls = RefCell::new(0);
    runner
        .run(&sequences, |sequence| {
            let (status, made) = weather(&sequence);
            prop_assert!(!status.is_open());
            *ends.borrow_mut().entry(status).or_default() += 1;
            *calls.borrow_mut() += made;
            Ok(())
        })
        .unwrap();
    let (ends, calls) = (ends.into_inner(), calls.into_inner());
    assert!(calls > 500, "the dice are too harmless: {calls} calls");
    for status in [
        NotificationStatus::Finished,
        NotificationStatus::Failed,
        NotificationStatus::Ignored,
    ] {
        assert!(ends.get(&status).is_some_and(|count| *count > 10), "{ends:?}");
    }
}
