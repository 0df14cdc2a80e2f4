//! The host's return: `forced_down` is cleared, and the steps that an operator has configured to be automatic are taken.

pub(super) mod boot_hold;
pub(super) mod enable;
pub(super) mod power_on;

use super::decision_context::{DecisionContext, decision_context};
use super::service::{ServiceTrack, reason_of};
use super::{HostRecovery, Stage, late_effects};
use crate::elapsed::Elapsed;
use crate::recovery::{
    Command, DecisionTime, Life, Record, ServiceUpdate, StepKind, Task, is_drained, is_marked, mark,
};

impl HostRecovery {
    /// Returns the host to service. Once nova-compute has restarted (its heartbeat advances and none of its evacuation records is open any
    /// more), `forced_down` is cleared. Never while a fence order may still take effect.
    pub(super) fn act_returning(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let effect_window = self.policy.late_effect_window();
        self.service
            .request_if_due(now, self.policy.heartbeat_poll, commands);
        // Other recoveries may count on the proof: a new owner checks it once.
        if self.proof.as_ref().is_some_and(|proof| !proof.is_confirmed()) {
            self.fence
                .keep_proof_fresh(self.proof.as_ref(), &self.policy, now, commands);
        }
        if record.life.is_none() {
            late_effects::watch(self, now, commands);
        }
        // The host is not powered on while an instance is on its way to it.
        if record.life.is_none() && self.arrivals.expected.is_empty() {
            let mut ctx = decision_context!(self, now, record);
            let (is_back, fence, proof) = (self.service.is_back(), &mut self.fence, &mut self.proof);
            let power_on = &mut self.power_on;
            if power_on.act(is_back, fence, proof, &self.moves, &mut ctx, commands) {
                let move_track = &mut self.in_flight.move_track;
                move_track.request_records(self.service.since, now, commands);
            }
        }
        let Some(service) = self.service.observed.as_ref() else {
            return;
        };
        let may_yet_be_set = self.service.may_yet_be_set(now.elapsed, effect_window);
        let quiet = self.fence.has_no_pending_orders(now.elapsed, &self.policy) && !may_yet_be_set;
        // The effect of this very write on the recovery must be durable before the host is returned to service.
        if !quiet || self.service.updating || record.life.is_some() {
            return;
        }
        // A reading from before this recovery's own change could take effect shows nothing about the changes of others.
        let settled = self
            .service
            .unanswered_since
            .map_or(self.service.changed, |put| put.plus(effect_window));
        let seen_after = |requested_at: Elapsed| requested_at >= settled.max(self.service.changed);
        let is_settled = self.service.question.observed.is_some_and(seen_after);
        if !service.forced_down {
            // A copy of Nova's database that lags behind does not show yet that this recovery has set it.
            let lags = |requested_at| self.service.may_show_own_changes(requested_at);
            if is_settled && !self.service.question.observed.is_some_and(lags) {
                let mut ctx = decision_context!(self, now, record);
                let how = "forced_down was cleared outside Tachi";
                self.service.act_enabling(how, &mut ctx, commands);
            }
            return;
        }
        // The host has failed again: its new recovery has replaced this one's mark with its own.
        let reason = reason_of(service);
        // A process recovery's call may come late, and replaces the mark too.
        let of_a_process = reason.starts_with(&self.policy.process_disable_reason)
            && self.policy.process_disable_reason != self.policy.host_disable_reason;
        // A drain's call may do the same.
        let of_a_drain = is_drained(reason);
        let theirs = is_marked(reason) && !reason.contains(&mark(self.id)) && !of_a_process && !of_a_drain;
        if self.service.marked && theirs && is_settled {
            let how = "it has failed again, and a new recovery handles it";
            decision_context!(self, now, record).close_as_done(how);
            return;
        }
        if !self.service.is_back() || now.elapsed < self.service.not_before {
            return;
        }
        let Some(id) = self.service.id else { return };
        // Nova refuses this with 400 while evacuation records from the host are still `done`, that is until its
        // nova-compute has processed them; then it is requested again.
        self.service.updating = true;
        self.service.clearing = true;
        self.service.enabling = false;
        self.service.not_before = now.elapsed.plus(self.policy.heartbeat_poll);
        // The host may have died again, and a new recovery may count on forced_down: then the journal refuses the write.
        record.unless_host_recovery = Some(self.host.clone());
        if self.service.faults == 0 {
            let text = format!("clearing forced_down of {}: it sends heartbeats again", self.host);
            record.step(Task::Return, StepKind::Intent, 0.5, text);
        }
        commands.push(Command::UpdateService {
            id,
            update: ServiceUpdate::ClearForcedDown,
        });
    }
}

impl ServiceTrack {
    /// Restarts the watch, because the host is under recovery again. The new recovery handles its return only if it gets as far as
    /// `forced_down`, so this one continues to watch. It starts from the beginning: the heartbeats so far were before the new failure.
    pub(super) fn superseded(&mut self, ctx: &mut DecisionContext<'_>) {
        self.clearing = false;
        self.begin_again(ctx.now.elapsed);
        // The newer recovery may run for hours, and until it ends the journal refuses what it refuses now.
        self.question.not_before = ctx.now.elapsed.plus(ctx.policy.heartbeat_poll);
        ctx.record.head = true;
    }
}

impl DecisionContext<'_> {
    pub(super) fn returned(&mut self, how: &str) {
        self.finish_return(&format!("it is back: {how}"));
        self.enter(Stage::Starting);
    }

    fn close_as_done(&mut self, how: &str) {
        self.finish_return(how);
        self.record.life = Some(Life::Closed);
        self.enter(Stage::Done);
    }

    fn finish_return(&mut self, how: &str) {
        let text = format!("host {}: {how}", self.host);
        self.record.step(Task::Return, StepKind::Outcome, 1.0, text);
    }
}
