//! Time, given from outside so that tests can set it.

use std::time::Duration;

use tachi_domain::Timestamp;

/// The wall clock and the boot-time clock.
pub trait Clock: Send + Sync {
    /// Wall time, for people.
    fn wall(&self) -> Timestamp;

    /// Time since this machine booted, suspend included (`CLOCK_BOOTTIME`): the clock for deadlines and lease renewals.
    fn boot(&self) -> Duration;
}
