//! Number of instances by protection.

use serde::Serialize;

use super::{InstanceSituation, Protection};

/// The number of instances by protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The instances that would be recovered.
    pub protected: u64,
    /// The instances that would be recovered, with a caveat.
    pub degraded: u64,
    /// The instances of which too little is known.
    pub unknown: u64,
    /// The instances that would stay down.
    pub unprotected: u64,
    /// The instances that are down, or may be.
    pub down: u64,
    /// The instances that policy excludes.
    pub not_meant: u64,
}

impl Counts {
    /// Counts these instances.
    pub fn of<'a>(instances: impl IntoIterator<Item = &'a InstanceSituation>) -> Self {
        let mut counts = Self::default();
        for instance in instances {
            *counts.place(instance.protection) += 1;
        }
        counts
    }

    /// Returns the number of instances with this protection.
    pub fn get(mut self, protection: Protection) -> u64 {
        *self.place(protection)
    }

    fn place(&mut self, protection: Protection) -> &mut u64 {
        match protection {
            Protection::Protected => &mut self.protected,
            Protection::Degraded => &mut self.degraded,
            Protection::Unknown => &mut self.unknown,
            Protection::Unprotected => &mut self.unprotected,
            Protection::Down => &mut self.down,
            Protection::NotMeant => &mut self.not_meant,
        }
    }

    /// Returns the number of instances that policy includes.
    pub fn included(self) -> u64 {
        self.protected + self.degraded + self.unknown + self.unprotected + self.down
    }
}
