//! What a forecast is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ServerId;

/// Amounts by Placement's resource class.
pub type Amounts = BTreeMap<String, u64>;

/// What a host has of one resource class, as Placement keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// All of it.
    pub total: u64,
    /// Not for instances.
    pub reserved: u64,
    /// How far it may be overcommitted, in thousandths, rounded down.
    pub ratio_millis: u64,
    /// One instance takes this at least,
    pub min_unit: u64,
    /// at most this,
    pub max_unit: u64,
    /// and a multiple of this.
    pub step_size: u64,
    /// In use.
    pub used: u64,
}

impl Capacity {
    /// What is left.
    pub const fn free(&self) -> u64 {
        let own = self.total.saturating_sub(self.reserved);
        (own.saturating_mul(self.ratio_millis) / 1_000).saturating_sub(self.used)
    }

    /// Whether one instance may take this much at a time.
    pub const fn allows(&self, amount: u64) -> bool {
        amount >= self.min_unit
            && amount <= self.max_unit
            && (self.step_size == 0 || amount.is_multiple_of(self.step_size))
    }
}

/// A host's resource provider. `T` is what it can, shared by those that can the same; or the text of that, for who reads many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider<T = Arc<BTreeSet<String>>> {
    /// By resource class.
    pub has: BTreeMap<String, Capacity>,
    /// What it can.
    pub traits: T,
}

/// What an instance has to find on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// This trait.
    Trait(String),
    /// Not this trait.
    NoTrait(String),
    /// This availability zone.
    Zone(String),
    /// An aggregate with this metadata.
    Metadata(String, String),
}

/// What instances of one flavor need. Thousands share one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Their project; empty where no host is kept for projects.
    pub project: String,
    /// How much of what.
    pub amounts: Amounts,
    /// What else has to be so.
    pub wishes: BTreeSet<Wish>,
    /// What else they ask for, in words, if that is not reckoned with.
    pub not_reckoned: Option<String>,
}

/// An instance that needs a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Nova's id.
    pub id: ServerId,
    /// Its name.
    pub name: Arc<str>,
    /// What it needs. Those that need the same share it: it is looked at once for all of them.
    pub shape: Arc<Shape>,
}

/// A server group whose policy has to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// So many members may be on one host; `None` for affinity, where all must be on the same.
    pub per_host: Option<u64>,
    /// Its members.
    pub members: BTreeSet<ServerId>,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRoom {
    /// What it has; `None` if that is not known, or was known too long ago.
    pub provider: Option<Arc<Provider>>,
    /// Nova hears it, and it may take instances.
    pub open: bool,
    /// Its availability zone.
    pub zone: String,
    /// The metadata of its aggregates.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// Its instances that would be moved; `None` if they are not known.
    pub demands: Option<Vec<Demand>>,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloud {
    /// By name.
    pub hosts: BTreeMap<String, HostRoom>,
    /// The server groups that bind: see [`Cloud::bind`].
    groups: Vec<Group>,
    /// By member, the places of its groups.
    member_of: BTreeMap<ServerId, Vec<usize>>,
    /// On which host each member of a group is.
    pub places: BTreeMap<ServerId, String>,
}

impl Cloud {
    /// Reckons with a server group.
    pub fn bind(&mut self, group: Group) {
        for id in &group.members {
            self.member_of.entry(*id).or_default().push(self.groups.len());
        }
        self.groups.push(group);
    }

    /// The groups of an instance.
    pub(super) fn groups_of(&self, id: ServerId) -> impl Iterator<Item = &Group> {
        let own = self.member_of.get(&id).into_iter().flatten();
        own.filter_map(|place| self.groups.get(*place))
    }
}
