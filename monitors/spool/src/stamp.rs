//! The age of a record, independent of changes of the machine's clock.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment, by two clocks of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Microseconds since the epoch, by the machine's wall clock.
    pub wall: i64,
    /// Microseconds since boot, including suspend: a monotonic clock.
    pub up: u64,
    /// The boot's id.
    pub boot: String,
}

impl Stamp {
    /// Returns the time since `then`. Within one boot this is exact; across boots only the wall clock is available,
    /// and a time in the future counts as now.
    pub fn since(&self, then: &Self) -> Duration {
        let micros = if self.boot == then.boot && !self.boot.is_empty() {
            self.up.saturating_sub(then.up)
        } else {
            u64::try_from(self.wall.saturating_sub(then.wall)).unwrap_or(0)
        };
        Duration::from_micros(micros)
    }
}

/// A source of stamps.
#[derive(Debug, Clone)]
pub struct Stamps {
    boot: String,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new()
    }
}

impl Stamps {
    /// Reads the system's boot id. Without one only the wall clock counts.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
        }
    }

    /// Returns the current stamp.
    pub fn now(&self) -> Stamp {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let up = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(up.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(up.tv_nsec).unwrap_or(0);
        Stamp {
            wall: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
            up: seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000),
            boot: self.boot.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(wall: i64, up: u64, boot: &str) -> Stamp {
        Stamp {
            wall,
            up,
            boot: boot.to_owned(),
        }
    }

    /// Covers MW27.
    #[test]
    fn age_does_not_follow_a_clock_that_is_set() {
        const YEAR: i64 = 31_536_000_000_000;
        let cases = [
            ("same start", stamp(0, 5, "a"), stamp(9, 12, "a"), 7),
            (
                "the clock jumped a year on",
                stamp(0, 5, "a"),
                stamp(YEAR, 6, "a"),
                1,
            ),
            ("the clock went back", stamp(YEAR, 5, "a"), stamp(0, 8, "a"), 3),
            ("another start", stamp(10, 500, "a"), stamp(30, 1, "b"), 20),
            (
                "another start, the clock went back",
                stamp(30, 500, "a"),
                stamp(10, 1, "b"),
                0,
            ),
            ("no start known", stamp(10, 1, ""), stamp(15, 900, ""), 5),
        ];
        for (name, then, now, micros) in cases {
            assert_eq!(now.since(&then), Duration::from_micros(micros), "{name}");
        }
    }

    #[test]
    fn time_goes_on() {
        let stamps = Stamps::new();
        let (first, second) = (stamps.now(), stamps.now());
        assert!(
            second.up >= first.up && first.up > 0 && first.wall > 0,
            "{first:?} {second:?}"
        );
    }
}
