//! Alarms about a recovery that is on hold. They are repeated, because operators may overlook one.
//!
//! The time of the last alarm is not stored, so a new owner raises an alarm at once.

use std::time::Duration;

/// The time of the last alarm.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    raised_at: Option<Duration>,
}

impl Alarm {
    /// Returns true if an alarm is due. `waits` is true if there is something to report; `now` is on the boot-time
    /// clock. Without `at_once`, as in a wait for guards alone, the first alarm is due only after `every`.
    pub(crate) fn is_due(&mut self, waits: bool, at_once: bool, every: Duration, now: Duration) -> bool {
        if !waits {
            self.raised_at = None;
            return false;
        }
        let Some(raised_at) = self.raised_at else {
            self.raised_at = Some(now);
            return at_once;
        };
        let due = now.saturating_sub(raised_at) >= every;
        if due {
            self.raised_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_raises_alarms_at_once_and_at_intervals_until_it_ends() {
        let mut alarm = Alarm::default();
        let every = Duration::from_secs(300);
        let mut at = |seconds: u64, waits: bool, at_once: bool| {
            alarm.is_due(waits, at_once, every, Duration::from_secs(seconds))
        };
        assert!(!at(1, false, true));
        assert!(at(2, true, true));
        assert!(!at(301, true, true));
        assert!(at(302, true, true));
        assert!(!at(303, true, true));
        assert!(!at(400, false, true), "it continues");
        assert!(!at(500, true, false), "a long wait for guards raises an alarm");
        assert!(at(800, true, false));
    }
}
