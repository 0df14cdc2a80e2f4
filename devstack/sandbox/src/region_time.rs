//! Region time: the duration since the start of the region, so that the model needs no clock.

use std::time::Duration;

/// A point in region time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RegionTime(Duration);

impl RegionTime {
    /// The start of the region.
    pub const START: Self = Self(Duration::ZERO);

    /// Returns the time `age` after the start of the region.
    pub const fn at(age: Duration) -> Self {
        Self(age)
    }

    /// Returns this time plus `delay`.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// Returns the duration since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the duration since the start of the region.
    pub const fn age(self) -> Duration {
        self.0
    }
}
