//! The stages of an instance recovery: set it active if it was resized, stop it, start it.

use super::{JournalledCall, Stage, VmRecovery, relocation};
use crate::hooks::Phase;
use crate::id::ServerId;
use crate::nova::{Server, VmState};
use crate::recovery::{Command, DecisionTime, Record, StepKind, Task};

impl VmRecovery {
    pub(super) fn act_activating(
        &mut self,
        server: ServerId,
        shown: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if shown.vm_state != VmState::Resized {
            // A late call would show a stopped instance as active.
            if !self.may_take_effect(now) {
                self.enter(Stage::Stopping, now, record);
            }
            return;
        }
        if self.is_late(self.policy.stop_limit, now) {
            return self.end_late("set active", self.policy.stop_limit, record);
        }
        // A task means that the owner is confirming or reverting the resize: the call would interrupt that.
        if shown.task_state.is_none() {
            let to = VmState::Active;
            let command = Command::Activate { server, to };
            self.issue_call(command, now, record, commands, "setting it active");
        }
    }

    pub(super) fn act_stopping(
        &mut self,
        server: ServerId,
        shown: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if shown.vm_state == VmState::Stopped && shown.task_state.is_none() {
            // An unanswered stop may still arrive, and must not hit the started instance.
            let may_stop =
                self.may_take_effect(now) || self.unanswered_stop.is_some_and(|at| !self.is_settled(at, now));
            if !may_stop {
                record.step(Task::StopInstance, StepKind::Outcome, 1.0, "Stopped instance");
                self.unanswered_stop = None;
                let next = if self.relocation.first && relocation::may_move(self) {
                    Stage::Migrating
                } else {
                    Stage::Starting
                };
                self.enter(next, now, record);
            }
            return;
        }
        if self.is_late(self.policy.stop_limit, now) {
            return self.end_late("stopped", self.policy.stop_limit, record);
        }
        // Nova does not stop an instance that is being built, or that has been resized in the meantime.
        let stoppable = !matches!(
            shown.vm_state,
            VmState::Stopped | VmState::Building | VmState::Resized
        );
        if stoppable && shown.task_state.is_none() {
            self.issue_call(Command::Stop(server), now, record, commands, "Stopping instance");
        }
    }

    pub(super) fn act_starting(
        &mut self,
        server: ServerId,
        shown: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if shown.vm_state == VmState::Active && shown.task_state.is_none() {
            record.step(Task::StartInstance, StepKind::Outcome, 1.0, "Started instance");
            record.head = true;
            record.running_again = true;
            self.active = true;
            return self.close(now, record, commands);
        }
        if !self.called && !self.pass(Phase::Main, now, record, commands) {
            // The limit is for Nova, not for hooks.
            self.since = now.elapsed;
            return;
        }
        if self.is_late(self.policy.start_limit, now) {
            // A start that was requested again just now may yet take effect.
            let is_young = |call: JournalledCall| now.elapsed.since(call.at) < self.policy.call_deadline;
            if !self.requested.is_some_and(is_young) {
                relocation::start_failed(self, shown, now, record);
            }
            return;
        }
        if shown.vm_state == VmState::Stopped && shown.task_state.is_none() {
            self.issue_call(Command::Start(server), now, record, commands, "Starting instance");
        }
    }
}
