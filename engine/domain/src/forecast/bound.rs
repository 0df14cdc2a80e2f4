//! Whether instances fit whatever the scheduler does.
//!
//! An instance finds no place only if each host that may take it is full for it when its turn comes. To fill a host for it, others
//! have to take so much of one resource there that what is left is less than it needs. What the others can take in all is known.
//! So: of each host, the share of all the others that it takes to fill it, in the resource in which that is least. If these shares
//! sum up to more than there is, some host is left. Resources are weighed against each other, and any weights that prove it will do.

use std::collections::BTreeMap;

use super::rules::refuses;
use super::{Amounts, Cloud, Demand};

/// Shares are compared with floating point numbers: a proof that is so near is none.
const MARGIN: f64 = 1e-6;

/// Weights are tried in steps of one part in so many.
const STEPS: u32 = 8;

/// What moves, summed up.
pub(super) struct Load {
    /// The most that all of it takes.
    pub(super) sum: Amounts,
    /// Each takes a multiple of this.
    pub(super) grain: Amounts,
}

impl Load {
    pub(super) fn of<'a>(demands: impl Iterator<Item = &'a Demand>) -> Self {
        let mut load = Self {
            sum: Amounts::new(),
            grain: Amounts::new(),
        };
        for (class, amount) in demands.flat_map(|demand| &demand.amounts) {
            let sum = load.sum.entry(class.clone()).or_default();
            *sum = sum.saturating_add(*amount);
            let grain = load.grain.entry(class.clone()).or_default();
            *grain = gcd(*grain, *amount);
        }
        load
    }
}

const fn gcd(one: u64, other: u64) -> u64 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Whether each finds a place, and if that is not proven, the first of which it is not.
pub(super) fn always_fits<'a>(cloud: &Cloud, demands: &[&'a Demand], open: &[&str]) -> Result<(), &'a str> {
    let load = Load::of(demands.iter().copied());
    let mut proven: Vec<&Demand> = Vec::new();
    for demand in demands {
        let mates = cloud.groups_of(demand.id).map(|group| {
            let moving = demands.iter().filter(|one| group.members.contains(&one.id));
            moving.count().saturating_sub(1)
        });
        let mates: usize = mates.sum();
        let alike = |one: &&&Demand| {
            one.amounts == demand.amounts && one.wishes == demand.wishes && one.project == demand.project
        };
        let grouped = cloud.groups_of(demand.id).next().is_some();
        if !grouped && proven.iter().any(|one| alike(&one)) {
            continue;
        }
        if !fits(cloud, demand, &load, open, mates) {
            return Err(&demand.name);
        }
        if !grouped {
            proven.push(demand);
        }
    }
    Ok(())
}

/// Whether a host is left for it, even if so many of the best do not count.
pub(super) fn fits(cloud: &Cloud, demand: &Demand, load: &Load, open: &[&str], gone: usize) -> bool {
    let classes: Vec<(&str, u64)> = demand
        .amounts
        .iter()
        .filter(|(_, amount)| **amount > 0)
        .map(|(class, amount)| (class.as_str(), *amount))
        .collect();
    let mut safe = 0_usize;
    let mut shares: Vec<Vec<Option<f64>>> = Vec::new();
    for name in open {
        let Some(host) = cloud.hosts.get(*name) else {
            continue;
        };
        let Some(provider) = &host.provider else { continue };
        if refuses(name, host, demand, cloud).is_some() {
            continue;
        }
        let mut own = Vec::with_capacity(classes.len());
        for (class, amount) in &classes {
            let free = provider.has.get(*class).map_or(0, super::Capacity::free);
            let Some(slack) = free.checked_sub(*amount) else {
                break;
            };
            let others = load.sum.get(*class).copied().unwrap_or(0).saturating_sub(*amount);
            let grain = load.grain.get(*class).copied().unwrap_or(1).max(1);
            // The least multiple of the grain that is more than the slack.
            let fill = (slack / grain).saturating_add(1).saturating_mul(grain);
            own.push((fill <= others).then(|| ratio(fill, others)));
        }
        // It does not even fit there alone.
        if own.len() < classes.len() {
            continue;
        }
        if own.iter().all(Option::is_none) {
            safe += 1;
            if safe > gone {
                return true;
            }
        } else {
            shares.push(own);
        }
    }
    let gone = gone - safe;
    let mut weights = vec![0_u32; classes.len()];
    proves_with_some(&mut weights, 0, STEPS, &shares, gone)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share; the margin is larger than what is lost"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Tries each way to part the steps among the resources.
fn proves_with_some(
    weights: &mut Vec<u32>,
    at: usize,
    left: u32,
    shares: &[Vec<Option<f64>>],
    gone: usize,
) -> bool {
    let Some(place) = weights.get_mut(at) else {
        return left == 0 && proves(weights, shares, gone);
    };
    *place = 0;
    for weight in 0..=left {
        if let Some(place) = weights.get_mut(at) {
            *place = weight;
        }
        if proves_with_some(weights, at + 1, left - weight, shares, gone) {
            return true;
        }
    }
    false
}

fn proves(weights: &[u32], shares: &[Vec<Option<f64>>], gone: usize) -> bool {
    let mut each: Vec<f64> = shares
        .iter()
        .map(|own| {
            let weighed = own
                .iter()
                .zip(weights)
                .filter_map(|(share, weight)| Some((*share)? * f64::from(*weight) / f64::from(STEPS)));
            weighed.fold(f64::INFINITY, f64::min)
        })
        .collect();
    // The best do not count: others of a group may be there, or they may be lost.
    each.sort_by(|one, other| other.total_cmp(one));
    each.iter().skip(gone).sum::<f64>() > 1.0 + MARGIN
}

/// The most that any `count` of the hosts have to place, class by class.
pub(super) fn heaviest<'a>(hosts: impl Iterator<Item = &'a [Demand]>, count: usize) -> Load {
    let mut sums: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut grain = Amounts::new();
    for demands in hosts {
        let own = Load::of(demands.iter());
        for (class, sum) in own.sum {
            sums.entry(class).or_default().push(sum);
        }
        for (class, own) in own.grain {
            let grain = grain.entry(class).or_default();
            *grain = gcd(*grain, own);
        }
    }
    let sum = sums.into_iter().map(|(class, mut all)| {
        all.sort_unstable_by(|one, other| other.cmp(one));
        (class, all.into_iter().take(count).fold(0, u64::saturating_add))
    });
    Load {
        sum: sum.collect(),
        grain,
    }
}
