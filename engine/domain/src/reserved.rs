//! Reserved hosts as Nova and Placement show them: the data by which a recovery chooses one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::HostId;
use crate::nova::Service;
pub use crate::resources::Resources;

/// A host aggregate of Nova.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Nova's id of the aggregate.
    pub id: u64,
    /// The name, for people.
    pub name: String,
    /// The availability zone that the aggregate forms, if any. Nova spells it out.
    #[serde(default, alias = "availability_zone")]
    pub zone: Option<String>,
    /// The service hosts in the aggregate.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
    /// The metadata set by operators.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A host of the segment that is registered as reserved and not in maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedHost {
    /// Our id of the host.
    pub id: HostId,
    /// The service name in Nova.
    pub name: String,
    /// True if another recovery holds the host, or if it is being recovered itself.
    pub busy: bool,
    /// The host's `nova-compute`; `None` if Nova has none of that name.
    pub service: Option<Service>,
    /// The free resources by Placement; `None` if they are unknown.
    pub room: Option<Resources>,
}

/// The segment's reserved hosts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The hosts, in a stable order.
    pub hosts: Vec<ReservedHost>,
    pub aggregates: Vec<Aggregate>,
    /// The reason why Placement could not be read, if that failed.
    pub placement_error: Option<String>,
}

impl Survey {
    /// Returns the availability zone of a host; `None` is the zone of hosts that are in no aggregate with a zone.
    pub fn zone_of(&self, host: &str) -> Option<&str> {
        self.aggregates
            .iter()
            .filter(|aggregate| aggregate.hosts.contains(host))
            .find_map(|aggregate| aggregate.zone.as_deref())
    }
}

/// The state of a single reserved host when it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedHostView {
    /// The host's `nova-compute`.
    pub service: Option<Service>,
    /// The number of servers that Nova has on it; only if that was requested.
    pub servers: Option<usize>,
}
