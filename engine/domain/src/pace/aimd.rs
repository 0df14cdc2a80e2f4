//! A window that grows by steps and shrinks by fractions.

use std::time::Duration;

use super::{MAX_MEASURED_DURATION, MIN_DELAY_LIFETIME, MIN_REDUCTION_INTERVAL, NovaFeedback, SLOT_MILLIS};

/// The longest pause that a service may require; after it the service is tried again.
const MAX_REQUIRED_PAUSE: Duration = Duration::from_mins(1);

/// The bounds of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub min: u32,
    pub start: u32,
    pub max: u32,
}

impl Bounds {
    /// Returns consistent bounds: each at least one, and the initial value between the others. The maximum takes precedence.
    #[must_use]
    pub fn in_order(self) -> Self {
        let max = self.max.max(1);
        let min = self.min.clamp(1, max);
        Self {
            min,
            start: self.start.clamp(min, max),
            max,
        }
    }
}

/// Additive increase, multiplicative decrease. The window doubles each round until the first reduction, and grows by one a
/// round after that.
///
/// The delay is too long when its smoothed value exceeds both twice the least delay of the last minutes and `patience`. So a
/// naturally slow service is not starved, and a quick one may queue a little. Four times `patience` is too long in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aimd {
    bounds: Bounds,
    patience: Duration,
    /// The window in thousandths.
    window: u64,
    smoothed: Option<Duration>,
    least: Option<Duration>,
    least_before: Option<Duration>,
    remembered_since: Duration,
    reduced_at: Option<Duration>,
    quiet_until: Duration,
}

impl Aimd {
    /// Returns a window without observations.
    pub fn new(bounds: Bounds, patience: Duration) -> Self {
        let bounds = bounds.in_order();
        Self {
            bounds,
            patience,
            window: u64::from(bounds.start) * SLOT_MILLIS,
            smoothed: None,
            least: None,
            least_before: None,
            remembered_since: Duration::ZERO,
            reduced_at: None,
            quiet_until: Duration::ZERO,
        }
    }

    /// Returns the number of parallel calls.
    pub fn window(&self) -> u32 {
        u32::try_from(self.window / SLOT_MILLIS).unwrap_or(u32::MAX)
    }

    /// Returns the time until which no new calls are made, because the service requires a pause.
    pub fn quiet_until(&self) -> Duration {
        self.quiet_until
    }

    /// Applies the result of a call. `full`: the window was what prevented further calls. `now` is any clock that does not
    /// go back.
    pub fn observe(&mut self, feedback: NovaFeedback, full: bool, now: Duration) {
        match feedback {
            NovaFeedback::Answered(took) => self.answered(took, full, now),
            NovaFeedback::PushedBack(wait) => {
                self.reduce(2, now);
                let wait = wait.unwrap_or(MIN_REDUCTION_INTERVAL).min(MAX_REQUIRED_PAUSE);
                self.quiet_until = self.quiet_until.max(now.saturating_add(wait));
            }
            NovaFeedback::Failed => self.reduce(2, now),
        }
    }

    fn answered(&mut self, took: Duration, full: bool, now: Duration) {
        let took = took.min(MAX_MEASURED_DURATION);
        self.remember(took, now);
        let smoothed = self.smoothed.map_or(took, |before| (before * 3 + took) / 4);
        self.smoothed = Some(smoothed);
        if smoothed > self.too_long() {
            self.reduce(5, now);
        } else if full {
            // Grows by one per window of answers; before the first reduction, by one per answer.
            let step = match self.reduced_at {
                None => SLOT_MILLIS,
                Some(_) => (SLOT_MILLIS * SLOT_MILLIS / self.window.max(SLOT_MILLIS)).max(1),
            };
            self.window = (self.window + step).min(u64::from(self.bounds.max) * SLOT_MILLIS);
        }
    }

    fn remember(&mut self, took: Duration, now: Duration) {
        if now.saturating_sub(self.remembered_since) >= MIN_DELAY_LIFETIME {
            self.least_before = self.least.take();
            self.remembered_since = now;
        }
        self.least = Some(self.least.map_or(took, |least| least.min(took)));
    }

