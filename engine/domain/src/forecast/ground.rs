//! What is the same for all questions about one cloud, looked at once: which hosts would take what, and how much each has left.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::rules::refuses;
use super::{Cloud, Demand, Group, HostRoom, Shape};
use crate::id::ServerId;

/// The hosts that would take a shape if they held nothing else than they do now, in the order of their names.
pub(super) struct Takers {
    /// What it asks for, as the place of the class in [`Ground::classes`], with how much.
    pub(super) amounts: Vec<(usize, u64)>,
    /// The hosts' places.
    pub(super) hosts: Vec<usize>,
    /// Of each host what it has left beside it, in the order of `amounts`.
    pub(super) slack: Vec<u64>,
}

/// The shape is kept beside what was found for it, so that no other one comes to lie at its address.
type Known = (Arc<Shape>, Rc<Takers>);

pub(super) struct Ground<'a> {
    pub(super) cloud: &'a Cloud,
    /// The hosts of which it is known what they have, by name.
    pub(super) hosts: Vec<(&'a str, &'a HostRoom)>,
    /// The classes that any of them has.
    pub(super) classes: Vec<&'a str>,
    /// Of each host what is left of each class.
    pub(super) free: Vec<u64>,
    place: HashMap<&'a str, usize>,
    takers: RefCell<HashMap<*const Shape, Known>>,
}

impl<'a> Ground<'a> {
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
            takers: RefCell::default(),
        }
    }

    /// What has to find a place if this host is lost; `None` if that is not known.
    pub(super) fn demands_of(&self, host: &str) -> Option<&'a [Demand]> {
        self.cloud.hosts.get(host)?.demands.as_deref()
    }

    /// The hosts that the scheduler may choose, when these are lost and those are kept in reserve.
    pub(super) fn open(&self, lost: &BTreeSet<&str>, reserved: &[&str]) -> Vec<bool> {
        let mut open: Vec<bool> = self.hosts.iter().map(|(_, host)| host.open).collect();
        let gone = lost.iter().chain(reserved);
        for place in gone.filter_map(|name| self.place.get(name)) {
            open[*place] = false;
        }
        open
    }

    /// That host and no other; nobody if it is not known what it has.
    pub(super) fn only(&self, name: &str) -> Vec<bool> {
        let mut open = vec![false; self.hosts.len()];
        if let Some(place) = self.place.get(name) {
            open[*place] = true;
        }
        open
    }

    /// Who would take it, leaving its groups aside.
    pub(super) fn takers(&self, shape: &Arc<Shape>) -> Rc<Takers> {
        if let Some((_, known)) = self.takers.borrow().get(&Arc::as_ptr(shape)) {
            return Rc::clone(known);
        }
        let found = Rc::new(self.find(shape));
        let entry = (Arc::clone(shape), Rc::clone(&found));
        self.takers.borrow_mut().insert(Arc::as_ptr(shape), entry);
        found
    }

    fn find(&self, shape: &Shape) -> Takers {
        let wanted = shape.amounts.iter().filter(|(_, amount)| **amount > 0);
        let places = wanted.map(|(class, amount)| {
            let place = self.classes.binary_search(&class.as_str()).ok()?;
            Some((place, *amount))
        });
        let Some(amounts) = places.collect::<Option<Vec<_>>>() else {
            // Nobody has any of one class.
            return Takers {
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
        Takers {
            amounts,
            hosts,
            slack,
        }
    }

    /// Where [`Ground::free`] has what a host has left of a class.
    pub(super) fn at(&self, host: usize, class: usize) -> usize {
        host * self.classes.len() + class
    }

    /// The hosts that its groups keep it from, when others of them have been put where `put` says.
    pub(super) fn kept_from(&self, demand: &Demand, put: &BTreeMap<ServerId, usize>) -> Kept {
        let mut full = BTreeSet::new();
        for group in self.cloud.groups_of(demand.id) {
            let Some(most) = group.per_host else {
                // One alone is bound by nobody. With others, where they are when it is scheduled is not foreseen.
                if group.members.len() > 1 {
                    return Kept::FromAll;
                }
                continue;
            };
            full.extend(self.full(group, demand.id, most, put));
        }
        Kept::From(full)
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

/// What groups forbid.
pub(super) enum Kept {
    /// Any host.
    FromAll,
    /// These.
    From(BTreeSet<usize>),
}

impl Kept {
    pub(super) fn has(&self, place: usize) -> bool {
        match self {
            Self::FromAll => true,
            Self::From(hosts) => hosts.contains(&place),
        }
    }
}
