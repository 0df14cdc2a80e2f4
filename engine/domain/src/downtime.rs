//! The downtime of the instances of a failed host.

use std::time::Duration;

/// The downtimes of instances, shortest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downtime {
    back: Vec<Duration>,
}

impl FromIterator<Duration> for Downtime {
    /// Collects the downtime of each instance that is running again.
    fn from_iter<I: IntoIterator<Item = Duration>>(down: I) -> Self {
        let mut back: Vec<Duration> = down.into_iter().collect();
        back.sort_unstable();
        Self { back }
    }
}

impl Downtime {
    /// Returns the number of instances that are running again.
    pub fn count(&self) -> usize {
        self.back.len()
    }

    /// Returns the instance-seconds: the area under the curve of down instances, for those that are running again.
    pub fn total(&self) -> Duration {
        self.back
            .iter()
            .fold(Duration::ZERO, |sum, downtime| sum.saturating_add(*downtime))
    }

    /// Returns the mean downtime; like the figures below, `None` if no instance is running again.
    pub fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.back.len()).ok()?;
        self.total().checked_div(count)
    }

    /// Returns the shortest downtime.
    pub fn first(&self) -> Option<Duration> {
        self.back.first().copied()
    }

    pub fn median(&self) -> Option<Duration> {
        self.part(50)
    }

    pub fn p95(&self) -> Option<Duration> {
        self.part(95)
    }

    /// Returns the longest downtime.
    pub fn last(&self) -> Option<Duration> {
        self.back.last().copied()
    }

    /// Returns the percentile `of_hundred`: the smallest downtime that this share of the instances does not exceed.
    fn part(&self, of_hundred: usize) -> Option<Duration> {
        let rank = self.back.len().checked_mul(of_hundred)?.div_ceil(100);
        self.back.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(seconds: &[u64]) -> Downtime {
        seconds.iter().map(|one| Duration::from_secs(*one)).collect()
    }

    type Figures = [Option<u64>; 5];

    fn figures(down: &Downtime) -> Figures {
        [down.first(), down.median(), down.mean(), down.p95(), down.last()]
            .map(|one| one.map(|one| one.as_secs()))
    }

    #[test]
    fn each_figure_is_a_measured_value() {
        let cases: [(&[u64], u64, Figures); 4] = [
            (&[], 0, [None; 5]),
            (&[7], 7, [Some(7); 5]),
            (&[3, 1], 4, [Some(1), Some(1), Some(2), Some(3), Some(3)]),
            (&[4, 2, 9, 5], 20, [Some(2), Some(4), Some(5), Some(9), Some(9)]),
        ];
        for (seconds, total, expected) in cases {
            let down = of(seconds);
            assert_eq!(down.total(), Duration::from_secs(total), "{seconds:?}");
            assert_eq!(figures(&down), expected, "{seconds:?}");
        }
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(
            figures(&of(&hundred)),
            [Some(1), Some(50), Some(50), Some(95), Some(100)]
        );
    }

    #[test]
    fn a_downtime_out_of_range_does_not_panic() {
        let down: Downtime = [Duration::MAX, Duration::MAX].into_iter().collect();
        assert_eq!(down.total(), Duration::MAX);
    }

    proptest! {
        #[test]
        fn figures_are_in_order(seconds in proptest::collection::vec(0_u64..10_000, 1..200)) {
            let down = of(&seconds);
            let (first, median, p95, last) = (down.first(), down.median(), down.p95(), down.last());
            prop_assert!(first <= median && median <= p95 && p95 <= last);
            prop_assert!(down.mean() >= first && down.mean() <= last);
            prop_assert_eq!(down.total(), Duration::from_secs(seconds.iter().sum()));
        }
    }
}
