//! A recovery that is held waits for an operator, and people overlook things: it is told again and again.
//!
//! Nothing of it is kept: a new owner tells at once.

use std::time::Duration;

/// When something was told last.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    told: Option<Duration>,
}

impl Alarm {
    /// Whether it is time to tell, `now` on the boot-time clock. `waits` is whether there is anything to be told; what only
    /// waits for a guard is not told before it has waited for `every`.
    pub(crate) fn is_due(&mut self, waits: bool, at_once: bool, every: Duration, now: Duration) -> bool {
        if !waits {
            self.told = None;
            return false;
        }
        let Some(told) = self.told else {
            self.told = Some(now);
            return at_once;
        };
        let due = now.saturating_sub(told) >= every;
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_at_once_and_then_at_intervals_until_it_goes_on() {
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
        assert!(!at(400, false, true), "it goes on");
        assert!(
            !at(500, true, false),
            "a guard that only waits is told when that takes long"
        );
        assert!(at(800, true, false));
    }
}
