//! The clocks.

use tachi_instance_ha::GeneratedTime;
use tachi_spool::{Stamp, Stamps};

/// Gives the time. For intervals there is `tokio::time::Instant`, which no test has to wait for.
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
    /// The machine's clocks.
    pub fn new() -> Self {
        Self {
            stamps: Stamps::new(),
        }
    }

    /// Now, for a report: taken once, when something is seen.
    pub fn generated(&self) -> GeneratedTime {
        GeneratedTime::from_micros(self.stamps.now().wall)
    }

    /// Now, by both clocks of the machine: what to keep on disk beside what was seen.
    pub fn stamp(&self) -> Stamp {
        self.stamps.now()
    }
}
