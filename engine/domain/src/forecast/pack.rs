//! One way to place instances: the largest first, each on the first host that takes it. It shows that there is a way, or what is
//! wanting.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{No, refuses};
use super::{Cloud, Demand, Shortage};
use crate::ServerId;

struct Bin<'a> {
    name: &'a str,
    free: BTreeMap<&'a str, u64>,
    put: BTreeSet<ServerId>,
}

impl Bin<'_> {
    /// The class of which most is wanting for it, with how much; `None` if it fits.
    fn lacks<'d>(&self, demand: &'d Demand) -> Option<(&'d str, u64)> {
        let lacking = demand.amounts.iter().filter_map(|(class, amount)| {
            let free = self.free.get(class.as_str()).copied().unwrap_or(0);
            let lack = amount.checked_sub(free).filter(|lack| *lack > 0)?;
            Some((class.as_str(), lack))
        });
        lacking.max_by_key(|(_, lack)| *lack)
    }

    fn take(&mut self, demand: &Demand) {
        for (class, amount) in &demand.amounts {
            if let Some(free) = self.free.get_mut(class.as_str()) {
                *free = free.saturating_sub(*amount);
            }
        }
        self.put.insert(demand.id);
    }
}

/// Places all of them on these hosts.
pub(super) fn pack(cloud: &Cloud, demands: &[&Demand], hosts: &[&str]) -> Result<(), Shortage> {
    let mut bins: Vec<Bin<'_>> = hosts
        .iter()
        .filter_map(|name| {
            let (name, host) = cloud.hosts.get_key_value(*name)?;
            let has = host.provider.as_ref()?.has.iter();
            Some(Bin {
                name,
                free: has.map(|(class, has)| (class.as_str(), has.free())).collect(),
                put: BTreeSet::new(),
            })
        })
        .collect();
    let mut sorted = demands.to_vec();
    sorted.sort_by(|one, other| {
        let key = |demand: &Demand| {
            let amount = |class: &str| demand.amounts.get(class).copied().unwrap_or(0);
            (amount("MEMORY_MB"), amount("VCPU"), amount("DISK_GB"))
        };
        key(other).cmp(&key(one)).then_with(|| one.id.cmp(&other.id))
    });
    for demand in sorted {
        place(cloud, demand, &mut bins)?;
    }
    Ok(())
}

fn place(cloud: &Cloud, demand: &Demand, bins: &mut [Bin<'_>]) -> Result<(), Shortage> {
    let mut refusals: BTreeMap<No, usize> = BTreeMap::new();
    let mut lacks: Option<(&str, u64)> = None;
    for bin in bins.iter_mut() {
        let Some(host) = cloud.hosts.get(bin.name) else {
            continue;
        };
        let crowded = cloud.groups_of(demand.id).any(|group| {
            let places = group.members.iter().filter(|id| **id != demand.id);
            let there = places
                .filter(|id| bin.put.contains(id) || cloud.places.get(*id).is_some_and(|on| on == bin.name));
            group.per_host.is_some_and(|most| there.count() as u64 >= most)
        });
        let no = if crowded {
            Some(No::Group)
        } else {
            refuses(bin.name, host, demand, cloud)
        };
        if let Some(no) = no {
            *refusals.entry(no).or_default() += 1;
            continue;
        }
        match bin.lacks(demand) {
            None => {
                bin.take(demand);
                return Ok(());
            }
            Some(lack) if lacks.is_none_or(|least| lack.1 < least.1) => lacks = Some(lack),
            Some(_) => {}
        }
    }
    let most = refusals.into_iter().max_by_key(|(_, count)| *count);
    let text = match (lacks, most) {
        (Some((class, amount)), _) => amount_text(class, amount),
        (None, Some((no, _))) => no.text().to_owned(),
        (None, None) => "any host that takes instances and is known to Placement".to_owned(),
    };
    Err(Shortage {
        instance: demand.name.clone(),
        text,
    })
}

/// As people write it.
fn amount_text(class: &str, amount: u64) -> String {
    match class {
        "MEMORY_MB" if amount >= 1024 => format!("{} GiB memory", amount.div_ceil(1024)),
        "MEMORY_MB" => format!("{amount} MiB memory"),
        "DISK_GB" => format!("{amount} GiB disk"),
        "VCPU" => format!("{amount} vcpu"),
        other => format!("{amount} of {other}"),
    }
}
