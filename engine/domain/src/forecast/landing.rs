//! Where each instance of lost hosts may land. Which of these hosts Nova chooses is not foreseen.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Ground;
use super::{Cloud, Demand, Method};
use crate::entity::segment::RecoveryMethod;
use crate::id::ServerId;

/// Where one instance may land if nothing else moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Nova's id.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// The host that it was on.
    pub from: String,
    /// The hosts with room for it, by name.
    pub hosts: Vec<String>,
    /// Of so many that may be chosen.
    pub of: usize,
    /// Why `hosts` says nothing, if so.
    pub not_reckoned: Option<String>,
}

/// Of all the instances of the hosts `lost`, which are lost together, as far as they are known.
pub fn landing(cloud: &Cloud, lost: &BTreeSet<&str>, method: &Method<'_>) -> Vec<Landing> {
    let ground = Ground::new(cloud);
    let open = chosen_from(&ground, lost, method);
    let of = open.iter().filter(|is_open| **is_open).count();
    let known = lost.iter().filter_map(|name| {
        let demands = cloud.hosts.get(*name)?.demands.as_ref()?;
        Some((*name, demands))
    });
    let all = known.flat_map(|(from, demands)| demands.iter().map(move |one| (from, one)));
    all.map(|(from, demand)| {
        let not_reckoned = demand.shape.not_reckoned.clone();
        let takers = match &not_reckoned {
            Some(_) => Vec::new(),
            None => takers(&ground, demand, &open),
        };
        let names = takers.into_iter().filter_map(|place| ground.hosts.get(place));
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

/// The hosts that are asked first.
fn chosen_from(ground: &Ground<'_>, lost: &BTreeSet<&str>, method: &Method<'_>) -> Vec<bool> {
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

/// The places of the open hosts with room for one instance.
pub(super) fn takers(ground: &Ground<'_>, demand: &Demand, open: &[bool]) -> Vec<usize> {
    let kept = ground.kept_from(demand, &BTreeMap::new());
    let takers = ground.takers(&demand.shape);
    let fit = takers.hosts.iter().copied();
    fit.filter(|place| open[*place] && !kept.has(*place)).collect()
}
