//! What tests share.

use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;

/// A clock that stands still.
pub(crate) struct StillClock;

impl Clock for StillClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}
