//! Proves that instances fit with every choice of the scheduler.
//!
//! An instance finds no host only if each host that may take it is full for it when its turn comes. To fill a host for it, other
//! instances have to take so much of one resource there that less is left than it needs. The total that the others can take is
//! known. So each host has a price: the share of this total that fills the host, in the resource in which the share is smallest.
//! If the prices sum up to more than the whole, some host is left. Resources are weighed against each other; any weights that
//! give a proof are sufficient.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ground::{CandidateIndex, GroupLimit};
use super::{Amounts, Demand, Shape};

/// Tolerance for shares as floating point numbers: a proof that is this close does not count.
const MARGIN: f64 = 1e-6;

/// Number of steps into which the weights are divided.
const STEPS: u32 = 8;

/// The sum of the moving instances.
pub(super) struct Load {
    /// The maximum that all of them take.
    pub(super) sum: Amounts,
    /// The unit of each amount: each instance takes a multiple of it.
    pub(super) unit: Amounts,
}

impl Load {
    pub(super) fn of<'a>(demands: impl Iterator<Item = &'a Demand>) -> Self {
        let mut load = Self {
            sum: Amounts::new(),
            unit: Amounts::new(),
        };
        // There are many instances and few shapes.
        let mut shapes: BTreeMap<*const Shape, (&Shape, u64)> = BTreeMap::new();
        for demand in demands {
            let of_shape = shapes.entry(Arc::as_ptr(&demand.shape));
            of_shape.or_insert((&demand.shape, 0)).1 += 1;
        }
        for (shape, count) in shapes.into_values() {
            for (class, amount) in &shape.amounts {
                let sum = load.sum.entry(class.clone()).or_default();
                *sum = sum.saturating_add(amount.saturating_mul(count));
                let unit = load.unit.entry(class.clone()).or_default();
                *unit = gcd(*unit, *amount);
            }
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

/// Proves that each instance fits, or returns the first instance without a proof.
pub(super) fn always_fits<'a>(
    ground: &CandidateIndex<'_>,
    demands: &[&'a Demand],
    open: &[bool],
) -> Result<(), &'a str> {
    let load = Load::of(demands.iter().copied());
    let moving: BTreeSet<_> = demands.iter().map(|demand| demand.id).collect();
    let mut proven: BTreeSet<*const Shape> = BTreeSet::new();
    for demand in demands {
        let mut groups = ground.cloud.groups_of(demand.id).peekable();
        let alone = groups.peek().is_none();
        if alone && proven.contains(&Arc::as_ptr(&demand.shape)) {
            continue;
        }
        let group_members = groups.map(|group| {
            let with = group.members.iter().filter(|id| moving.contains(id));
            with.count().saturating_sub(1)
        });
        let limit = ground.excluded_hosts(demand, &BTreeMap::new());
        if !fits(ground, &demand.shape, &limit, &load, open, group_members.sum()) {
            return Err(&demand.name);
        }
        if alone {
            proven.insert(Arc::as_ptr(&demand.shape));
        }
    }
    Ok(())
}

/// True if a host is left for an instance of this shape, apart from `kept` hosts, even if `gone` of the best hosts do not count.
pub(super) fn fits(
    ground: &CandidateIndex<'_>,
    shape: &Arc<Shape>,
    limit: &GroupLimit,
    load: &Load,
    open: &[bool],
    gone: usize,
) -> bool {
    let candidates = ground.candidates(shape);
    let width = candidates.amounts.len();
    // The amount of each class that the others take, and its unit.
    let others: Vec<(u64, u64)> = candidates
        .amounts
        .iter()
        .map(|(class, amount)| {
            let class = ground.classes.get(*class).copied().unwrap_or_default();
            let sum = load.sum.get(class).copied().unwrap_or(0);
            let unit = load.unit.get(class).copied().unwrap_or(1).max(1);
            (sum.saturating_sub(*amount), unit)
        })
        .collect();
    let mut safe = 0_usize;
    let (evenly, mut sum) = (evenly(width), 0.0);
    let mut shares = Shares {
        width,
        all: Vec::new(),
    };
    for (at, place) in candidates.hosts.iter().enumerate() {
        if !open.get(*place).copied().unwrap_or(false) || limit.has(*place) {
            continue;
        }
        let slack = candidates
            .slack
            .get(at * width..(at + 1) * width)
            .unwrap_or_default();
        let before = shares.all.len();
        let mut is_safe = true;
        for (slack, (others, unit)) in slack.iter().zip(&others) {
            // The smallest multiple of the unit that is more than the slack.
            let fill = (slack / unit).saturating_add(1).saturating_mul(*unit);
            let part = if fill <= *others {
                is_safe = false;
                ratio(fill, *others)
            } else {
                f64::INFINITY
            };
            shares.all.push(part);
        }
        if is_safe {
            shares.all.truncate(before);
            safe += 1;
            if safe > gone {
                return true;
            }
        } else if gone == 0 {
            // Usually a few hosts of a thousand prove it, so the others need no check.
            sum += least(&shares.all[before..], &evenly);
            if sum > 1.0 + MARGIN {
                return true;
            }
        }
    }
    // The most even weights come first: usually they prove what can be proven.
    let gone = gone - safe;
    proves(&evenly, &shares, gone)
        || may_be_proven(&shares, gone) && proves_with_some(&mut vec![0; width], 0, STEPS, &shares, gone)
}

/// Returns the weights for steps that are divided as evenly as possible.
fn evenly(width: usize) -> Vec<f64> {
    let mut weights = vec![0_u32; width];
    for step in 0..STEPS as usize {
        if let Some(weight) = weights.get_mut(step % width.max(1)) {
            *weight += 1;
        }
    }
    parts(&weights)
}

fn parts(weights: &[u32]) -> Vec<f64> {
    let weights = weights.iter();
    weights
        .map(|weight| f64::from(*weight) / f64::from(STEPS))
        .collect()
}

/// Returns the share of all others that fills a host, in the resource in which the weighted share is smallest.
fn least(own: &[f64], weights: &[f64]) -> f64 {
    let weighed = own
        .iter()
        .zip(weights)
        .map(|(share, weight)| share_of(*share, *weight));
    weighed.fold(f64::INFINITY, f64::min)
}

/// For each host that can be filled, the amounts that fill it, as shares of the total by class; infinite if a class cannot be filled.
struct Shares {
    width: usize,
    all: Vec<f64>,
}

impl Shares {
    /// Returns the value of each host, computed from the shares of its classes.
    fn each(&self, counts: impl Fn(&[f64]) -> f64) -> impl Iterator<Item = f64> {
        self.all.chunks_exact(self.width.max(1)).map(counts)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share; the margin is larger than what is lost"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Tries each way to divide the steps among the resources.
fn proves_with_some(weights: &mut Vec<u32>, at: usize, left: u32, shares: &Shares, gone: usize) -> bool {
    if at >= weights.len() {
        return left == 0 && proves(&parts(weights), shares, gone);
    }
    // The last resource gets the steps that are left.
    let least = if at + 1 == weights.len() { left } else { 0 };
    for weight in least..=left {
        if let Some(place) = weights.get_mut(at) {
            *place = weight;
        }
        if proves_with_some(weights, at + 1, left - weight, shares, gone) {
            return true;
        }
    }
    false
}

fn proves(weights: &[f64], shares: &Shares, gone: usize) -> bool {
    suffice(shares.each(|own| least(own, weights)), gone)
}

/// True if any weights could prove it. The value of a host is largest where the weighted shares of its classes are equal. So no
/// common weights for all hosts give more than the best weights for each.
fn may_be_proven(shares: &Shares, gone: usize) -> bool {
    let most = |own: &[f64]| own.iter().map(|share| share.recip()).sum::<f64>().recip();
    suffice(shares.each(most), gone)
}

/// True if the sum without the `gone` best hosts is more than the total.
fn suffice(mut each: impl Iterator<Item = f64>, gone: usize) -> bool {
    if gone == 0 {
        let mut sum = 0.0;
        return each.any(|one| {
            sum += one;
            sum > 1.0 + MARGIN
        });
    }
    let mut each: Vec<f64> = each.collect();
    if gone >= each.len() {
        return false;
    }
    // The best hosts do not count: other members of a group may be there, or the hosts may be lost.
    each.select_nth_unstable_by(gone, |one, other| other.total_cmp(one));
    each.iter().skip(gone).sum::<f64>() > 1.0 + MARGIN
}

/// Weighs a share. A class that cannot be filled stays infinite, however little it weighs.
fn share_of(share: f64, weight: f64) -> f64 {
    if share.is_infinite() {
        share
    } else {
        share * weight
    }
}

/// Returns the maximum that any `count` of the hosts have to place, class by class; `loads` has the load of each host.
pub(super) fn heaviest(loads: &[Load], count: usize) -> Load {
    let mut sums: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut unit = Amounts::new();
    for own in loads {
        for (class, sum) in &own.sum {
            sums.entry(class).or_default().push(*sum);
        }
        for (class, own) in &own.unit {
            let unit = unit.entry(class.clone()).or_default();
            *unit = gcd(*unit, *own);
        }
    }
    let sum = sums.into_iter().map(|(class, mut all)| {
        all.sort_unstable_by(|one, other| other.cmp(one));
        let most = all.into_iter().take(count).fold(0, u64::saturating_add);
        (class.to_owned(), most)
    });
    Load {
        sum: sum.collect(),
        unit,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Dice;
    use super::*;

    fn any_shares(dice: &mut Dice) -> Shares {
        let width = usize::try_from(1 + dice.below(3)).unwrap();
        let count = width * usize::try_from(1 + dice.below(8)).unwrap();
        let share = |_| match dice.below(8) {
            0 => f64::INFINITY,
            _ => ratio(dice.below(1_000), 1_000),
        };
        Shares {
            width,
            all: (0..count).map(share).collect(),
        }
    }

    /// The bound on all weights saves trying each of them, and must not hide a proof.
    #[test]
    fn where_no_weights_are_tried_none_would_give_a_proof() {
        let (mut proven, mut passed_over) = (0, 0);
        for seed in 0..3_000 {
            let mut dice = Dice(seed);
            let shares = any_shares(&mut dice);
            let gone = usize::try_from(dice.below(3)).unwrap();
            if proves_with_some(&mut vec![0; shares.width], 0, STEPS, &shares, gone) {
                assert!(may_be_proven(&shares, gone), "seed {seed}");
                proven += 1;
            } else {
                passed_over += usize::from(!may_be_proven(&shares, gone));
            }
        }
        assert!(proven > 500 && passed_over > 500, "{proven} {passed_over}");
    }
}
