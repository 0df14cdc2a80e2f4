//! A monitor's report on itself: that it is running, its parts that do not work, and the hosts it watches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ServerId;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The kind of monitor.
    MonitorKind {
        /// Watches other hosts.
        Host = "host",
        /// Watches the processes of its host.
        Process = "process",
        /// Watches the instances of its host.
        Instance = "instance",
        /// Queries the guest agents of its host's instances.
        Introspective = "introspective",
    }
}

string_enum! {
    /// The behaviour of a host's guests at its boot (`resume_guests_state_on_host_boot` of its nova-compute).
    Resume {
        /// The guests stay off, which is Nova's default.
        No = "no",
        /// The guests start, even one that was moved to another host in the meantime.
        Yes = "yes",
        /// The configuration of nova-compute cannot be read.
        Unknown = "unknown",
    }
}

string_enum! {
    /// The use of a monitor's heartbeats to contradict a claim that its host is off.
    #[derive(Default)]
    HeartbeatUse {
        /// The heartbeats count.
        Counts = "counts",
        /// They do not count, because the caller is bound to no host.
        Unbound = "unbound",
        /// They do not count, because the monitor does not send its `boot_id`.
        NoBootId = "no-boot-id",
        /// The row was written by an older version of the API.
        #[default]
        Unknown = "unknown",
    }
}

/// The boot of a host, and its boot-time counter at a monitor's heartbeat.
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
    /// The host's boot-time counter when the heartbeat was sent.
    pub up: Duration,
    /// The time at which the API received it, by the database's clock.
    pub received: Timestamp,
    /// The heartbeat's age when it was read.
    pub age: Duration,
}

/// The heartbeats that the monitors of a host have sent in the boot in which the host was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootHeartbeats {
    /// The time at which the report was accepted, by the database's clock; `None` if no boot of the host was known, so none
    /// counts.
    pub reported: Option<Timestamp>,
    /// The stored heartbeats of each monitor, by their counters.
    pub monitors: BTreeMap<MonitorKind, Vec<Heartbeat>>,
}

/// A monitor's findings on the guests of its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guests {
    /// The behaviour of the guests at the boot of the host.
    pub resume: Resume,
    /// The source of this value, or the reason why it is unknown.
    pub by: String,
}

/// The longest time from the power loss of a host to the report of a monitor that watches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The known part of that time.
    pub seconds: u32,
    /// The components of the known part.
    pub by: String,
    /// The components that are unknown; empty if there are none.
    pub beside: String,
}

/// The maximum value of [`Notice::seconds`].
pub const MAX_NOTICE_SECONDS: u32 = 86_400;

/// The maximum number of watched hosts in a heartbeat: a monitor sends no more, and more are not accepted.
pub const MAX_WATCHED_HOSTS: usize = 1_000;

/// The maximum number of parts of a monitor.
pub const MAX_PARTS: usize = 32;

/// The maximum number of lost planes of a host in a heartbeat.
pub const MAX_LOST_PLANES: usize = 8;

/// The maximum number of processes in a heartbeat.
pub const MAX_FAILED_PROCESSES: usize = 64;

/// The maximum number of instances on a local disk in a heartbeat.
pub const MAX_LOCAL_DISKS: usize = 1_000;

/// The maximum number of instances that have shut themselves down in a heartbeat.
pub const MAX_SHUT_DOWN: usize = 1_000;

/// The networks that hosts have lost while their management network works, by host, each with the time since when.
pub type LostPlanes = BTreeMap<String, BTreeMap<String, Timestamp>>;

/// A monitor's heartbeat, with its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorHeartbeat {
    /// The host on which the monitor runs, by its name in Nova.
    pub host: String,
    /// The kind of monitor.
    pub kind: MonitorKind,
    pub version: String,
    /// The problems by part, as text. Parts that work are not listed.
    pub troubles: BTreeMap<String, String>,
    /// The hosts that it watches, or watched when it last could.
    pub watches: BTreeSet<String>,
    /// True if the monitor can judge these hosts now.
    pub watching: bool,
    /// The findings on the guests of its host; `None` if there are none, as on a host without nova-compute.
    pub guests: Option<Guests>,
    /// The time until it would report a host; `None` if it watches none.
    pub notice: Option<Notice>,
    /// The planes that hosts have lost; `None` if it does not judge planes.
    pub planes: Option<LostPlanes>,
    /// The processes of its host that it could not restart, each with the time since when.
    pub processes_down: BTreeMap<String, Timestamp>,
    /// The instances on the local disk of its host; `None` if the heartbeat has none, or its caller is bound to no host.
    pub local_disks: Option<BTreeSet<ServerId>>,
    /// The instances on its host that have shut themselves down, and were not started since; empty if its caller is bound to no host.
    pub shut_down: BTreeSet<ServerId>,
    /// The boot of its host; `None` unless its heartbeats count.
    pub boot: Option<Boot>,
    /// The use of its heartbeats.
    pub heartbeat_use: HeartbeatUse,
}
