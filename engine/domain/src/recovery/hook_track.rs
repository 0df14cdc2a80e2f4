//! Progress of a recovery's hooks: the runs and their outcomes.
//!
//! A run is journalled before it starts. If the engine dies, the outcome is never received, and it is unknown whether the hook did
//! its work. An idempotent hook is then run again, any other never. Either way the recovery continues only once the lost run must
//! have ended by itself. So a hook never runs concurrently with the step that has to wait for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DecisionTime, Record, StepKind, Task};
use crate::elapsed::Elapsed;
use crate::hooks::{Hook, HookOutcome, HookVerdict, OnFailure, Phase};

/// Number of times that an idempotent hook is run again because its outcome is unknown: a hook that kills the engine must not do
/// so forever.
const MAX_LOST_RUNS: u32 = 3;

/// The stored progress of the hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookTrack {
    runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    phase: Phase,
    number: u8,
    /// The number of runs started.
    attempts: u32,
    /// The number of runs that failed.
    failures: u32,
    /// The number of runs whose outcome was never received.
    lost: u32,
    step: RunStep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RunStep {
    /// The hook is to be run again.
    Waiting { not_before: Elapsed },
    /// A run has started.
    Asked {
        at: Elapsed,
        /// True if this owner has started the run and will receive its outcome.
        #[serde(skip)]
        ours: bool,
    },
    /// The hook succeeded.
    Done,
    /// The hook returned that nothing more is to be done.
    Skipped { text: String },
    /// The hook failed, and the recovery continues.
    Passed { text: String },
    /// The hook failed, and the recovery with it.
    Aborted { text: String },
}

/// The decision whether a recovery may continue beyond a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Every hook of the phase is done.
    Open,
    /// A hook of the phase is not done yet.
    Wait,
    /// This hook is to be run now, with the number of the run. The intent is in the record.
    Run { number: u8, attempt: u32 },
    /// A hook wants the recovery to end successfully.
    Skip(String),
    /// A hook has failed the recovery.
    Abort(String),
}

impl HookTrack {
    /// Goes through the hooks of a phase in order. `may_begin` is true if nothing blocks running a hook now. `hold` is how much
    /// longer a proxy may delay a request.
    pub(crate) fn pass(
        &mut self,
        phase: Phase,
        hooks: &[Hook],
        may_begin: bool,
        hold: Duration,
        now: DecisionTime,
        record: &mut Record,
    ) -> Gate {
        for (number, hook) in (0_u8..).zip(hooks) {
            if may_begin && self.find(phase, number).is_none() {
                self.runs.push(Run::new(phase, number, now));
            }
            let Some(run) = self.find(phase, number) else {
                return Gate::Wait;
            };
            run.detect_lost_run(hook, hold, now, record);
            match &run.step {
                RunStep::Done | RunStep::Passed { .. } => {}
                RunStep::Skipped { text } => return Gate::Skip(text.clone()),
                RunStep::Aborted { text } => return Gate::Abort(text.clone()),
                RunStep::Asked { .. } => return Gate::Wait,
                RunStep::Waiting { not_before } => {
                    if !may_begin || now.elapsed < *not_before {
                        return Gate::Wait;
                    }
                    let attempt = run.begin(hook, now, record);
                    return Gate::Run { number, attempt };
                }
            }
        }
        Gate::Open
    }

    /// Applies the outcome of a run.
    pub(crate) fn answered(
        &mut self,
        (phase, number, attempt): (Phase, u8, u32),
        hooks: &[Hook],
        outcome: &HookOutcome,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let (Some(run), Some(hook)) = (self.find(phase, number), hooks.get(usize::from(number))) else {
            return;
        };
        let waited_for = matches!(run.step, RunStep::Asked { ours: true, .. }) && run.attempts == attempt;
        if !waited_for {
            return;
        }
        record.head = true;
        let name = hook.name();
        let text = format!("hook {name}: {}", outcome.text);
        let task = run.task();
        match outcome.verdict {
            // After the last phase there is nothing left to skip.
            HookVerdict::Skip if phase != Phase::Post => {
                record.step(task, StepKind::Outcome, 1.0, text.clone());
                run.step = RunStep::Skipped { text };
            }
            HookVerdict::GoOn | HookVerdict::Skip => {
                record.step(task, StepKind::Outcome, 1.0, text);
                run.step = RunStep::Done;
            }
            HookVerdict::Failed => {
                run.failures += 1;
                if run.failures <= hook.retries {
                    let wait = Duration::from_secs((1_u64 << run.failures.min(5)) / 2);
                    record.step(task, StepKind::Outcome, 0.5, format!("{text}; it is run again"));
                    run.step = RunStep::Waiting {
                        not_before: now.elapsed.plus(wait),
                    };
                } else {
                    run.fail(hook, text, record);
                }
            }
        }
    }

