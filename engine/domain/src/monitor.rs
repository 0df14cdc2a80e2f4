//! What a monitor says of itself: that it is at work, what of it does not work, and which hosts it watches.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

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

words! {
    /// Whether the guests of a host start by themselves when it does (`resume_guests_state_on_host_boot` of its nova-compute).
    Resume {
        /// They stay as they are, which is Nova's default.
        No = "no",
        /// They do, also beside one that was moved meanwhile.
        Yes = "yes",
        /// What nova-compute reads cannot be read.
        Unknown = "unknown",
    }
}

/// What a monitor has found of the guests of its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guests {
    /// Whether they start by themselves.
    pub resume: Resume,
    /// Where that is said, or why it is not known.
    pub by: String,
}

/// How long it takes at most from the power loss of a host until a monitor that watches it has reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// As far as that is known.
    pub seconds: u32,
    /// What these are.
    pub by: String,
    /// What comes on top, and is not known; empty if nothing does.
    pub beside: String,
}

/// Most seconds of a [`Notice`].
pub const LONGEST_NOTICE: u32 = 86_400;

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
    /// What it has found of the guests of its host; `None` if it says nothing of them, as where no nova-compute is.
    pub guests: Option<Guests>,
    /// How soon it would report a host; `None` if it watches none.
    pub notice: Option<Notice>,
}
