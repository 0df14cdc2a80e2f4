//! What this recovery could do with, what it was given, and when it has to be looked at next.

use std::time::Duration;

use super::{HostRecovery, Move, MoveStep, Stage};
use crate::elapsed::Elapsed;
use crate::pace::{Demand, Permits, Sight, TakenUp, Urgency};
use crate::policy::Policy;
use crate::recovery::Now;

/// So long at most until the next look, whatever is or is not due.
const LONGEST: Duration = Duration::from_secs(1);

/// Between two looks while the way to the plan is short and full of turns.
const SHORT: Duration = Duration::from_millis(100);

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(5);

/// So many moves are told as ready: more than any window is wide.
const TOLD: u32 = 4_096;

/// How much may be begun in this decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Further evacuations.
    pub(super) evacuations: u64,
    /// Other calls about instances, of each kind, at once.
    pub(super) calls: usize,
}

impl Move {
    /// See [`Urgency`]. A priority that does not count across projects lets no recovery go before another either.
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

    /// Whether Nova has been asked, and no destination is seen to work on it.
    pub(super) fn is_queued(&self) -> bool {
        self.queued_since().is_some()
    }

    /// Since when it has been queued, if it is.
    pub(super) fn queued_since(&self) -> Option<Elapsed> {
        match self.step {
            MoveStep::Asked { since, .. } if self.dest.is_none() => Some(since),
            MoveStep::Asked { .. }
            | MoveStep::Held
            | MoveStep::Waiting { .. }
            | MoveStep::Restoring { .. }
            | MoveStep::Unlocking { .. }
            | MoveStep::Over(_) => None,
        }
    }
}

/// What this recovery may begin, and what of its evacuations has not been told yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// What may be begun; `None` until somebody says so.
    pub(super) permits: Option<Permits>,
    /// Evacuations asked for by this owner.
    pub(super) asked: u64,
    /// Moves that lack nothing but leave.
    pub(super) ready: Vec<(Urgency, u32)>,
    /// How long Nova took to take up moves, not told yet.
    taken_up: Vec<TakenUp>,
    /// The records have been looked at, which is not told yet.
    pub(super) looked: bool,
}

impl Pace {
    /// The time between two looks, at least.
    pub(super) fn pause(&self, tick: Duration) -> Duration {
        self.permits.map_or(tick, |permits| permits.pause)
    }

    /// What was given, as far as it has not been used.
    pub(super) fn room(&self) -> Room {
        self.permits.map_or(
            Room {
                evacuations: 0,
                calls: 0,
            },
            |permits| Room {
                evacuations: permits.evacuations.saturating_sub(self.asked),
                calls: usize::try_from(permits.calls).unwrap_or(usize::MAX),
            },
        )
    }

    /// A move lacks nothing but leave.
    pub(super) fn is_ready(&mut self, urgency: Urgency) {
        let told: u32 = self.ready.iter().map(|(_, count)| count).sum();
        if told >= TOLD {
            return;
        }
        match self.ready.iter_mut().find(|(one, _)| *one == urgency) {
            Some((_, count)) => *count += 1,
            None => self.ready.push((urgency, 1)),
        }
    }

    /// Sets down how long Nova took to take a move up, if it has just been seen to: at least until the look before this one, at
    /// which nobody had, so that how seldom we look is not held against Nova.
    pub(super) fn note_taken_up(
        &mut self,
        asked: Option<Elapsed>,
        one: &Move,
        looked_before: Option<Elapsed>,
        now: Now,
    ) {
        let Some(asked) = asked else { return };
        let goes_on = !one.is_queued() && !matches!(one.step, MoveStep::Waiting { .. });
        if goes_on {
            self.taken_up.push(TakenUp {
                least: looked_before.map_or(Duration::ZERO, |look| look.since(asked)),
                most: now.elapsed.since(asked),
            });
        }
    }
}

impl HostRecovery {
    /// What it could do with, and what it has, after the latest decision.
    pub fn demand(&self) -> Demand {
        let pace = &self.asks.move_track.pace;
        let mut demand = Demand {
            asked: pace.asked,
            ready: pace.ready.clone(),
            active: matches!(self.stage, Stage::Listing | Stage::Moving),
            ..Demand::default()
        };
        demand.ready.sort_by(|(one, _), (other, _)| other.cmp(one));
        for one in self.moves.values() {
            demand.in_flight += u32::from(one.is_in_flight());
            demand.queued += u32::from(one.is_queued());
            demand.calls |= !one.is_over() && matches!(one.lock, super::Lock::Wanted | super::Lock::Asked);
            demand.calls |= matches!(one.step, MoveStep::Unlocking { .. });
        }
        demand
    }

    /// What has been seen of the evacuations since this was last asked.
    pub fn sight(&mut self) -> Sight {
        let pace = &mut self.asks.move_track.pace;
        Sight {
            looked: std::mem::take(&mut pace.looked),
            taken: std::mem::take(&mut pace.taken_up),
        }
    }

    /// In how long it has to be decided again, if nothing is observed before. Never more than a second, so that a moment
    /// that is not named here costs no more than that.
    pub fn next_look(&self, now: Now) -> Duration {
        let quiet =
            self.hold.is_some() || matches!(self.stage, Stage::Moving | Stage::Returning | Stage::Over);
        let most = if quiet {
            LONGEST
        } else {
            SHORT.min(self.policy.tick / 2)
        };
        let asks = &self.asks;
        let move_track = &asks.move_track;
        let questions = [
            self.guard.lookout.question(),
            self.service.question,
            asks.listing.question,
            move_track.lists,
            move_track.evacuations,
            move_track.server_ids,
            asks.messaging.question,
        ];
        let retry = self.fence.retry_at;
        let moves = self.moves.values().filter_map(|one| match one.step {
            MoveStep::Waiting { not_before } | MoveStep::Unlocking { not_before, .. } => Some(not_before),
            MoveStep::Asked { .. } => Some(one.lock_not_before),
            MoveStep::Held | MoveStep::Restoring { .. } | MoveStep::Over(_) => None,
        });
        questions
            .into_iter()
            .map(|question| question.not_before)
            .chain(move_track.server_not_before.values().copied())
            .chain(asks.troubles.moments())
            .chain(moves)
            .chain(self.fence.moments())
            .chain(retry)
            .filter(|moment| *moment > now.elapsed)
            .map(|moment| moment.since(now.elapsed))
            .min()
            .unwrap_or(LONGEST)
            .clamp(SHORTEST, most.max(SHORTEST))
    }
}
