//! The operator's hooks in the recovery of a process: before its service is disabled, after that, and at the end.

use super::ProcessRecovery;
use crate::entity::notification::NotificationStatus;
use crate::hooks::{HookCall, HookOutcome, Phase};
use crate::recovery::hook_track::Gate;
use crate::recovery::{Command, DecisionTime, Record};

impl ProcessRecovery {
    pub(super) fn hook_answered(
        &mut self,
        run: (Phase, u8, u32),
        outcome: &HookOutcome,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let hooks = self.policy.flows.process.hooks(run.0);
        self.hooks.answered(run, hooks, outcome, now, record);
    }

    /// Runs the remaining hooks and ends the recovery.
    pub(super) fn close(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        if self.pass(Phase::Main, now, record, commands) && self.pass(Phase::Post, now, record, commands) {
            let text = if self.disabled {
                format!("the compute service of {} is disabled", self.host)
            } else {
                format!(
                    "the workflow leaves the compute service of {} as it is",
                    self.host
                )
            };
            self.end(
                NotificationStatus::Finished,
                self.hooks.with_remarks(text),
                record,
            );
        }
    }

    /// True if the recovery may continue beyond a phase. A hook that skips or aborts ends the recovery.
    pub(super) fn pass(
        &mut self,
        phase: Phase,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let allowed = self.operator_state.as_ref().is_some_and(|operator_state| {
            operator_state.segment_enabled && !operator_state.operator_maintenance
        });
        let hooks = self.policy.flows.process.hooks(phase);
        let hold = self.policy.proxy_hold;
        let may_begin = allowed || phase == Phase::Post;
        match self.hooks.pass(phase, hooks, may_begin, hold, now, record) {
            Gate::Open => true,
            Gate::Wait => false,
            Gate::Run { number, attempt } => {
                if let Some(hook) = hooks.get(usize::from(number)).cloned() {
                    commands.push(Command::RunHook(Box::new(HookCall {
                        phase,
                        number,
                        attempt,
                        hook,
                        instances: None,
                        proof: None,
                    })));
                }
                false
            }
            Gate::Skip(why) => {
                let text = format!("skipped: {why}{}", self.service_state_text());
                self.end(NotificationStatus::Finished, text, record);
                false
            }
            Gate::Abort(why) => {
                let text = format!("{why}{}", self.service_state_text());
                self.end(NotificationStatus::Failed, text, record);
                false
            }
        }
    }

    fn service_state_text(&self) -> String {
        if self.disabled {
            format!("; the compute service of {} is disabled", self.host)
        } else {
            String::new()
        }
    }
}
