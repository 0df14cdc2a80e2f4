//! What Nova has recorded as done, until it is seen to have left the dead host.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Move;
use super::super::turn::Moves;
use super::confirmed;
use super::restoration::needs_a_look;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::recovery::{Now, Record};
use crate::timestamp::Timestamp;

/// So many evacuations that are done are worth a look whether they have left.
const MANY: usize = 12;

/// Fewer are after so long.
const COLLECTED: Duration = Duration::from_secs(3);

/// An evacuation that is recorded as done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Done {
    /// Where it went, as far as the record says so.
    pub(super) dest: Option<String>,
    /// When that was seen first.
    pub(super) since: Elapsed,
    pub(super) at: Timestamp,
}

impl Done {
    /// R9: it has left the host too, as `shown` or a list has it. It was back when the record said so, however long it took to look.
    pub(super) fn confirmed(self, one: &mut Move, shown: Option<String>, now: Now, record: &mut Record) {
        confirmed(one, self.dest.or(shown), now, record);
        if one.over_at.is_some() {
            one.over_at = Some(self.at);
        }
    }
}

/// Whether Nova is to be asked if they have left: nobody is back sooner for it, so what is done is collected for a moment, as long as
/// Nova has more than that in its hands.
pub(super) fn is_worth_a_look(done: &BTreeMap<ServerId, Done>, moves: &Moves, now: Now) -> bool {
    let is_old = |it: &Done| now.elapsed.since(it.since) >= COLLECTED;
    // What was stopped runs until it is looked at.
    let runs_for_now = |one: &Move| done.contains_key(&one.server) && needs_a_look(&one.was);
    let in_flight = moves.values().filter(|one| one.is_in_flight()).count();
    done.len() >= MANY.min(in_flight.div_ceil(2))
        || done.values().any(is_old)
        || moves.values().any(runs_for_now)
}
