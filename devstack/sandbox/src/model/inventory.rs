//! Placement's data of a host: inventories, allocations, traits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::ServerIx;

/// One resource class without its total, which belongs to the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Terms {
    /// The amount that instances cannot use.
    pub(crate) reserved: u64,
    pub(crate) ratio: f64,
    pub(crate) min_unit: u64,
    /// The maximum amount of one allocation; `None` is no limit.
    pub(crate) max_unit: Option<u64>,
    pub(crate) step_size: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            reserved: 0,
            ratio: 1.0,
            min_unit: 1,
            max_unit: None,
            step_size: 1,
        }
    }
}

impl Terms {
    pub(crate) fn max_unit(&self, total: u64) -> u64 {
        self.max_unit.unwrap_or(total)
    }

    /// True if Placement would allocate this much more. It checks nothing if nothing is requested.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Placement compares so, in its database"
    )]
    pub(crate) fn accepts(&self, total: u64, used: u64, amount: u64) -> bool {
        let capacity = total.saturating_sub(self.reserved) as f64 * self.ratio;
        amount == 0
            || ((used + amount) as f64 <= capacity
                && amount >= self.min_unit
                && amount <= self.max_unit(total)
                && amount.is_multiple_of(self.step_size.max(1)))
    }
}

/// The resources of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) vcpus: u32,
    pub(crate) ram_mb: u64,
    pub(crate) disk_gb: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) vcpus: Terms,
    pub(crate) ram: Terms,
    pub(crate) disk: Terms,
    pub(crate) traits: BTreeSet<String>,
    allocations: HashMap<ServerIx, Amounts>,
    used: Amounts,
    /// Incremented with each change.
    generation: u64,
}

impl Inventory {
    pub(crate) fn used(&self) -> Amounts {
        self.used
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns each class with its total.
    pub(crate) fn classes(&self, total: Amounts) -> BTreeMap<&'static str, (u64, Terms)> {
        BTreeMap::from([
            ("VCPU", (u64::from(total.vcpus), self.vcpus)),
            ("MEMORY_MB", (total.ram_mb, self.ram)),
            ("DISK_GB", (total.disk_gb, self.disk)),
        ])
    }

    pub(crate) fn has_room(&self, total: Amounts, amounts: Amounts) -> bool {
        let vcpus = (total.vcpus.into(), self.used.vcpus.into(), amounts.vcpus.into());
        self.vcpus.accepts(vcpus.0, vcpus.1, vcpus.2)
            && self.ram.accepts(total.ram_mb, self.used.ram_mb, amounts.ram_mb)
            && self
                .disk
                .accepts(total.disk_gb, self.used.disk_gb, amounts.disk_gb)
    }

    /// Adds the server's allocation, unless it has one.
    pub(crate) fn allocate(&mut self, server: ServerIx, amounts: Amounts) {
        if self.allocations.insert(server, amounts).is_none() {
            self.used.vcpus += amounts.vcpus;
            self.used.ram_mb += amounts.ram_mb;
            self.used.disk_gb += amounts.disk_gb;
            self.generation += 1;
        }
    }

    pub(crate) fn release(&mut self, server: ServerIx) {
        if let Some(amounts) = self.allocations.remove(&server) {
            self.used.vcpus -= amounts.vcpus;
            self.used.ram_mb -= amounts.ram_mb;
            self.used.disk_gb -= amounts.disk_gb;
            self.generation += 1;
        }
    }

    /// Returns the resources of each of its servers.
    pub(crate) fn allocations(&self) -> impl Iterator<Item = (ServerIx, Amounts)> {
        self.allocations.iter().map(|(index, taken)| (*index, *taken))
    }

    pub(crate) fn holds(&self, server: ServerIx) -> bool {
        self.allocations.contains_key(&server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_reckons_with_reserve_ratio_and_units() {
        let terms = |reserved, ratio| Terms {
            reserved,
            ratio,
            ..Terms::default()
        };
        assert!(terms(0, 1.0).accepts(10, 6, 4));
        assert!(!terms(0, 1.0).accepts(10, 7, 4));
        assert!(!terms(1, 1.0).accepts(10, 6, 4), "one is reserved");
        assert!(
            terms(2, 2.0).accepts(10, 12, 4),
            "the reserve goes off before the ratio"
        );
        assert!(!terms(2, 2.0).accepts(10, 13, 4));
        assert!(
            !terms(0, 16.0).accepts(4, 0, 5),
            "one instance has no more than the host"
        );
        let odd = Terms {
            min_unit: 2,
            max_unit: Some(6),
            step_size: 2,
            ..Terms::default()
        };
        let taken: Vec<u64> = (0..10).filter(|amount| odd.accepts(100, 0, *amount)).collect();
        assert_eq!(taken, [0, 2, 4, 6]);
    }
}
