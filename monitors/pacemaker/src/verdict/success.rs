//! Order of a success and the time the node was last up.

use crate::history::NodeHistory;
use crate::time::second;
use crate::{Rules, Time};

/// The time of a success, relative to the moment the node was last up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// The success came later.
    Newer,
    /// Both are in the same second, or the clocks differ within the tolerance while the order of observations shows
    /// that the success came after.
    SameSecond,
    /// The success came earlier: it belongs to a previous life.
    Older,
    /// The time when the node was last up is unknown.
    Unknown,
}

/// Compares by the order of observations where that is known, otherwise by clocks. `noted` is true if the CIB records a
/// fencing that it did not record when the node was last up: the CIB drops the record then.
pub(super) fn age(completed: Time, past: &NodeHistory, noted: bool, rules: &Rules) -> Age {
    let Some(up) = past.last_up else {
        return Age::Unknown;
    };
    // A success that was already in the history while the node was up is not newer, even by a clock that ran ahead.
    if past.known.is_some_and(|known| completed <= known) {
        return Age::Older;
    }
    let (completed, up) = (second(completed), second(up));
    if completed > up {
        return Age::Newer;
    }
    // Neither the success nor the record existed when the node was last up: this machine's clock is ahead of the
    // cluster's.
    if past.watched && noted {
        return Age::SameSecond;
    }
    let slack = if past.watched { rules.skew.num_seconds() } else { 0 };
    if completed >= up - slack {
        Age::SameSecond
    } else {
        Age::Older
    }
}
