//! Reserved hosts as the outside shows them: what a recovery chooses by.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::HostId;
use crate::nova::Service;
pub use crate::resources::Resources;

/// A host aggregate of Nova.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Nova's number of it.
    pub id: u64,
    /// Its name, for people.
    pub name: String,
    /// The availability zone it makes, if it makes one.
    pub zone: Option<String>,
    /// The service hosts in it.
    pub hosts: BTreeSet<String>,
    /// What operators have written on it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A host of the segment that is registered as reserved and not on maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedHost {
    /// Our id of it.
    pub id: HostId,
    /// Its service name in Nova.
    pub name: String,
    /// Another recovery holds it, or it is being recovered itself.
    pub busy: bool,
    /// Its `nova-compute`; `None` if Nova knows none of that name.
    pub service: Option<Service>,
    /// What Placement says is left on it; `None` if that cannot be told.
    pub room: Option<Resources>,
}

/// The segment's reserved hosts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// In a stable order.
    pub hosts: Vec<ReservedHost>,
    /// Every aggregate there is.
    pub aggregates: Vec<Aggregate>,
    /// Why Placement could not be asked, if so.
    pub blind: Option<String>,
}

impl Survey {
    /// The availability zone a host is in; `None` is the one of hosts that nobody has put into any.
    pub fn zone_of(&self, host: &str) -> Option<&str> {
        self.aggregates
            .iter()
            .filter(|one| one.hosts.contains(host))
            .find_map(|one| one.zone.as_deref())
    }
}

/// A reserved host looked at again, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedHostView {
    /// Its `nova-compute`.
    pub service: Option<Service>,
    /// How many servers Nova has on it; only if that was asked.
    pub servers: Option<usize>,
}
