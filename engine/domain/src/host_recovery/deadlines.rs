//! What has gone on for too long: told, given up, or not counted after all.
//!
//! Time that an operator takes, by a hold, a disabled segment or maintenance, counts towards no deadline.

use std::time::Duration;

use super::freezing;
use super::moves::finish;
use super::{End, HostRecovery, Move, MoveStep, Stage};
use crate::entity::notification::NotificationStatus;
use crate::recovery::{Life, Now, Record, Task};
use crate::{Elapsed, ServerId};

/// A refusal this long before a look at the service is explained by what the look shows.
const EXPLAINED: Duration = Duration::from_mins(1);

impl HostRecovery {
    /// Nova refuses to evacuate from a host that it takes for up. If somebody has cleared `forced_down`, its refusals said that
    /// and nothing about the instances (EW19): they count for nothing, and it is set again.
    pub(super) fn refusals_explained(&mut self, asked: Elapsed, record: &mut Record) {
        for one in self.moves.values_mut() {
            let explained = |at: Elapsed| asked.since(at) <= EXPLAINED;
            if one.refused.take_if(|at| explained(*at)).is_some() && !one.is_over() {
                one.failures = one.failures.saturating_sub(1);
                record.moves.insert(one.server);
            }
        }
    }

    /// Nothing may be begun just now, so no time runs.
    pub(super) fn stop_the_clocks(&mut self, now: Now) {
        self.deadline_from = now.elapsed;
        for one in self.moves.values_mut() {
            one.failing_since = None;
        }
    }

    /// Gives up what has failed for too long. What Nova may be at work on is followed to its end, however long that takes.
    pub(super) fn give_up_late(&mut self, now: Now, record: &mut Record) {
        let late = now.elapsed.since(self.deadline_from) >= self.policy.deadline;
        match self.stage {
            Stage::Moving => self.give_up_moves(late, now, record),
            Stage::Disabling | Stage::Listing if late && self.moves.values().all(Move::is_over) => {
                self.end_late(record);
            }
            Stage::Begin
            | Stage::Fencing
            | Stage::Disabling
            | Stage::Listing
            | Stage::Returning
            | Stage::Over => {}
        }
    }

    fn give_up_moves(&mut self, late: bool, now: Now, record: &mut Record) {
        let limit = self.policy.move_deadline;
        let overdue = |one: &Move| {
            let failing = |since: Elapsed| now.elapsed.since(since) >= limit;
            matches!(one.step, MoveStep::Waiting { .. })
                && (late || one.failing_since.is_some_and(failing))
                && !freezing::holds(self, one.server)
        };
        let servers: Vec<ServerId> = self
            .moves
            .values()
            .filter(|one| overdue(one))
            .map(|one| one.server)
            .collect();
        for server in servers {
            // The answer of a call under way would come too late.
            if self.asks.evacuating.contains(&server) || self.asks.servers.contains(&server) {
                continue;
            }
            let Some(one) = self.moves.get_mut(&server) else {
                continue;
            };
            let why = one
                .fault
                .clone()
                .map(|fault| format!(": {fault}"))
                .unwrap_or_default();
            let text = if late {
                format!(
                    "not moved within {} s of the recovery{why}",
                    self.policy.deadline.as_secs()
                )
            } else {
                format!("calls about it failed for {} s{why}", limit.as_secs())
            };
            one.remark(&text);
            one.remark(&format!("it was {} before", one.was.vm_state));
            finish(one, End::Person, now, record);
        }
    }

    /// Before there was a plan. A new report begins anew.
    fn end_late(&mut self, record: &mut Record) {
        let why = self.asks.troubles.first();
        let why = why.map(|text| format!(": {text}")).unwrap_or_default();
        let text = format!(
            "given up after {} s without a list of the instances, none of which has been moved{why}",
            self.policy.deadline.as_secs()
        );
        record.failed(Task::Prepare, text.clone());
        self.message = Some(text.clone());
        record.notification = Some((NotificationStatus::Failed, Some(text)));
        if self.service.put.is_some() {
            record.life = Some(Life::Watching);
            self.enter(Stage::Returning, record);
        } else {
            record.life = Some(Life::Closed);
            self.enter(Stage::Over, record);
        }
    }
}
