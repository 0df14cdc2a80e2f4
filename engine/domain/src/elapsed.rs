//! A recovery's own time (R3): a counter that its owner advances by a monotonic clock and stores with every beat.
//!
//! It never goes back and never jumps. Time that passes while no engine owns the recovery is not counted, so every wait
//! measured in it is at least as long as it says, never shorter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds that engines have spent on one recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Elapsed(u64);

impl Elapsed {
    /// The beginning of a recovery.
    pub const ZERO: Self = Self(0);

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// As a duration since the beginning.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved on by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}
