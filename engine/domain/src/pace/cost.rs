//! The cost of a poll for Nova, and the pause after it.

use std::collections::VecDeque;
use std::time::Duration;

/// The pause after a short poll, as a multiple of its cost. Polls take a sixteenth of the time at most, so that following
/// the evacuations does not delay them: a poll that costs Nova 0.1 s comes every 1.5 s.
const PAUSE_PER_POLL_COST: u32 = 15;

/// The longest pause for this reason. Late observations delay the next steps.
const MAX_POSTPONEMENT: Duration = Duration::from_secs(2);

/// The longest pause that equals the duration of the last poll.
const MAX_PAUSE: Duration = Duration::from_secs(4);

/// The number of polls that are remembered: a list grows during a recovery.
const SAMPLE_COUNT: usize = 8;

/// The number of polls below which the cost is unknown.
const MIN_SAMPLES: usize = 3;

/// The durations of the last polls of one kind. The quickest shows the cost of the poll itself. The others waited in a
/// queue, for instance behind our own locks, and a pause for that would leave Nova without work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PollCost {
    taken: VecDeque<Duration>,
}

impl PollCost {
    /// Returns the pause after a poll with the duration `taken`.
    pub fn pause_after(&mut self, taken: Duration) -> Duration {
        let taken = taken.min(MAX_PAUSE);
        if self.taken.len() >= SAMPLE_COUNT {
            self.taken.pop_front();
        }
        self.taken.push_back(taken);
        let least = self.taken.iter().min().copied();
        let cost = least
            .filter(|_| self.taken.len() >= MIN_SAMPLES)
            .unwrap_or_default();
        taken.max((cost * PAUSE_PER_POLL_COST).min(MAX_POSTPONEMENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pauses(polls: &[u64]) -> Vec<Duration> {
        let mut cost = PollCost::default();
        polls.iter().map(|taken| cost.pause_after(ms(*taken))).collect()
    }

    #[test]
    fn a_poll_that_costs_a_tenth_of_a_second_comes_every_second_and_a_half() {
        assert_eq!(pauses(&[100; 4])[3], ms(1_500));
    }

    #[test]
    fn the_first_polls_are_not_delayed_by_their_waits() {
        assert_eq!(pauses(&[100, 90, 80]), [ms(100), ms(90), ms(1_200)]);
    }

    #[test]
    fn a_poll_that_waited_behind_our_own_calls_does_not_count_as_expensive() {
        assert_eq!(pauses(&[10, 10, 10, 300]).last(), Some(&ms(300)));
        assert_eq!(pauses(&[300, 300, 10, 100]).last(), Some(&ms(150)));
    }

    #[test]
    fn old_costs_are_dropped() {
        let mut polls = vec![10; 3];
        polls.extend([120; SAMPLE_COUNT]);
        assert_eq!(pauses(&polls).last(), Some(&ms(1_800)));
    }

    #[test]
    fn a_slow_nova_is_polled_less_often() {
        assert_eq!(pauses(&[3_000; 3])[2], ms(3_000));
        assert_eq!(pauses(&[60_000; 3])[2], MAX_PAUSE);
    }
}
