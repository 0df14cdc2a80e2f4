//! The demand of this recovery, the permits that it was given, and the time of its next decision.

use std::time::Duration;

use super::{HostRecovery, Move, MoveStep, Stage};
use crate::elapsed::Elapsed;
use crate::pace::{Demand, EvacuationProgress, Permits, StartSample, Urgency};
use crate::policy::Policy;
use crate::recovery::DecisionTime;

/// Maximum time to the next decision, whatever is or is not due.
const MAX_DECISION_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two decisions in the stages before the plan, which follow each other quickly.
const EARLY_STAGE_INTERVAL: Duration = Duration::from_millis(100);

/// Minimum time between two decisions.
const MIN_DECISION_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum number of moves that are reported as ready: more than any window is wide.
const MAX_READY_MOVES: u32 = 4_096;

/// The budget of one decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The number of further evacuations.
    pub(super) evacuations: u64,
    /// The number of other calls about instances at once, of each kind.
    pub(super) calls: usize,
}

impl Move {
    /// Returns its [`Urgency`]. A priority that does not count across projects gives no recovery precedence over another either.
    pub(super) fn urgency(&self, policy: &Policy) -> Urgency {
        Urgency {
            tagged: self.tagged,
            priority: if policy.priority_across_projects {
                self.priority.into()
            } else {
                0
            },
        }
    }

    /// True if its evacuation was requested, and no destination is seen to work on it.
    pub(super) fn is_queued(&self) -> bool {
        self.queued_since().is_some()
    }

    /// Returns the time since which it has been queued, if it is.
    pub(super) fn queued_since(&self) -> Option<Elapsed> {
        match self.step {
            MoveStep::Asked { since, .. } if self.dest.is_none() => Some(since),
            MoveStep::Asked { .. }
            | MoveStep::OnHold
            | MoveStep::Waiting { .. }
            | MoveStep::Restoring { .. }
            | MoveStep::Unlocking { .. }
            | MoveStep::Done(_) => None,
        }
    }
}

/// The permits of this recovery, and the progress of its evacuations that is not reported yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// The permits; `None` before the first are given.
    pub(super) permits: Option<Permits>,
    /// The number of evacuations that this owner has requested.
    pub(super) requested: u64,
    /// The moves that wait only for a permit, counted by urgency.
    pub(super) ready: Vec<(Urgency, u32)>,
    /// The times that Nova took to pick up moves, not reported yet.
    taken_up: Vec<StartSample>,
    /// True if the records have been read, which is not reported yet.
    pub(super) polled: bool,
}

impl Pace {
    /// Returns the minimum time between two polls.
    pub(super) fn pause(&self, tick: Duration) -> Duration {
        self.permits.map_or(tick, |permits| permits.pause)
    }

    /// Returns the part of the permits that is not used yet.
    pub(super) fn room(&self) -> Room {
        self.permits.map_or(
            Room {
                evacuations: 0,
                calls: 0,
            },
            |permits| Room {
                evacuations: permits.evacuations.saturating_sub(self.requested),
                calls: usize::try_from(permits.calls).unwrap_or(usize::MAX),
            },
        )
    }

    /// Counts a move that waits only for a permit.
    pub(super) fn is_ready(&mut self, urgency: Urgency) {
        let reported: u32 = self.ready.iter().map(|(_, count)| count).sum();
        if reported >= MAX_READY_MOVES {
            return;
        }
        match self.ready.iter_mut().find(|(known, _)| *known == urgency) {
            Some((_, count)) => *count += 1,
            None => self.ready.push((urgency, 1)),
        }
    }

    /// Records how long Nova took to pick a move up, if that was just seen. The lower bound is the time until the poll before this one,
    /// which did not show it yet, so that rare polls are not held against Nova.
    pub(super) fn note_taken_up(
        &mut self,
        requested_at: Option<Elapsed>,
        instance: &Move,
        last_poll: Option<Elapsed>,
        now: DecisionTime,
    ) {
        let Some(requested_at) = requested_at else { return };
        let goes_on = !instance.is_queued() && !matches!(instance.step, MoveStep::Waiting { .. });
        if goes_on {
            self.taken_up.push(StartSample {
                least: last_poll.map_or(Duration::ZERO, |poll| poll.since(requested_at)),
                most: now.elapsed.since(requested_at),
            });
        }
    }
}

impl HostRecovery {
    /// Returns its demand for permits and its evacuations in flight, after the latest decision.
    pub fn demand(&self) -> Demand {
        let pace = &self.in_flight.move_track.pace;
        let mut demand = Demand {
            requested: pace.requested,
            ready: pace.ready.clone(),
            active: matches!(self.stage, Stage::Listing | Stage::Moving),
            ..Demand::default()
        };
        demand.ready.sort_by(|(one, _), (other, _)| other.cmp(one));
        for instance in self.moves.values() {
            demand.in_flight += u32::from(instance.is_in_flight());
            demand.queued += u32::from(instance.is_queued());
            demand.calls |=
                !instance.is_finished() && matches!(instance.lock, super::Lock::Wanted | super::Lock::Asked);
            demand.calls |= matches!(instance.step, MoveStep::Unlocking { .. });
        }
        demand
    }

    /// Returns the progress of the evacuations since the last call.
    pub fn sight(&mut self) -> EvacuationProgress {
        let pace = &mut self.in_flight.move_track.pace;
        EvacuationProgress {
            polled: std::mem::take(&mut pace.polled),
            taken: std::mem::take(&mut pace.taken_up),
        }
    }

    /// Returns the time to the next decision, if nothing is observed before. It is never more than a second, so that a time that is
    /// missing here costs no more than that.
    pub fn next_poll(&self, now: DecisionTime) -> Duration {
        let quiet = self.hold.is_some()
            || matches!(
                self.stage,
                Stage::Moving | Stage::Returning | Stage::Starting | Stage::Done
            );
        let most = if quiet {
            MAX_DECISION_INTERVAL
        } else {
            EARLY_STAGE_INTERVAL.min(self.policy.tick / 2)
        };
        let in_flight = &self.in_flight;
        let move_track = &in_flight.move_track;
        let questions = [
            self.guard.region_probe.question(),
            self.service.question,
            in_flight.listing.question,
            move_track.lists,
            move_track.evacuations,
            move_track.server_ids,
            in_flight.messaging.question,
        ];
        let retry = self.fence.retry_at;
        let moves = self.moves.values().filter_map(|instance| match instance.step {
            MoveStep::Waiting { not_before } | MoveStep::Unlocking { not_before, .. } => Some(not_before),
            MoveStep::Asked { .. } => Some(instance.lock_not_before),
            MoveStep::OnHold | MoveStep::Restoring { .. } | MoveStep::Done(_) => None,
        });
        questions
            .into_iter()
            .map(|question| question.not_before)
            .chain(move_track.server_not_before.values().copied())
            .chain(in_flight.blockers.moments())
            .chain(moves)
            .chain(self.fence.moments())
            .chain(retry)
            .filter(|time| *time > now.elapsed)
            .map(|time| time.since(now.elapsed))
            .min()
            .unwrap_or(MAX_DECISION_INTERVAL)
            .clamp(MIN_DECISION_INTERVAL, most.max(MIN_DECISION_INTERVAL))
    }
}
