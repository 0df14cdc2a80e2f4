//! Did a success come after the node was last up?

use crate::history::NodeHistory;
use crate::time::second;
use crate::{Rules, Time};

/// A success, beside the moment the node was last up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Later.
    Newer,
    /// The same second, or the clocks differ within the tolerance while the order of events is "after".
    Tie,
    /// Earlier: of a previous life.
    Older,
    /// It is unknown when the node was last up.
    Unknown,
}

/// Compares by the order in which things were seen where that is known, by clocks where it is not. `noted`: the CIB notes
/// a fencing that it did not note when the node was last up, for it forgets the note then.
pub(super) fn age(completed: Time, past: &NodeHistory, noted: bool, rules: &Rules) -> Age {
    let Some(up) = past.last_up else {
        return Age::Unknown;
    };
    // Already in the history while the node was up: not even a clock that ran ahead makes it newer.
    if past.known.is_some_and(|known| completed <= known) {
        return Age::Older;
    }
    let (completed, up) = (second(completed), second(up));
    if completed > up {
        return Age::Newer;
    }
    // Neither success nor note was there when it was last up: this machine's clock is ahead of the cluster's.
    if past.watched && noted {
        return Age::Tie;
    }
    let slack = if past.watched { rules.skew.num_seconds() } else { 0 };
    if completed >= up - slack {
        Age::Tie
    } else {
        Age::Older
    }
}
