//! What a monitor says of itself: that it is at work, what of it does not work, and which hosts it watches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;
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

words! {
    /// Whether the heartbeats of a monitor can contradict a claim that its host is off (R15).
    #[derive(Default)]
    HeartbeatUse {
        /// They can.
        Counts = "counts",
        /// They cannot: the caller is bound to no host.
        Unbound = "unbound",
        /// They cannot: the monitor does not send its `boot_id`.
        NoBootId = "no-boot-id",
        /// An API of an older version has written it.
        #[default]
        Unknown = "unknown",
    }
}

/// The boot of a host, and its boot-time counter when a monitor sent a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's `boot_id`.
    pub id: String,
    /// The time since that boot, suspend included.
    pub up: Duration,
}

/// A heartbeat of a monitor that is bound to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The host's boot-time counter when it was sent.
    pub up: Duration,
    /// When the API received it, by the database's clock.
    pub received: Timestamp,
    /// How old it was when it was read.
    pub age: Duration,
}

/// The heartbeats that the monitors of a host have sent in the boot in which the host was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootHeartbeats {
    /// When the report was accepted, by the database's clock; `None` if no boot of the host was known then, so that none counts.
    pub reported: Option<Timestamp>,
    /// Those that are kept of each monitor, by their counters.
    pub monitors: BTreeMap<MonitorKind, Vec<Heartbeat>>,
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
    /// The boot of its host; `None` unless its heartbeats count.
    pub boot: Option<Boot>,
    /// Whether they do.
    pub heartbeat_use: HeartbeatUse,
}
