//! Amounts of resources.

use serde::{Deserialize, Serialize};

/// The resources that an instance needs or a host has left, by Placement's resource classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// `VCPU` and `PCPU` together.
    pub vcpus: u64,
    /// `MEMORY_MB`.
    pub memory_mb: u64,
    /// `DISK_GB`; practically unlimited on a host without disk of its own.
    pub disk_gb: u64,
}

impl Resources {
    /// True if `need` fits.
    pub fn holds(&self, need: &Self) -> bool {
        self.vcpus >= need.vcpus && self.memory_mb >= need.memory_mb && self.disk_gb >= need.disk_gb
    }

    /// Returns the resources left without `need`.
    #[must_use]
    pub fn without(&self, need: &Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_sub(need.vcpus),
            memory_mb: self.memory_mb.saturating_sub(need.memory_mb),
            disk_gb: self.disk_gb.saturating_sub(need.disk_gb),
        }
    }
}
