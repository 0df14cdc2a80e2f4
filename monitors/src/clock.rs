//! The clocks.

use tachi_instance_ha::GeneratedTime;
use tachi_spool::{Stamp, Stamps};

/// The wall clock. Intervals use `tokio::time::Instant`, which tests can advance.
#[derive(Debug, Clone)]
pub struct Clock {
    stamps: Stamps,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Creates a clock that reads the machine's clocks.
    pub fn new() -> Self {
        Self {
            stamps: Stamps::new(),
        }
    }

    /// Returns the current time for a report: taken once, when the event is seen.
    pub fn generated(&self) -> GeneratedTime {
        GeneratedTime::from_micros(self.stamps.now().wall)
    }

    /// Returns the current time by both clocks of the machine, to store with an observation.
    pub fn stamp(&self) -> Stamp {
        self.stamps.now()
    }
}
