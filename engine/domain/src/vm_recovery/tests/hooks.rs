//! Operators' hooks in the recovery of an instance.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else is commanded is wrong here"
)]

use super::*;
use crate::hooks::{Defaults, Flow, Hook, HookCall, HookOutcome, HookVerdict, Phase};

/// A recovery with Nova's answers.
struct Bench {
    state: VmRecovery,
    at: u64,
    commands: Vec<Command>,
    /// Every call and hook, in order.
    done: Vec<String>,
    shown: Option<(NotificationStatus, String)>,
    vm_state: VmState,
}

impl Bench {
    fn new(phase: Phase, entry: &str) -> Self {
        let mut policy = Policy::default();
        let hook = Hook::parse(entry, Defaults::default()).unwrap();
        let flow = &mut policy.flows.instance;
        match phase {
            Phase::Pre => flow.pre.push(hook),
            Phase::Main => flow.main.push(hook),
            Phase::Post => flow.post.push(hook),
        }
        Self::with(policy)
    }

    fn with(policy: Policy) -> Self {
        let instance = server_id().to_string();
        let notification = notification("LIFECYCLE", "STOPPED_FAILED", Some(&instance));
        let mut bench = Self {
            state: VmRecovery::new(RecoveryId(Uuid::from_u128(1)), &notification, HOST, policy),
            at: 0,
            commands: Vec::new(),
            done: Vec::new(),
            shown: None,
            vm_state: VmState::Active,
        };
        bench.observe(Observation::Claimed(OperatorState::DEFAULT));
        bench
    }

    fn observe(&mut self, observation: Observation) {
        let now = DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: Timestamp::from_micros(0),
        };
        let decision = decide(&mut self.state, observation, now);
        if let Some((status, message)) = decision.record.notification {
            self.shown = Some((status, message.unwrap_or_default()));
        }
        for command in decision.commands {
            if command.is_write() {
                assert!(
                    decision.record.head,
                    "the intent of {} is journalled",
                    command.name()
                );
                // The last hook finds the instance where it was started.
                let last = matches!(&command, Command::RunHook(call) if call.phase == Phase::Post);
                assert_eq!(
                    decision.record.unless_elsewhere.is_none(),
                    last,
                    "C1: {}",
                    command.name()
                );
                self.done.push(command.name().to_owned());
            }
            self.commands.push(command);
        }
    }

    /// Answers everything except hooks, until a hook is due or the time is over.
    fn until_hook(&mut self, millis: u64) -> Option<HookCall> {
        let end = self.at + millis;
        while self.at < end && self.state.stage != Stage::Done {
            while let Some(command) = self.commands.pop() {
                match command {
                    Command::RunHook(call) => return Some(*call),
                    Command::ReadServer(_) => self.observe(is(self.vm_state.clone())),
                    Command::ReadService => self.observe(up()),
                    Command::ReadActions(_) => self.observe(actions(Ok(Some(Vec::new())))),
                    Command::FollowMove(_) => self.observe(migrations(Ok(Vec::new()))),
                    Command::Stop(_) => {
                        self.vm_state = VmState::Stopped;
                        self.observe(answer(ServerCall::Stop, Ok(())));
                    }
                    Command::Start(_) => {
                        self.vm_state = VmState::Active;
                        self.observe(answer(ServerCall::Start, Ok(())));
                    }
                    other => panic!("{other:?}"),
                }
            }
            self.at += 500;
            self.observe(Observation::Tick);
        }
        None
    }

    fn says(&mut self, call: &HookCall, verdict: HookVerdict) {
        self.observe(Observation::Hook {
            phase: call.phase,
            number: call.number,
            attempt: call.attempt,
            outcome: HookOutcome {
                verdict,
                text: "as it ended".into(),
            },
        });
    }

    fn end(&self) -> (NotificationStatus, &str) {
        assert_eq!(self.state.stage, Stage::Done, "{:?}", self.shown);
        let (status, message) = self.shown.as_ref().unwrap();
        (*status, message)
    }
}

