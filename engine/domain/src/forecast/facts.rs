//! Inputs of a forecast.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ServerId;

/// Amounts by Placement's resource class.
pub type Amounts = BTreeMap<String, u64>;

/// The inventory of a host in one resource class, as in Placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    pub total: u64,
    /// The amount that is not for instances.
    pub reserved: u64,
    /// The allowed overcommit, in thousandths, rounded down.
    pub ratio_millis: u64,
    /// The minimum that one instance takes.
    pub min_unit: u64,
    /// The maximum that one instance takes.
    pub max_unit: u64,
    /// The unit: one instance takes a multiple of it.
    pub step_size: u64,
    pub used: u64,
}

impl Capacity {
    /// Returns the amount that is left.
    pub const fn free(&self) -> u64 {
        let own = self.total.saturating_sub(self.reserved);
        (own.saturating_mul(self.ratio_millis) / 1_000).saturating_sub(self.used)
    }

    /// True if one instance may take this amount.
    pub const fn allows(&self, amount: u64) -> bool {
        amount >= self.min_unit
            && amount <= self.max_unit
            && (self.step_size == 0 || amount.is_multiple_of(self.step_size))
    }
}

/// The resource provider of a host. `T` is the type of its traits: shared by equal providers, or raw text for bulk reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider<T = Arc<BTreeSet<String>>> {
    /// The inventory by resource class.
    pub has: BTreeMap<String, Capacity>,
    pub traits: T,
}

/// A requirement of an instance on its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// The host has this trait.
    Trait(String),
    /// The host does not have this trait.
    NoTrait(String),
    /// The host is in this availability zone.
    Zone(String),
    /// The host is in an aggregate with this metadata.
    Metadata(String, String),
}

/// The requirements of the instances of one flavor. Thousands of instances share one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The project; empty where no host is reserved for projects.
    pub project: String,
    /// The amounts by resource class.
    pub amounts: Amounts,
    /// The other requirements.
    pub wishes: BTreeSet<Requirement>,
    /// A requirement that the forecast does not model, for people.
    pub not_reckoned: Option<String>,
}

/// An instance that has to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub id: ServerId,
    pub name: Arc<str>,
    /// The requirements. Instances with equal requirements share them, so that they are evaluated once for all.
    pub shape: Arc<Shape>,
}

/// A server group whose policy is binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The maximum number of members on one host; `None` for affinity, where all must be on the same host.
    pub per_host: Option<u64>,
    pub members: BTreeSet<ServerId>,
}

/// The resources and the state of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRoom {
    /// The inventory and traits; `None` if they are not known, or stale.
    pub provider: Option<Arc<Provider>>,
    /// True if Nova shows the host up, and it may take instances.
    pub open: bool,
    pub zone: String,
    /// The metadata of the host's aggregates.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// The instances that would be moved; `None` if they are not known.
    pub demands: Option<Vec<Demand>>,
}

/// All data that a forecast uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloud {
    /// The hosts by name.
    pub hosts: BTreeMap<String, HostRoom>,
    /// The server groups whose policy is binding: see [`Cloud::bind`].
    groups: Vec<Group>,
    /// The indexes of an instance's groups, by member.
    member_of: BTreeMap<ServerId, Vec<usize>>,
    /// The host of each member of a group.
    pub places: BTreeMap<ServerId, String>,
}

impl Cloud {
    /// Adds a server group whose policy is binding.
    pub fn bind(&mut self, group: Group) {
        for id in &group.members {
            self.member_of.entry(*id).or_default().push(self.groups.len());
        }
        self.groups.push(group);
    }

    /// Returns the groups of an instance.
    pub(super) fn groups_of(&self, id: ServerId) -> impl Iterator<Item = &Group> {
        let own = self.member_of.get(&id).into_iter().flatten();
        own.filter_map(|place| self.groups.get(*place))
    }
}
