//! What a look costs Nova, and how long it is left in peace for it.

use std::collections::VecDeque;
use std::time::Duration;

/// A look that is not a long one takes a sixteenth of the time at most, so that following the evacuations does not hold them up: one
/// that costs Nova a tenth of a second comes every second and a half.
const PAUSE_PER_LOOK: u32 = 15;

/// The longest it is put off for that. What is seen too late is begun too late.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest it is put off for as long as the last one has taken.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// So many answers are remembered: a list grows while a recovery goes on.
const REMEMBERED: usize = 8;

/// Fewer say nothing about the cost.
const ENOUGH: usize = 3;

/// How long the last looks of one kind took. The quickest of them is what the look itself costs; whatever the others took
/// longer they waited in a queue, behind our own locks for instance, and pausing for that would leave Nova without work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookCost {
    taken: VecDeque<Duration>,
}

impl LookCost {
    /// How long Nova is left in peace after a look that took so long.
    pub fn pause_after(&mut self, taken: Duration) -> Duration {
        let taken = taken.min(LONGEST_PAUSE);
        if self.taken.len() >= REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back(taken);
        let least = self.taken.iter().min().copied();
        let cost = least.filter(|_| self.taken.len() >= ENOUGH).unwrap_or_default();
        taken.max((cost * PAUSE_PER_LOOK).min(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pauses(looks: &[u64]) -> Vec<Duration> {
        let mut cost = LookCost::default();
        looks.iter().map(|taken| cost.pause_after(ms(*taken))).collect()
    }

    #[test]
    fn a_look_that_costs_a_tenth_of_a_second_comes_every_second_and_a_half() {
        assert_eq!(pauses(&[100; 4])[3], ms(1_500));
    }

    #[test]
    fn the_first_looks_are_not_put_off_for_what_they_waited() {
        assert_eq!(pauses(&[100, 90, 80]), [ms(100), ms(90), ms(1_200)]);
    }

    #[test]
    fn one_that_waited_behind_our_own_calls_does_not_count_as_dear() {
        assert_eq!(pauses(&[10, 10, 10, 300]).last(), Some(&ms(300)));
        assert_eq!(pauses(&[300, 300, 10, 100]).last(), Some(&ms(150)));
    }

    #[test]
    fn what_was_cheap_long_ago_is_forgotten() {
        let mut looks = vec![10; 3];
        looks.extend([120; REMEMBERED]);
        assert_eq!(pauses(&looks).last(), Some(&ms(1_800)));
    }

    #[test]
    fn a_nova_that_takes_seconds_is_asked_as_much_more_seldom() {
        assert_eq!(pauses(&[3_000; 3])[2], ms(3_000));
        assert_eq!(pauses(&[60_000; 3])[2], LONGEST_PAUSE);
    }
}
