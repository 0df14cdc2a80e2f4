//! Reporters whose claims Nova contradicts.

use tachi_domain::{Reporter, Timestamp};

/// A reporter that is set aside, or should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubted {
    /// Its number in the list.
    pub number: i64,
    /// Who.
    pub reporter: Reporter,
    /// Since when.
    pub since: Timestamp,
    /// For people.
    pub why: String,
    /// What it says begins nothing. If not, too many are set aside already: then it may be Nova that is wrong.
    pub aside: bool,
    /// How many reports have been kept of it since, and begun nothing.
    pub unheard: u64,
}
