//! Amounts of what instances take of hosts.

use serde::{Deserialize, Serialize};

/// What an instance takes of a host, or what a host has left. Placement's resource classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// `VCPU` and `PCPU` together.
    pub vcpus: u64,
    /// `MEMORY_MB`.
    pub memory_mb: u64,
    /// `DISK_GB`; as good as endless on a host that has none of its own.
    pub disk_gb: u64,
}

impl Resources {
    /// Whether `need` can be taken from it.
    pub fn holds(&self, need: &Self) -> bool {
        self.vcpus >= need.vcpus && self.memory_mb >= need.memory_mb && self.disk_gb >= need.disk_gb
    }

    /// What is left once `need` has been taken.
    #[must_use]
    pub fn without(&self, need: &Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_sub(need.vcpus),
            memory_mb: self.memory_mb.saturating_sub(need.memory_mb),
            disk_gb: self.disk_gb.saturating_sub(need.disk_gb),
        }
    }
}
