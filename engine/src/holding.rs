//! Whether this engine may still act for a recovery (R2, R4).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ports::Clock;

/// A committed beat older than this allows no outside call (R2).
pub(crate) const BEAT_LIMIT: Duration = Duration::from_secs(3);

/// Between the commit of an intent and the first byte of its call (R4).
pub(crate) const INTENT_LIMIT: Duration = Duration::from_millis(500);

/// The moment at which the last committed beat was sent, shared by a driver and the calls it has started.
#[derive(Clone)]
pub(crate) struct Holding {
    clock: Arc<dyn Clock>,
    beat_sent: Arc<AtomicU64>,
}

impl Holding {
    pub(crate) fn since(clock: Arc<dyn Clock>, sent: Duration) -> Self {
        let holding = Self {
            clock,
            beat_sent: Arc::new(AtomicU64::new(0)),
        };
        holding.beat_committed(sent);
        holding
    }

    /// A beat that was sent at `sent` has been committed.
    pub(crate) fn beat_committed(&self, sent: Duration) {
        self.beat_sent.store(millis(sent), Ordering::Release);
    }

    /// Whether an outside call may begin now, for an intent that was committed at `committed`.
    pub(crate) fn may_act(&self, committed: Duration, is_write: bool) -> bool {
        let now = self.clock.boot();
        let beat_age = millis(now).saturating_sub(self.beat_sent.load(Ordering::Acquire));
        let in_time = !is_write || now.saturating_sub(committed) <= INTENT_LIMIT;
        beat_age <= millis(BEAT_LIMIT) && in_time
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tachi_domain::Timestamp;

    use super::*;

    struct Hand(Mutex<Duration>);
    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        fn boot(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn r2_r4_a_call_needs_a_young_beat_and_a_write_a_young_intent() {
        let clock = Arc::new(Hand(Mutex::new(Duration::from_secs(100))));
        let holding = Holding::since(clock.clone(), Duration::from_secs(100));
        let cases = [
            ("at once", 100_000, 100_000, true, true),
            ("intent half a second old", 100_500, 100_000, true, true),
            ("intent older than that", 100_501, 100_000, true, false),
            ("reads do not mind an old intent", 102_000, 100_000, false, true),
            ("beat three seconds old", 103_000, 103_000, true, true),
            (
                "beat older than that: a process that was stopped",
                103_001,
                103_001,
                true,
                false,
            ),
            ("nor any read then", 103_001, 103_001, false, false),
        ];
        for (name, now, committed, is_write, wanted) in cases {
            *clock.0.lock().unwrap() = Duration::from_millis(now);
            assert_eq!(
                holding.may_act(Duration::from_millis(committed), is_write),
                wanted,
                "{name}"
            );
        }
        holding.beat_committed(Duration::from_secs(103));
        *clock.0.lock().unwrap() = Duration::from_millis(105_900);
        assert!(holding.may_act(Duration::from_millis(105_800), true));
    }
}
