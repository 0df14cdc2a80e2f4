//! Reporters whose claims Nova contradicts.

use tachi_domain::{Reporter, Timestamp};

/// A reporter that is quarantined, or would be if the limit allowed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedReporter {
    /// The number in the list.
    pub number: i64,
    pub reporter: Reporter,
    pub since: Timestamp,
    /// The reason, for people.
    pub why: String,
    /// True if its reports start no recovery. False if too many reporters are quarantined already: then Nova itself may
    /// be wrong.
    pub aside: bool,
    /// The number of its reports since then that were stored and started no recovery.
    pub unheard: u64,
}
