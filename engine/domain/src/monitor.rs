//! What a monitor says of itself: that it is at work, what of it does not work, and which hosts it watches.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::words;

words! {
    /// Which monitor.
    MonitorKind {
        /// Watches other hosts.
        Host = "host",
        /// Watches the processes of its host.
        Process = "process",
        /// Watches the instances of its host.
        Instance = "instance",
        /// Asks the guest agents of its host's instances.
        Introspective = "introspective",
    }
}

/// Most hosts that one monitor tells that it watches; it tells no more, and more are not taken.
pub const MOST_WATCHED: usize = 1_000;

/// Most parts of a monitor.
pub const MOST_PARTS: usize = 32;

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The host that it runs on, by its name in Nova.
    pub host: String,
    /// Which of that host's.
    pub kind: MonitorKind,
    /// Its version.
    pub version: String,
    /// What does not work, by part, in words. Parts that work are not named.
    pub troubles: BTreeMap<String, String>,
    /// The hosts that it watches, or did when it could last.
    pub watches: BTreeSet<String>,
    /// Whether it can judge them now.
    pub watching: bool,
}