    fn too_long(&self) -> Duration {
        let least = self.least.into_iter().chain(self.least_before).min();
        let twice = least.unwrap_or_default().saturating_mul(2);
        twice.max(self.patience).min(self.patience.saturating_mul(4))
    }

    /// Reduces the window by the fraction 1/`part`, once for results that belong together.
    fn reduce(&mut self, part: u64, now: Duration) {
        let apart = self
            .smoothed
            .unwrap_or_default()
            .clamp(MIN_REDUCTION_INTERVAL, MAX_REQUIRED_PAUSE);
        if self.reduced_at.is_some_and(|at| now.saturating_sub(at) < apart) {
            return;
        }
        self.reduced_at = Some(now);
        self.window = (self.window - self.window / part).max(u64::from(self.bounds.min) * SLOT_MILLIS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        min: 4,
        start: 24,
        max: 256,
    };

    fn aimd() -> Aimd {
        Aimd::new(BOUNDS, Duration::from_secs(2))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Simulates a service that picks up `rate` items a second, one after the other, and is polled every `tick`. Returns the
    /// windows and the number of items done after `seconds` of unlimited demand.
    fn served(rate: u64, tick: u64, seconds: u64) -> (Vec<u32>, u64) {
        let mut aimd = aimd();
        let (mut windows, mut done, mut free_at) = (Vec::new(), 0_u64, 0_u64);
        let mut queue: std::collections::VecDeque<(u64, u64)> = std::collections::VecDeque::new();
        for now in (0..seconds * 1_000).step_by(usize::try_from(tick).unwrap()) {
            while queue.front().is_some_and(|(_, ends)| *ends <= now) {
                let (began, _) = queue.pop_front().unwrap();
                done += 1;
                aimd.observe(NovaFeedback::Answered(ms(now - began)), true, ms(now));
            }
            while u32::try_from(queue.len()).unwrap() < aimd.window() {
                free_at = free_at.max(now) + 1_000 / rate;
                queue.push_back((now, free_at));
            }
            windows.push(aimd.window());
        }
        (windows, done)
    }

    #[test]
    fn the_window_keeps_any_service_busy_with_a_short_queue() {
        for (rate, least, most) in [(1, 4, 8), (4, 4, 13), (16, 16, 45), (50, 40, 140)] {
            let (windows, done) = served(rate, 500, 600);
            let settled = &windows[windows.len() / 4..];
            let (low, high) = (settled.iter().min().unwrap(), settled.iter().max().unwrap());
            assert!(*low >= least && *high <= most, "rate {rate}: {low} to {high}");
            assert!(
                done * 100 >= rate * 600 * 97,
                "rate {rate}: {done} of {}",
                rate * 600
            );
        }
    }

    #[test]
    fn a_fast_service_reaches_the_maximum_within_seconds() {
        let mut aimd = aimd();
        for n in 0..232_u64 {
            aimd.observe(NovaFeedback::Answered(ms(300)), true, ms(n));
        }
        assert_eq!(aimd.window(), 256);
        aimd.observe(NovaFeedback::Answered(ms(300)), true, ms(232));
        assert_eq!(aimd.window(), 256, "and never more");
    }

    #[test]
    fn an_unfilled_window_does_not_grow() {
        let mut aimd = aimd();
        for n in 0..1_000 {
            aimd.observe(NovaFeedback::Answered(ms(10)), false, ms(n));
        }
        assert_eq!(aimd.window(), 24);
    }

    #[test]
    fn congestion_halves_it_once_and_it_grows_back_by_ones() {
        for feedback in [
            NovaFeedback::Failed,
            NovaFeedback::PushedBack(None),
            NovaFeedback::PushedBack(Some(ms(100))),
        ] {
            let mut aimd = aimd();
            for _ in 0..20 {
                aimd.observe(feedback, true, ms(5_000));
            }
            assert_eq!(aimd.window(), 12, "{feedback:?}");
            aimd.observe(feedback, true, ms(6_000));
            assert_eq!(aimd.window(), 6, "{feedback:?}");
            for n in 0..6 {
                aimd.observe(NovaFeedback::Answered(ms(10)), true, ms(7_000 + n));
            }
            assert!(aimd.window() <= 7, "{feedback:?}: by one a round, not by leaps");
            aimd.observe(feedback, true, ms(8_000));
            aimd.observe(feedback, true, ms(9_000));
            assert_eq!(aimd.window(), 4, "{feedback:?}: the least");
        }
    }

    #[test]
    fn a_requested_pause_is_kept_for_a_minute_at_most() {
        for (wait, until) in [
            (Some(ms(7_000)), ms(8_000)),
            (None, ms(2_000)),
            (Some(Duration::MAX), ms(61_000)),
        ] {
            let mut aimd = aimd();
            aimd.observe(NovaFeedback::PushedBack(wait), true, ms(1_000));
            assert_eq!(aimd.quiet_until(), until, "{wait:?}");
            aimd.observe(NovaFeedback::PushedBack(Some(ms(1))), true, ms(1_001));
            assert_eq!(
                aimd.quiet_until(),
                until,
                "{wait:?}: a shorter one does not shorten it"
            );
        }
    }

    #[test]
    fn delay_over_twice_the_minimum_shrinks_it_and_a_slow_service_is_not_starved() {
        let slow_by_nature = |millis: u64| {
            let mut aimd = aimd();
            for n in 0..40 {
                aimd.observe(NovaFeedback::Answered(ms(millis)), true, ms(millis * (n + 1)));
            }
            aimd.window()
        };
        assert!(slow_by_nature(3_500) > 24, "3.5 s at its quickest");
        assert_eq!(
            slow_by_nature(20_000),
            4,
            "but four times our patience is always too long"
        );
        let mut aimd = aimd();
        for n in 0..8 {
            aimd.observe(NovaFeedback::Answered(ms(500)), false, ms(500 * n));
        }
        for n in 0..8 {
            aimd.observe(NovaFeedback::Answered(ms(6_000)), true, ms(10_000 + 1_500 * n));
        }
        assert!(aimd.window() < 24, "{}", aimd.window());
    }

    fn feedbacks() -> impl Strategy<Value = NovaFeedback> {
        prop_oneof![
            6 => (0_u64..90_000).prop_map(|millis| NovaFeedback::Answered(ms(millis))),
            1 => proptest::option::of(0_u64..200_000).prop_map(|wait| NovaFeedback::PushedBack(wait.map(ms))),
            1 => Just(NovaFeedback::Failed),
            1 => Just(NovaFeedback::Answered(Duration::MAX)),
            1 => Just(NovaFeedback::PushedBack(Some(Duration::MAX))),
        ]
    }

    proptest! {
        #[test]
        fn with_any_feedback_the_window_stays_in_its_bounds(
            bounds in (0_u32..50, 0_u32..1_000, 0_u32..500),
            steps in vec((feedbacks(), any::<bool>(), 0_u64..100_000), 0..200),
        ) {
            let bounds = Bounds { min: bounds.0, start: bounds.1, max: bounds.2 };
            let ordered = bounds.in_order();
            let mut aimd = Aimd::new(bounds, ms(2_000));
            let mut now = Duration::ZERO;
            for (feedback, full, later) in steps {
                now += ms(later);
                let before = aimd.window();
                aimd.observe(feedback, full, now);
                prop_assert!((ordered.min..=ordered.max).contains(&aimd.window()));
                match feedback {
                    NovaFeedback::Answered(_) => prop_assert!(full || aimd.window() <= before),
                    NovaFeedback::PushedBack(_) | NovaFeedback::Failed => prop_assert!(aimd.window() <= before),
                }
                prop_assert!(aimd.quiet_until() <= now + MAX_REQUIRED_PAUSE);
            }
        }
    }
}
