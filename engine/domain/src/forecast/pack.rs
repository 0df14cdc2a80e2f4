//! One placement of instances: the largest first, each on the first host that takes it. The result proves that a placement exists,
//! or names the shortage.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ground::{CandidateIndex, GroupLimit};
use super::rules::{Mismatch, refuses};
use super::{Demand, Shape, Shortage};
use crate::id::ServerId;

/// The instances placed so far.
struct Packing<'a, 'b> {
    ground: &'a CandidateIndex<'b>,
    open: &'a [bool],
    /// The free amounts as in [`CandidateIndex::free`], less those of the placed instances.
    free: Vec<u64>,
    /// The current host of each placed instance.
    put: BTreeMap<ServerId, usize>,
    /// The first host that is not full, for each shape. A full host stays full.
    from: BTreeMap<*const Shape, usize>,
}

/// Places all instances on the open hosts.
pub(super) fn pack(ground: &CandidateIndex<'_>, demands: &[&Demand], open: &[bool]) -> Result<(), Shortage> {
    let mut filling = Packing {
        ground,
        open,
        free: ground.free.clone(),
        put: BTreeMap::new(),
        from: BTreeMap::new(),
    };
    let mut sorted = demands.to_vec();
    sorted.sort_by(|one, other| {
        let key = |demand: &Demand| {
            let amount = |class: &str| demand.shape.amounts.get(class).copied().unwrap_or(0);
            (amount("MEMORY_MB"), amount("VCPU"), amount("DISK_GB"))
        };
        key(other).cmp(&key(one)).then_with(|| one.id.cmp(&other.id))
    });
    for demand in sorted {
        let limit = ground.excluded_hosts(demand, &filling.put);
        if !filling.place(demand, &limit) {
            return Err(filling.shortage(demand, &limit));
        }
    }
    Ok(())
}

impl Packing<'_, '_> {
    fn is_open(&self, place: usize) -> bool {
        self.open.get(place).copied().unwrap_or(false)
    }

    fn place(&mut self, demand: &Demand, limit: &GroupLimit) -> bool {
        let candidates = self.ground.candidates(&demand.shape);
        let shape = Arc::as_ptr(&demand.shape);
        let mut at = self.from.get(&shape).copied().unwrap_or(0);
        // A host that only groups exclude is not full.
        let mut all_full = true;
        while let Some(place) = candidates.hosts.get(at).copied() {
            let has_room = self.is_open(place)
                && candidates
                    .amounts
                    .iter()
                    .all(|(class, amount)| self.free[self.ground.at(place, *class)] >= *amount);
            if has_room && !limit.has(place) {
                for (class, amount) in &candidates.amounts {
                    self.free[self.ground.at(place, *class)] -= amount;
                }
                self.put.insert(demand.id, place);
                return true;
            }
            all_full &= !has_room;
            at += 1;
            if all_full {
                self.from.insert(shape, at);
            }
        }
        false
    }

    /// Returns the shortage for an instance that did not fit: the least that any host lacks, or why most hosts would not take it.
    fn shortage(&self, demand: &Demand, limit: &GroupLimit) -> Shortage {
        let mut refusals: BTreeMap<Mismatch, usize> = BTreeMap::new();
        let mut lacks: Option<(&str, u64)> = None;
        for (place, (_, host)) in self.ground.hosts.iter().enumerate() {
            if !self.is_open(place) {
                continue;
            }
            let no = refuses(host, &demand.shape).or_else(|| limit.has(place).then_some(Mismatch::Group));
            if let Some(no) = no {
                *refusals.entry(no).or_default() += 1;
                continue;
            }
            match self.lack(place, demand) {
                Some(lack) if lacks.is_none_or(|least| lack.1 < least.1) => lacks = Some(lack),
                Some(_) | None => {}
            }
        }
        let most = refusals.into_iter().max_by_key(|(_, count)| *count);
        let text = match (lacks, most) {
            (Some((class, amount)), _) => amount_text(class, amount),
            (None, Some((no, _))) => no.text().to_owned(),
            (None, None) => "any host that takes instances and is known to Placement".to_owned(),
        };
        Shortage {
            instance: demand.name.to_string(),
            text,
        }
    }

    /// Returns the class that the host lacks most of, with the amount.
    fn lack<'d>(&self, place: usize, demand: &'d Demand) -> Option<(&'d str, u64)> {
        let lacking = demand.shape.amounts.iter().filter_map(|(class, amount)| {
            let at = self.ground.classes.binary_search(&class.as_str()).ok();
            let free = at.map_or(0, |at| self.free[self.ground.at(place, at)]);
            let lack = amount.checked_sub(free).filter(|lack| *lack > 0)?;
            Some((class.as_str(), lack))
        });
        lacking.max_by_key(|(_, lack)| *lack)
    }
}

/// Formats an amount for people.
fn amount_text(class: &str, amount: u64) -> String {
    match class {
        "MEMORY_MB" if amount >= 1024 => format!("{} GiB memory", amount.div_ceil(1024)),
        "MEMORY_MB" => format!("{amount} MiB memory"),
        "DISK_GB" => format!("{amount} GiB disk"),
        "VCPU" => format!("{amount} vcpu"),
        other => format!("{amount} of {other}"),
    }
}