#[test]
fn each_hook_has_its_place() {
    let cases = [
        (Phase::Pre, ["run hook", "stop", "start"]),
        (Phase::Main, ["stop", "run hook", "start"]),
        (Phase::Post, ["stop", "start", "run hook"]),
    ];
    for (phase, order) in cases {
        let mut bench = Bench::new(phase, "exec:/x #timeout=600");
        let call = bench.until_hook(10_000).unwrap();
        let instance = &call.instances.as_ref().unwrap()[0];
        assert_eq!(
            (instance.id, instance.name.as_deref()),
            (server_id(), Some("web"))
        );
        let before = bench.done.len();
        assert_eq!(
            bench.until_hook(300_000),
            None,
            "{phase:?}: longer than any limit of Nova's"
        );
        assert_eq!(bench.done.len(), before, "{phase:?}: nothing is done meanwhile");
        assert_eq!(
            bench.shown.as_ref().unwrap().1,
            "waiting for hook exec:/x",
            "{phase:?}"
        );
        bench.says(&call, HookVerdict::GoOn);
        assert_eq!(bench.until_hook(30_000), None);
        let end = (
            NotificationStatus::Finished,
            "the instance was stopped and started, and is active",
        );
        assert_eq!(bench.end(), end, "{phase:?}");
        assert_eq!(bench.done, order);
    }
}

#[test]
fn a_hook_can_end_the_recovery_and_says_how_the_instance_is_left() {
    use NotificationStatus::{Failed, Finished};
    let cases = [
        (
            Phase::Pre,
            HookVerdict::Skip,
            Finished,
            "skipped: hook exec:/x: as it ended; nothing was done",
        ),
        (
            Phase::Pre,
            HookVerdict::Failed,
            Failed,
            "hook exec:/x: as it ended; nothing was done",
        ),
        (
            Phase::Main,
            HookVerdict::Skip,
            Finished,
            "skipped: hook exec:/x: as it ended; the instance was stopped for its restart, and is not started from here",
        ),
        (
            Phase::Main,
            HookVerdict::Failed,
            Failed,
            "hook exec:/x: as it ended; the instance was stopped for its restart, and is not started from here",
        ),
        (
            Phase::Post,
            HookVerdict::Skip,
            Finished,
            "the instance was stopped and started, and is active",
        ),
        (
            Phase::Post,
            HookVerdict::Failed,
            Failed,
            "hook exec:/x: as it ended; the instance was stopped and started, and is active",
        ),
    ];
    for (phase, verdict, status, message) in cases {
        let mut bench = Bench::new(phase, "exec:/x");
        let call = bench.until_hook(10_000).unwrap();
        bench.says(&call, verdict);
        bench.until_hook(10_000);
        assert_eq!(bench.end(), (status, message), "{phase:?} {verdict:?}");
    }
}

#[test]
fn without_stop_and_start_the_instance_is_left_to_the_hooks() {
    let mut policy = Policy::default();
    policy.flows.instance = Flow {
        acts: false,
        main: vec![Hook::parse("exec:/x #on_failure=continue", Defaults::default()).unwrap()],
        ..Flow::default()
    };
    let mut bench = Bench::with(policy);
    let call = bench.until_hook(10_000).unwrap();
    bench.says(&call, HookVerdict::Failed);
    bench.until_hook(10_000);
    let message = "the workflow leaves the instance to its hooks; hook exec:/x: as it ended";
    assert_eq!(bench.end(), (NotificationStatus::Finished, message));
    assert_eq!(bench.done, ["run hook"]);
}

#[test]
fn an_owner_that_dies_in_a_hook_leaves_one_that_does_not_run_it_again() {
    for phase in Phase::ALL {
        let mut bench = Bench::new(phase, "exec:/x #on_failure=continue");
        bench.until_hook(10_000).unwrap();
        bench.state = VmRecovery::restore(&bench.state.head().unwrap()).unwrap();
        bench.commands.clear();
        let began = bench.at;
        bench.observe(Observation::Claimed(OperatorState::DEFAULT));
        assert_eq!(bench.until_hook(120_000), None, "{phase:?}");
        let (status, message) = bench.end();
        assert_eq!(status, NotificationStatus::Finished, "{phase:?}");
        assert!(message.contains("its result is unknown"), "{phase:?}: {message}");
        assert!(
            bench.at >= began + 37_500,
            "{phase:?}: the lost run may still go on"
        );
        assert_eq!(
            bench.done.iter().filter(|call| *call == "run hook").count(),
            1,
            "{phase:?}"
        );
    }
}

/// Covers EW7.
#[test]
fn no_hook_between_stop_and_start_is_begun_while_the_segment_is_disabled() {
    let mut bench = Bench::new(Phase::Main, "exec:/x");
    while bench.done.is_empty() {
        assert_eq!(bench.until_hook(500), None);
    }
    bench.observe(Observation::OperatorState(operator_state(false, false)));
    assert_eq!(bench.until_hook(30_000), None);
    bench.observe(Observation::OperatorState(OperatorState::DEFAULT));
    assert!(bench.until_hook(2_000).is_some());
}