    /// Reverts a run that was not started. This may come late, about a run that was given up and followed by another.
    pub(crate) fn not_sent(&mut self, (phase, number, attempt): (Phase, u8, u32), now: DecisionTime) {
        let ours =
            |run: &&mut Run| matches!(run.step, RunStep::Asked { ours: true, .. }) && run.attempts == attempt;
        if let Some(run) = self.find(phase, number).filter(ours) {
            run.attempts = run.attempts.saturating_sub(1);
            run.step = RunStep::Waiting {
                not_before: now.elapsed.plus(Duration::from_secs(1)),
            };
        }
    }

    /// Marks the runs in progress as not ours: a new owner receives none of their outcomes.
    pub(crate) fn forget_answers(&mut self) {
        for run in &mut self.runs {
            if let RunStep::Asked { ours, .. } = &mut run.step {
                *ours = false;
            }
        }
    }

    /// True if a hook of the phase was started at all.
    pub(crate) fn began(&self, phase: Phase) -> bool {
        self.runs.iter().any(|run| run.phase == phase)
    }

    /// Returns the hook that is running.
    pub(crate) fn running(&self) -> Option<(Phase, u8)> {
        self.runs
            .iter()
            .find(|run| matches!(run.step, RunStep::Asked { .. }))
            .map(|run| (run.phase, run.number))
    }

    /// Returns the reason why a hook has failed the recovery, if one has.
    pub(crate) fn aborted(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| match &run.step {
            RunStep::Aborted { text } => Some(text.as_str()),
            RunStep::Waiting { .. }
            | RunStep::Asked { .. }
            | RunStep::Done
            | RunStep::Skipped { .. }
            | RunStep::Passed { .. } => None,
        })
    }

    /// Returns the remarks on hooks for the notification's last message: on those that did not simply succeed.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().filter_map(|run| match &run.step {
            RunStep::Skipped { text } | RunStep::Passed { text } | RunStep::Aborted { text } => {
                Some(text.as_str())
            }
            RunStep::Waiting { .. } | RunStep::Asked { .. } | RunStep::Done => None,
        })
    }

    /// Appends these remarks to a message.
    pub(crate) fn with_remarks(&self, message: impl Into<String>) -> String {
        self.remarks().fold(message.into(), |mut text, remark| {
            if !text.contains(remark) {
                text.push_str("; ");
                text.push_str(remark);
            }
            text
        })
    }

    fn find(&mut self, phase: Phase, number: u8) -> Option<&mut Run> {
        self.runs
            .iter_mut()
            .find(|run| run.phase == phase && run.number == number)
    }
}

impl Run {
    fn new(phase: Phase, number: u8, now: DecisionTime) -> Self {
        Self {
            phase,
            number,
            attempts: 0,
            failures: 0,
            lost: 0,
            step: RunStep::Waiting {
                not_before: now.elapsed,
            },
        }
    }

    fn task(&self) -> Task {
        Task::Hook {
            phase: self.phase,
            number: self.number,
        }
    }

    fn begin(&mut self, hook: &Hook, now: DecisionTime, record: &mut Record) -> u32 {
        self.attempts += 1;
        self.step = RunStep::Asked {
            at: now.elapsed,
            ours: true,
        };
        record.head = true;
        let again = if self.attempts > 1 {
            format!(", run {}", self.attempts)
        } else {
            String::new()
        };
        let text = format!(
            "running hook {}{again}, for at most {} s",
            hook.name(),
            hook.timeout.as_secs_f64()
        );
        record.step(self.task(), StepKind::Intent, 0.0, text);
        self.attempts
    }

    /// Detects a run whose outcome will never be received. `ours` is no lasting promise: an outcome that is late is lost, too.
    fn detect_lost_run(&mut self, hook: &Hook, hold: Duration, now: DecisionTime, record: &mut Record) {
        let RunStep::Asked { at, .. } = self.step else {
            return;
        };
        if now.elapsed.since(at) < hook.may_run_for(hold) {
            return;
        }
        self.lost += 1;
        record.head = true;
        let name = hook.name();
        let text = format!("hook {name}: its result is unknown, because its engine has stopped");
        if hook.idempotent && self.lost <= MAX_LOST_RUNS {
            record.step(
                self.task(),
                StepKind::Outcome,
                0.0,
                format!("{text}; it is run again"),
            );
            self.step = RunStep::Waiting {
                not_before: now.elapsed,
            };
        } else {
            self.fail(hook, format!("{text}, and it is not run again"), record);
        }
    }

    fn fail(&mut self, hook: &Hook, text: String, record: &mut Record) {
        match hook.on_failure {
            OnFailure::Abort => {
                record.failed(self.task(), text.clone());
                self.step = RunStep::Aborted { text };
            }
            OnFailure::Continue => {
                record.failed(self.task(), format!("{text}; the recovery continues"));
                self.step = RunStep::Passed { text };
            }
        }
    }
}

#[cfg(test)]
mod tests;
