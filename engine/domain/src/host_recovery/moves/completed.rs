//! Evacuations that Nova has recorded as done, until the instances are seen to have left the dead host.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Move;
use super::super::decision_context::Moves;
use super::confirmed;
use super::restoration::needs_check;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::recovery::{DecisionTime, Record};
use crate::timestamp::Timestamp;

/// Number of finished evacuations for which a check whether they have left is worthwhile.
const DEPARTURE_CHECK_BATCH: usize = 12;

/// Time after which it is worthwhile for fewer.
const DEPARTURE_CHECK_DELAY: Duration = Duration::from_secs(3);

/// An evacuation that is recorded as done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Done {
    /// The destination, if the record shows it.
    pub(super) dest: Option<String>,
    /// The time at which that was first seen.
    pub(super) since: Elapsed,
    pub(super) at: Timestamp,
}

impl Done {
    /// Confirms the move: the instance has left the host too, as `shown` or a list shows. It was back when the record showed that,
    /// however long the check took.
    pub(super) fn confirmed(
        self,
        instance: &mut Move,
        shown: Option<String>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        confirmed(instance, self.dest.or(shown), now, record);
        if instance.done_at.is_some() {
            instance.done_at = Some(self.at);
        }
    }
}

/// True if a check whether they have left is due. No instance is back sooner for it, so finished evacuations are collected for
/// a moment, as long as Nova works on more than that.
pub(super) fn is_departure_check_due(
    done: &BTreeMap<ServerId, Done>,
    moves: &Moves,
    now: DecisionTime,
) -> bool {
    let is_old = |it: &Done| now.elapsed.since(it.since) >= DEPARTURE_CHECK_DELAY;
    // An instance that was stopped before runs until it is checked.
    let runs_for_now = |instance: &Move| done.contains_key(&instance.server) && needs_check(&instance.was);
    let in_flight = moves.values().filter(|instance| instance.is_in_flight()).count();
    done.len() >= DEPARTURE_CHECK_BATCH.min(in_flight.div_ceil(2))
        || done.values().any(is_old)
        || moves.values().any(runs_for_now)
}
