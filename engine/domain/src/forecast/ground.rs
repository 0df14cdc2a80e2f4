//! State that all queries about one cloud share, computed once: the hosts that take each shape, and the amounts left on each.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::rules::refuses;
use super::{Cloud, Demand, Group, HostRoom, Shape};
use crate::id::ServerId;

/// The hosts that would take a shape now, in the order of their names.
pub(super) struct Candidates {
    /// The amounts that the shape needs, each with the index of its class in [`CandidateIndex::classes`].
    pub(super) amounts: Vec<(usize, u64)>,
    /// The indexes of the hosts.
    pub(super) hosts: Vec<usize>,
    /// The amounts left on each host beside the shape, in the order of `amounts`.
    pub(super) slack: Vec<u64>,
}

/// Stored beside the result, so that no other shape is allocated at its address.
type CachedCandidates = (Arc<Shape>, Rc<Candidates>);

pub(super) struct CandidateIndex<'a> {
    pub(super) cloud: &'a Cloud,
    /// The hosts whose inventory is known, by name.
    pub(super) hosts: Vec<(&'a str, &'a HostRoom)>,
    /// The classes that any of these hosts has.
    pub(super) classes: Vec<&'a str>,
    /// The amounts left of each class, host by host.
    pub(super) free: Vec<u64>,
    place: HashMap<&'a str, usize>,
    candidates: RefCell<HashMap<*const Shape, CachedCandidates>>,
}

impl<'a> CandidateIndex<'a> {
    pub(super) fn new(cloud: &'a Cloud) -> Self {
        let mut hosts = Vec::new();
        let mut classes: BTreeSet<&str> = BTreeSet::new();
        for (name, host) in &cloud.hosts {
            if let Some(provider) = &host.provider {
                hosts.push((name.as_str(), host));
                classes.extend(provider.has.keys().map(String::as_str));
            }
        }
        let classes: Vec<&str> = classes.into_iter().collect();
        let free = hosts.iter().flat_map(|(_, host)| {
            classes.iter().map(|class| {
                let provider = host.provider.as_ref();
                let has = provider.and_then(|provider| provider.has.get(*class));
                has.map_or(0, super::Capacity::free)
            })
        });
        let place = hosts.iter().enumerate().map(|(place, (name, _))| (*name, place));
        Self {
            cloud,
            free: free.collect(),
            place: place.collect(),
            classes,
            hosts,
            candidates: RefCell::default(),
        }
    }

    /// Returns the instances to place if this host is lost; `None` if they are not known.
    pub(super) fn demands_of(&self, host: &str) -> Option<&'a [Demand]> {
        self.cloud.hosts.get(host)?.demands.as_deref()
    }

    /// Returns the hosts that the scheduler may choose if `lost` are lost and `reserved` are kept in reserve.
    pub(super) fn open(&self, lost: &BTreeSet<&str>, reserved: &[&str]) -> Vec<bool> {
        let mut open: Vec<bool> = self.hosts.iter().map(|(_, host)| host.open).collect();
        let gone = lost.iter().chain(reserved);
        for place in gone.filter_map(|name| self.place.get(name)) {
            open[*place] = false;
        }
        open
    }

    /// Returns this host and no other; no host at all if its inventory is not known.
    pub(super) fn only(&self, name: &str) -> Vec<bool> {
        let mut open = vec![false; self.hosts.len()];
        if let Some(place) = self.place.get(name) {
            open[*place] = true;
        }
        open
    }

    /// Returns the hosts that would take the shape, apart from groups.
    pub(super) fn candidates(&self, shape: &Arc<Shape>) -> Rc<Candidates> {
        if let Some((_, known)) = self.candidates.borrow().get(&Arc::as_ptr(shape)) {
            return Rc::clone(known);
        }
        let found = Rc::new(self.find(shape));
        let entry = (Arc::clone(shape), Rc::clone(&found));
        self.candidates.borrow_mut().insert(Arc::as_ptr(shape), entry);
        found
    }

    fn find(&self, shape: &Shape) -> Candidates {
        let required = shape.amounts.iter().filter(|(_, amount)| **amount > 0);
        let places = required.map(|(class, amount)| {
            let place = self.classes.binary_search(&class.as_str()).ok()?;
            Some((place, *amount))
        });
        let Some(amounts) = places.collect::<Option<Vec<_>>>() else {
            // One of the classes exists on no host.
            return Candidates {
                amounts: Vec::new(),
                hosts: Vec::new(),
                slack: Vec::new(),
            };
        };
        let (mut hosts, mut slack) = (Vec::new(), Vec::new());
        for (place, (_, host)) in self.hosts.iter().enumerate() {
            let left = amounts
                .iter()
                .map(|(class, amount)| self.free[self.at(place, *class)].checked_sub(*amount));
            let Some(left) = left.collect::<Option<Vec<_>>>() else {
                continue;
            };
            if refuses(host, shape).is_none() {
                hosts.push(place);
                slack.extend(left);
            }
        }
        Candidates {
            amounts,
            hosts,
            slack,
        }
    }

    /// Returns the index of a host's class in [`CandidateIndex::free`].
    pub(super) fn at(&self, host: usize, class: usize) -> usize {
        host * self.classes.len() + class
    }

    /// Returns the hosts that the instance's groups exclude, if other instances have been placed as in `put`.
    pub(super) fn excluded_hosts(&self, demand: &Demand, put: &BTreeMap<ServerId, usize>) -> GroupLimit {
        let mut full = BTreeSet::new();
        for group in self.cloud.groups_of(demand.id) {
            let Some(most) = group.per_host else {
                // A group of one restricts nothing. The places of other members at the time of scheduling are not predictable.
                if group.members.len() > 1 {
                    return GroupLimit::FromAll;
                }
                continue;
            };
            full.extend(self.full(group, demand.id, most, put));
        }
        GroupLimit::From(full)
    }

    fn full(&self, group: &Group, own: ServerId, most: u64, put: &BTreeMap<ServerId, usize>) -> Vec<usize> {
        let mut there: BTreeMap<usize, u64> = BTreeMap::new();
        for id in group.members.iter().filter(|id| **id != own) {
            let before = self.cloud.places.get(id);
            let before = before.and_then(|name| self.place.get(name.as_str())).copied();
            let now = put.get(id).copied();
            for place in before.into_iter().chain(now.filter(|now| Some(*now) != before)) {
                *there.entry(place).or_default() += 1;
            }
        }
        if most == 0 {
            return (0..self.hosts.len()).collect();
        }
        let full = there.into_iter().filter(|(_, count)| *count >= most);
        full.map(|(place, _)| place).collect()
    }
}

/// The hosts that groups exclude.
pub(super) enum GroupLimit {
    /// All hosts.
    FromAll,
    /// These hosts.
    From(BTreeSet<usize>),
}

impl GroupLimit {
    pub(super) fn has(&self, place: usize) -> bool {
        match self {
            Self::FromAll => true,
            Self::From(hosts) => hosts.contains(&place),
        }
    }
}
