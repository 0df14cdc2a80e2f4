//! Deadlines: moves and recoveries that have taken too long are given up. Refusals with a known other cause do not count.
//!
//! Time that an operator takes, by a hold, a disabled segment or maintenance, counts towards no deadline.

use std::time::Duration;

use super::decision_context::{DecisionContext, Moves, decision_context};
use super::finish::power_off_warning;
use super::moves::finish;
use super::moves::local_disk::has_waited;
use super::moves::track::MoveTrack;
use super::{End, HostRecovery, Move, MoveStep, Stage};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::id::ServerId;
use crate::recovery::{DecisionTime, Life, Record, Task};

/// A refusal at most this long before a check of the service is explained by the result of that check.
const REFUSAL_EXPLANATION_WINDOW: Duration = Duration::from_mins(1);

/// Drops refusals that a cleared `forced_down` explains. Nova refuses to evacuate from a host that is up. If an
/// operator has cleared `forced_down`, its refusals are not about the instances. They do not count, and `forced_down`
/// is set again.
pub(super) fn refusals_explained(moves: &mut Moves, requested_at: Elapsed, record: &mut Record) {
    for instance in moves.values_mut() {
        let explained = |at: Elapsed| requested_at.since(at) <= REFUSAL_EXPLANATION_WINDOW;
        if instance.refused.take_if(|at| explained(*at)).is_some() && !instance.is_finished() {
            instance.failures = instance.failures.saturating_sub(1);
            record.moves.insert(instance.server);
        }
    }
}

/// Stops all deadlines while nothing may be started.
pub(super) fn pause_deadlines(deadline_from: &mut Elapsed, moves: &mut Moves, now: DecisionTime) {
    *deadline_from = now.elapsed;
    for instance in moves.values_mut() {
        instance.failing_since = None;
    }
}

impl HostRecovery {
    /// Gives up moves that have failed for too long. Calls that Nova may still be carrying out are followed to their end, without limit.
    pub(super) fn give_up_late(&mut self, now: DecisionTime, record: &mut Record) {
        let late = now.elapsed.since(self.deadline_from) >= self.policy.deadline;
        match self.stage {
            Stage::Moving => {
                let mut ctx = decision_context!(self, now, record);
                self.in_flight
                    .move_track
                    .give_up_late(late, &mut self.moves, &mut ctx);
            }
            Stage::Disabling | Stage::Listing if late && self.moves.values().all(Move::is_finished) => {
                let touched = self.service.put.is_some();
                let power_off_warning = power_off_warning(&self.host, &self.fence, &self.moves);
                decision_context!(self, now, record).end_late(touched, &power_off_warning);
            }
            Stage::Begin
            | Stage::Fencing
            | Stage::Disabling
            | Stage::Listing
            | Stage::Returning
            | Stage::Starting
            | Stage::Done => {}
        }
    }
}

impl MoveTrack {
    fn give_up_late(&self, late: bool, moves: &mut Moves, ctx: &mut DecisionContext<'_>) {
        let (now, policy) = (ctx.now, ctx.policy);
        let overdue = |instance: &Move| {
            let failing = |since: Elapsed| now.elapsed.since(since) >= policy.move_deadline;
            matches!(instance.step, MoveStep::Waiting { .. })
                && ((late && !has_waited(instance, policy.deadline, now))
                    || instance.failing_since.is_some_and(failing))
                && ctx.frozen(instance.server).is_none()
        };
        let overdue: Vec<ServerId> = moves
            .values()
            .filter(|instance| overdue(instance))
            .map(|instance| instance.server)
            .collect();
        for server in overdue {
            // The answer of a call in flight would come too late.
            if self.is_under_way(server) {
                continue;
            }
            let Some(instance) = moves.get_mut(&server) else {
                continue;
            };
            let why = instance
                .fault
                .clone()
                .map(|fault| format!(": {fault}"))
                .unwrap_or_default();
            let text = if late {
                format!(
                    "not moved within {} s of the recovery{why}",
                    policy.deadline.as_secs()
                )
            } else {
                let limit = policy.move_deadline.as_secs();
                format!("calls about it failed for {limit} s{why}")
            };
            instance.remark(&text);
            instance.remark(&format!("it was {} before", instance.was.vm_state));
            finish(instance, End::Person, now, ctx.record);
        }
    }
}

impl DecisionContext<'_> {
    /// Gives the recovery up before there was a plan. A new report starts another. `touched`: Nova's record of the host is to be cleared.
    fn end_late(&mut self, touched: bool, power_off_warning: &str) {
        let why = self.blockers.first();
        let why = why.map(|text| format!(": {text}")).unwrap_or_default();
        let text = format!(
            "given up after {} s without a list of the instances, none of which has been moved{why}{power_off_warning}",
            self.policy.deadline.as_secs()
        );
        self.record.failed(Task::Prepare, text.clone());
        *self.message = Some(text.clone());
        self.record.notification = Some((NotificationStatus::Failed, Some(text)));
        if touched {
            self.record.life = Some(Life::Watching);
            self.enter(Stage::Returning);
        } else {
            self.record.life = Some(Life::Closed);
            self.enter(Stage::Done);
        }
    }
}
