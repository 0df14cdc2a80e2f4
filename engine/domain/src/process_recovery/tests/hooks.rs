//! Operators' hooks in the recovery of a process.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else is commanded is wrong here"
)]

use super::*;
use crate::hooks::{Defaults, Hook, HookCall, HookOutcome, HookVerdict};

struct Bench {
    state: ProcessRecovery,
    at: u64,
    commands: Vec<Command>,
    done: Vec<String>,
    shown: Option<(NotificationStatus, String)>,
    enabled: bool,
}

impl Bench {
    fn new(phase: Phase, entry: &str, acts: bool) -> Self {
        let hook = Hook::parse(entry, Defaults::default()).unwrap();
        let mut state = Run::new("STOPPED", "nova-compute").state;
        let flow = &mut state.policy.flows.process;
        flow.acts = acts;
        match phase {
            Phase::Pre => flow.pre.push(hook),
            Phase::Main => flow.main.push(hook),
            Phase::Post => flow.post.push(hook),
        }
        let mut bench = Self {
            state,
            at: 0,
            commands: Vec::new(),
            done: Vec::new(),
            shown: None,
            enabled: true,
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
                self.done.push(command.name().to_owned());
            }
            self.commands.push(command);
        }
    }

    fn until_hook(&mut self, millis: u64) -> Option<HookCall> {
        let end = self.at + millis;
        while self.at < end && !self.state.over {
            while let Some(command) = self.commands.pop() {
                match command {
                    Command::RunHook(call) => return Some(*call),
                    Command::ReadService => self.observe(shown(self.enabled)),
                    Command::ScanHosts => self.observe(Observation::Region(Arc::new(super::region()))),
                    Command::UpdateService { .. } => {
                        self.enabled = false;
                        self.observe(accepted());
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
        assert!(self.state.over, "{:?}", self.shown);
        let (status, message) = self.shown.as_ref().unwrap();
        (*status, message)
    }
}

#[test]
fn each_hook_runs_in_its_phase_and_has_its_effect() {
    use NotificationStatus::{Failed, Finished};
    let disabled = "the compute service of c1 is disabled";
    let skipped = "skipped: hook exec:/x: as it ended";
    let failed = "hook exec:/x: as it ended";
    let cases = [
        (Phase::Pre, HookVerdict::GoOn, Finished, disabled.to_owned()),
        (Phase::Pre, HookVerdict::Skip, Finished, skipped.to_owned()),
        (Phase::Pre, HookVerdict::Failed, Failed, failed.to_owned()),
        (Phase::Main, HookVerdict::GoOn, Finished, disabled.to_owned()),
        (
            Phase::Main,
            HookVerdict::Skip,
            Finished,
            format!("{skipped}; {disabled}"),
        ),
        (
            Phase::Main,
            HookVerdict::Failed,
            Failed,
            format!("{failed}; {disabled}"),
        ),
        (Phase::Post, HookVerdict::Skip, Finished, disabled.to_owned()),
        (
            Phase::Post,
            HookVerdict::Failed,
            Failed,
            format!("{failed}; {disabled}"),
        ),
    ];
    for (phase, verdict, status, message) in cases {
        let mut bench = Bench::new(phase, "exec:/x", true);
        let call = bench.until_hook(10_000).unwrap();
        let before = usize::from(phase != Phase::Pre);
        assert_eq!(bench.done.len(), before + 1, "{phase:?}: {:?}", bench.done);
        assert_eq!(bench.until_hook(20_000), None, "{phase:?}");
        bench.says(&call, verdict);
        bench.until_hook(20_000);
        assert_eq!(bench.end(), (status, message.as_str()), "{phase:?} {verdict:?}");
        let acted = phase != Phase::Pre || verdict == HookVerdict::GoOn;
        assert_eq!(!bench.enabled, acted, "{phase:?} {verdict:?}");
    }
}

#[test]
fn without_its_step_the_service_stays_enabled() {
    let mut bench = Bench::new(Phase::Pre, "exec:/x", false);
    let call = bench.until_hook(10_000).unwrap();
    bench.says(&call, HookVerdict::GoOn);
    bench.until_hook(10_000);
    let message = "the workflow leaves the compute service of c1 as it is";
    assert_eq!(bench.end(), (NotificationStatus::Finished, message));
    assert!(bench.enabled);
}

#[test]
fn an_owner_that_dies_in_a_hook_leaves_one_that_does_not_run_it_again() {
    for phase in Phase::ALL {
        let mut bench = Bench::new(phase, "exec:/x #on_failure=continue", true);
        bench.until_hook(10_000).unwrap();
        bench.state = ProcessRecovery::restore(&bench.state.head().unwrap()).unwrap();
        bench.commands.clear();
        bench.observe(Observation::Claimed(OperatorState::DEFAULT));
        assert_eq!(bench.until_hook(120_000), None, "{phase:?}");
        let (status, message) = bench.end();
        assert_eq!(status, NotificationStatus::Finished, "{phase:?}");
        assert!(message.contains("its result is unknown"), "{phase:?}: {message}");
        assert!(!bench.enabled, "{phase:?}");
    }
}
