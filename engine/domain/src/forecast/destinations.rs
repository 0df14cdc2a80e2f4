//! Possible destinations of the instances of lost hosts. Nova's choice among them is not predictable.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::CandidateIndex;
use super::{Cloud, Demand, Method};
use crate::entity::segment::RecoveryMethod;
use crate::id::ServerId;

/// The possible destinations of one instance if nothing else moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    pub id: ServerId,
    pub name: String,
    /// The host that the instance was on.
    pub from: String,
    /// The hosts with capacity for the instance, by name.
    pub hosts: Vec<String>,
    /// The number of hosts that may be chosen.
    pub of: usize,
    /// The requirement that the forecast does not model, if there is one; `hosts` is then empty and means nothing.
    pub not_reckoned: Option<String>,
}

/// Returns the destinations of all known instances of the hosts `lost`, which are lost together.
pub fn destinations(cloud: &Cloud, lost: &BTreeSet<&str>, method: &Method<'_>) -> Vec<Landing> {
    let ground = CandidateIndex::new(cloud);
    let open = chosen_from(&ground, lost, method);
    let of = open.iter().filter(|is_open| **is_open).count();
    let known = lost.iter().filter_map(|name| {
        let demands = cloud.hosts.get(*name)?.demands.as_ref()?;
        Some((*name, demands))
    });
    let all = known.flat_map(|(from, demands)| demands.iter().map(move |demand| (from, demand)));
    all.map(|(from, demand)| {
        let not_reckoned = demand.shape.not_reckoned.clone();
        let candidates = match &not_reckoned {
            Some(_) => Vec::new(),
            None => candidates(&ground, demand, &open),
        };
        let names = candidates.into_iter().filter_map(|place| ground.hosts.get(place));
        Landing {
            id: demand.id,
            name: demand.name.to_string(),
            from: from.to_owned(),
            hosts: names.map(|(name, _)| (*name).to_owned()).collect(),
            of,
            not_reckoned,
        }
    })
    .collect()
}

/// Returns the hosts that are tried first.
fn chosen_from(ground: &CandidateIndex<'_>, lost: &BTreeSet<&str>, method: &Method<'_>) -> Vec<bool> {
    let ready = method.reserved.iter().filter(|name| !lost.contains(*name));
    let ready: Vec<&str> = ready.copied().collect();
    match method.method {
        RecoveryMethod::ReservedHost => {}
        RecoveryMethod::RhPriority if !ready.is_empty() => {}
        RecoveryMethod::Auto | RecoveryMethod::AutoPriority | RecoveryMethod::RhPriority => {
            return ground.open(lost, method.reserved);
        }
    }
    let mut open = vec![false; ground.hosts.len()];
    for name in ready {
        for (place, only) in ground.only(name).into_iter().enumerate() {
            open[place] |= only;
        }
    }
    open
}

/// Returns the indexes of the open hosts with capacity for one instance.
pub(super) fn candidates(ground: &CandidateIndex<'_>, demand: &Demand, open: &[bool]) -> Vec<usize> {
    let limit = ground.excluded_hosts(demand, &BTreeMap::new());
    let candidates = ground.candidates(&demand.shape);
    let fit = candidates.hosts.iter().copied();
    fit.filter(|place| open[*place] && !limit.has(*place)).collect()
}
