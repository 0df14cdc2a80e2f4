//! Region time: a duration since the region began, so that the model needs no clock of its own.

use std::time::Duration;

/// A point on the region's own time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RegionTime(Duration);

impl RegionTime {
    /// When the region began.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `age` after the region began.
    pub const fn at(age: Duration) -> Self {
        Self(age)
    }

    /// This moment plus `delay`.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time since the region began.
    pub const fn age(self) -> Duration {
        self.0
    }
}
