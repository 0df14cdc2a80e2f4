use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;

/// The machine's uptime at the start of a test.
pub const BOOTED: Duration = Duration::from_hours(1);

/// The default time: 2023-11-14 22:13:20 UTC, in microseconds since the epoch.
const SOME_TIME: i64 = 1_700_000_000_000_000;

/// Two clocks that a test advances.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicI64,
    boot_millis: AtomicU64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Timestamp::from_micros(SOME_TIME))
    }
}

impl ManualClock {
    /// Creates a clock with this wall time.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            wall: AtomicI64::new(wall.micros()),
            boot_millis: AtomicU64::new(0),
        }
    }

    /// Advances both clocks, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.boot_millis.fetch_add(millis, Ordering::SeqCst);
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the wall clock forward or, with a negative number, back.
    pub fn set_wall_on(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::SeqCst))
    }

    fn boot(&self) -> Duration {
        BOOTED + Duration::from_millis(self.boot_millis.load(Ordering::SeqCst))
    }
}
