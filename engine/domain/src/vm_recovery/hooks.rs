//! The operator's hooks in the recovery of an instance: before the stop, between stop and start, and at the end.

use super::{BlockerKind, Stage, VmRecovery, relocation};
use crate::entity::notification::NotificationStatus;
use crate::hooks::{Hook, HookCall, HookInstance, HookOutcome, Phase};
use crate::recovery::hook_track::Gate;
use crate::recovery::{Command, DecisionTime, Record};

impl VmRecovery {
    pub(super) fn hook_answered(
        &mut self,
        run: (Phase, u8, u32),
        outcome: &HookOutcome,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let hooks = self.policy.flows.instance.hooks(run.0);
        self.hooks.answered(run, hooks, outcome, now, record);
        self.clear_blocker(BlockerKind::Hook);
    }

    /// Runs the last hooks of the active instance and ends the recovery.
    pub(super) fn close(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        if self.pass(Phase::Post, now, record, commands) {
            self.stage = Stage::Done;
            let text = relocation::success_text(self);
            self.end(
                NotificationStatus::Finished,
                self.hooks.with_remarks(&text),
                record,
            );
        }
    }

    /// Runs only the hooks, for a workflow that skips the engine's own work.
    pub(super) fn run_hooks_only(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.pass(Phase::Main, now, record, commands) && self.pass(Phase::Post, now, record, commands) {
            let text = "the workflow leaves the instance to its hooks";
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
        let may_begin = phase == Phase::Post
            || self.operator_state.as_ref().is_some_and(|operator_state| {
                operator_state.segment_enabled && !operator_state.operator_maintenance
            });
        let hooks = self.policy.flows.instance.hooks(phase);
        let gate = self
            .hooks
            .pass(phase, hooks, may_begin, self.policy.proxy_hold, now, record);
        match gate {
            Gate::Open => {
                self.clear_blocker(BlockerKind::Hook);
                true
            }
            Gate::Wait => {
                let running = self.hooks.running();
                let name = running.and_then(|(_, number)| hooks.get(usize::from(number)).map(Hook::name));
                if let Some(name) = name {
                    self.blocker(BlockerKind::Hook, format!("waiting for hook {name}"), now);
                }
                false
            }
            Gate::Run { number, attempt } => {
                if let Some(hook) = hooks.get(usize::from(number)).cloned() {
                    // A hook after the restart finds the instance where it was started.
                    if phase != Phase::Post {
                        self.require_no_copy(record);
                    }
                    let instances = Some(self.hook_instance(phase));
                    commands.push(Command::RunHook(Box::new(HookCall {
                        phase,
                        number,
                        attempt,
                        hook,
                        instances,
                        proof: None,
                    })));
                }
                false
            }
            Gate::Skip(why) => {
                let text = format!("skipped: {why}{}", self.instance_state_text(phase));
                self.end(NotificationStatus::Finished, text, record);
                false
            }
            Gate::Abort(why) => {
                let text = format!("{why}{}", self.instance_state_text(phase));
                if self.active {
                    self.stage = Stage::Done;
                }
                self.end(NotificationStatus::Failed, text, record);
                false
            }
        }
    }

    fn instance_state_text(&self, phase: Phase) -> &'static str {
        match phase {
            Phase::Pre => "; nothing was done",
            Phase::Main if self.stage == Stage::Starting => {
                "; the instance was stopped for its restart, and is not started from here"
            }
            Phase::Post if self.active => "; the instance was stopped and started, and is active",
            Phase::Main | Phase::Post => "",
        }
    }

    fn hook_instance(&self, phase: Phase) -> Vec<HookInstance> {
        let server = self.observed.as_ref().map(|server| &server.what);
        let instance = self.server.map(|id| HookInstance {
            id,
            name: server.map(|server| server.name.clone()),
            status: match phase {
                Phase::Pre => "pending",
                Phase::Main => "ongoing",
                Phase::Post => "succeeded",
            },
            dest_host: None,
            message: None,
        });
        instance.into_iter().collect()
    }
}
