//! The machine's clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tachi_domain::Timestamp;

use crate::ports::Clock;

/// Wall time and `CLOCK_BOOTTIME` of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn boot(&self) -> Duration {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_advances_and_wall_time_is_of_this_century() {
        let clock = SystemClock;
        let before = clock.boot();
        assert!(clock.boot() >= before);
        assert!(before > Duration::ZERO);
        assert!(clock.wall() > Timestamp::from_micros(1_600_000_000_000_000));
    }
}
