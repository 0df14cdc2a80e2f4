//! How many instances there are of each kind.

use serde::Serialize;

use super::{InstanceSituation, Protection};

/// Instances by what would become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Would be recovered.
    pub protected: u64,
    /// With a caveat.
    pub degraded: u64,
    /// Too little is known.
    pub unknown: u64,
    /// Would stay down.
    pub unprotected: u64,
    /// Are down, or may be.
    pub down: u64,
    /// Are left where they are by policy.
    pub not_meant: u64,
}

impl Counts {
    /// Of these instances.
    pub fn of<'a>(instances: impl IntoIterator<Item = &'a InstanceSituation>) -> Self {
        let mut counts = Self::default();
        for one in instances {
            *counts.place(one.protection) += 1;
        }
        counts
    }

    /// How many there are of one kind.
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

    /// All of them that are meant to be recovered.
    pub fn meant(self) -> u64 {
        self.protected + self.degraded + self.unknown + self.unprotected + self.down
    }
}
