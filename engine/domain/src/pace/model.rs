//! A window from a model of the service: the rate at which it picks up items, and the time it needs for one by itself.
//!
//! The useful queue in front of a service is what it picks up until the next poll, plus what it works on in the meantime:
//! its rate times the sum of the two times. A shorter queue leaves it idle, and a longer one only waits. Both are measured
//! over rounds, each as long as the service takes to pick up one window.

use std::time::Duration;

use super::{Bounds, MAX_MEASURED_DURATION, MIN_DELAY_LIFETIME, MIN_REDUCTION_INTERVAL, SLOT_MILLIS};

/// The minimum and maximum number of items in a round, which otherwise is one window. The mean of fewer is random, and more
/// hardly improve it.
const ROUND_ITEMS: (u32, u32) = (4, 16);

/// The additional slots for each item that is picked up while no other is left, before the window was ever too large. So a
/// poll adds to the queue at most four times what Nova has just picked up in the same time.
const SLOTS_PER_PICKUP: u64 = 3;

/// The time without requests after which the model starts from scratch, because the service may have changed.
const MODEL_RESET_IDLE: Duration = Duration::from_mins(1);

/// The time until an item was picked up, between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartSample {
    /// The time from the request to the last poll that showed it waiting.
    pub least: Duration,
    /// The time from the request to the first poll that showed it picked up.
    pub most: Duration,
}

impl StartSample {
    fn middle(self) -> Duration {
        let most = self.most.min(MAX_MEASURED_DURATION);
        (self.least.min(most) + most) / 2
    }
}

/// The result of a poll.
#[derive(Clone, Copy, Debug)]
pub struct PollResult<'a> {
    /// The items picked up since the last poll.
    pub taken: &'a [StartSample],
    /// True if none of the polled items is still waiting.
    pub is_queue_empty: bool,
    /// The number of all waiting items before the poll.
    pub busy: u32,
    /// True if the window was what prevented further requests.
    pub full: bool,
    /// The time until the next poll.
    pub pause: Duration,
}

/// A number of items in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    count: u32,
    time: Duration,
}

impl Rate {
    /// Returns the number of items in `time`, in thousandths.
    fn within(self, time: Duration) -> u64 {
        let micros = self.time.as_micros().max(1);
        let count = u128::from(self.count) * u128::from(SLOT_MILLIS) * time.as_micros();
        u64::try_from(count / micros).unwrap_or(u64::MAX)
    }
}

/// The items that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    since: Duration,
    /// The number of items that ends the round.
    target_count: u32,
    taken: u32,
    waits: Duration,
    /// True if at some moment no item was waiting: the service can do more than it shows.
    is_queue_empty: bool,
}

/// The check after a reduction of the window: it is still unknown if the waits become shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowReduction {
    at: Duration,
    /// The value below which the mean wait has to be.
    below: Duration,
    target_count: u32,
    taken: u32,
    waits: Duration,
}

/// The rate at which Nova picks up items and the time it needs, as learnt so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    bounds: Bounds,
    patience: Duration,
    /// The window in thousandths.
    window: u64,
    /// True if the window has never been too large.
    learning: bool,
    /// The number of consecutive polls that showed no pick-up.
    empty_polls: u32,
    rate: Option<Rate>,
    least: Option<Duration>,
    least_before: Option<Duration>,
    remembered_since: Duration,
    round: Option<Round>,
    lowered: Option<WindowReduction>,
    reduced_at: Option<Duration>,
    last_activity: Duration,
}

impl Model {
    /// Returns a window without observations. A service that needs more than four times `patience` for one item never gets
    /// more than it picks up in that time.
    pub fn new(bounds: Bounds, patience: Duration) -> Self {
        let bounds = bounds.in_order();
        Self {
            bounds,
            patience,
            window: u64::from(bounds.start) * SLOT_MILLIS,
            learning: true,
            empty_polls: 0,
            rate: None,
            least: None,
            least_before: None,
            remembered_since: Duration::ZERO,
            round: None,
            lowered: None,
            reduced_at: None,
            last_activity: Duration::ZERO,
        }
    }

    /// Returns the number of items that may wait to be picked up.
    pub fn window(&self) -> u32 {
        u32::try_from(self.window / SLOT_MILLIS).unwrap_or(u32::MAX)
    }

    /// Returns the number of consecutive polls that showed no pick-up, or `None` once the window has been too large.
    pub fn learning_polls(&self) -> Option<u32> {
        self.learning.then_some(self.empty_polls)
    }

    /// Returns the time for `count` items at the last rate.
    pub fn time_for(&self, count: u32) -> Option<Duration> {
        let rate = self.rate?;
        let time = rate.time.checked_mul(count)? / rate.count.max(1);
        Some(time.min(MAX_MEASURED_DURATION))
    }

    /// Records a request at a time when no item was waiting. `now` is any clock that does not go back.
    pub fn begun(&mut self, now: Duration) {
        if now.saturating_sub(self.last_activity) >= MODEL_RESET_IDLE && self.last_activity > Duration::ZERO {
            *self = Self::new(self.bounds, self.patience);
        }
        self.last_activity = now;
        self.empty_polls = 0;
        if self.round.is_none() {
            self.round = Some(self.new_round(now));
        }
    }

    /// Applies the result of a poll.
    pub fn polled(&mut self, poll: PollResult<'_>, now: Duration) {
        self.last_activity = now;
        if poll.taken.is_empty() {
            self.empty_polls = self.empty_polls.saturating_add(1);
            return;
        }
        self.empty_polls = 0;
        let count = u32::try_from(poll.taken.len()).unwrap_or(u32::MAX);
        let Some(mut round) = self.round else {
            // The time at which these items started to wait in the service is unknown.
            self.round = Some(self.new_round(now));
            return;
        };
        round.taken = round.taken.saturating_add(count);
        round.is_queue_empty |= poll.is_queue_empty;
        for wait in poll.taken {
            round.waits = round.waits.saturating_add(wait.middle());
            if let Some(lowered) = self
                .lowered
                .as_mut()
                .filter(|it| now.saturating_sub(wait.most) >= it.at)
            {
                lowered.taken = lowered.taken.saturating_add(1);
                lowered.waits = lowered.waits.saturating_add(wait.middle());
            }
        }
        self.round = Some(round);
        // The items were picked up between two polls in quick succession, and none is left: it may have been at once.
        let quick = poll.pause + poll.pause / 2;
        let at_once = poll.is_queue_empty
            && poll
                .taken
                .iter()
                .all(|wait| wait.least.is_zero() && wait.most <= quick);
        if poll.full && at_once {
            let step = if self.learning { SLOTS_PER_PICKUP } else { 1 };
            self.set(self.window.saturating_add(u64::from(count) * step * SLOT_MILLIS));
        }
        self.judge_lowering();
        if poll.is_queue_empty && !poll.full {
            // No item follows: later requests start a new round.
            self.round = None;
        } else if round.taken >= round.target_count && now.saturating_sub(round.since) >= poll.pause {
            // In less time not all recoveries have polled, and the observations of the others are about an earlier time.
            self.end(round, poll, now);
        }
    }

    /// Records a refusal (429, 5xx) or a missing answer.
    pub fn refused(&mut self, now: Duration) {
        if self
            .reduced_at
            .is_some_and(|at| now.saturating_sub(at) < MIN_REDUCTION_INTERVAL)
        {
            return;
        }
        self.reduced_at = Some(now);
        self.learning = false;
        self.set(self.window / 2);
    }

    fn set(&mut self, window: u64) {
        let (min, max) = (
            u64::from(self.bounds.min) * SLOT_MILLIS,
            u64::from(self.bounds.max) * SLOT_MILLIS,
        );
        self.window = window.clamp(min, max);
    }

    fn new_round(&self, now: Duration) -> Round {
        Round {
            since: now,
            target_count: self.window().clamp(ROUND_ITEMS.0, ROUND_ITEMS.1),
            taken: 0,
            waits: Duration::ZERO,
            is_queue_empty: false,
        }
    }

    fn end(&mut self, round: Round, poll: PollResult<'_>, now: Duration) {
        let mean = round.waits / round.taken.max(1);
        let known = self.least.is_some() || self.least_before.is_some();
        self.remember(mean, now);
        let mut rate = Rate {
            count: round.taken,
            time: now.saturating_sub(round.since),
        };
        self.rate = Some(rate);
        if round.is_queue_empty {
            // The service may have been idle since the last poll but one.
            let busy = rate.time.saturating_sub(poll.pause);
            rate.time = busy.max(rate.time / 2);
        }
        let base = self
            .least
            .into_iter()
            .chain(self.least_before)
            .min()
            .unwrap_or(mean);
        let reach = base
            .saturating_add(poll.pause)
            .min(self.patience.saturating_mul(4));
        let worth = rate.within(reach).saturating_add(SLOT_MILLIS);
        let delayed = mean > base + base / 4 + poll.pause / 4;
        if self.learning && !delayed {
            let busy = u64::from(poll.busy) * SLOT_MILLIS;
            let occupied = self.window.min(busy.max(u64::from(round.taken) * SLOT_MILLIS));
            // The first round has nothing to be compared with.
            let doubled = if known {
                occupied * 2
            } else {
                occupied + occupied / 2
            };
            if poll.full {
                self.set(worth.max(doubled).max(self.window));
            }
        } else if worth > self.window {
            if poll.full {
                self.set(worth);
            }
        } else if poll.full {
            self.lower(worth, mean, now);
        }
        self.round = Some(self.new_round(now));
    }

    fn lower(&mut self, worth: u64, mean: Duration, now: Duration) {
        self.learning = false;
        let before = self.window;
        self.set(worth);
        // A queue that is shorter by less than a quarter is within chance.
        if self.window.saturating_mul(4) <= before.saturating_mul(3) && self.lowered.is_none() {
            let parts = u32::try_from(self.window * SLOT_MILLIS / before).unwrap_or(0);
            let expected = mean.saturating_mul(parts) / 1_000;
            self.lowered = Some(WindowReduction {
                at: now,
                below: (expected + mean) / 2,
                target_count: self.window().clamp(2, 16),
                taken: 0,
                waits: Duration::ZERO,
            });
        }
    }

    /// Judges a lowered window. A wait that does not become shorter with a shorter queue is the service's own, and the
    /// window was too small.
    fn judge_lowering(&mut self) {
        let Some(lowered) = self.lowered.filter(|it| it.taken >= it.target_count) else {
            return;
        };
        self.lowered = None;
        let mean = lowered.waits / lowered.taken.max(1);
        if mean > lowered.below {
            let known = self
                .least
                .into_iter()
                .chain(self.least_before)
                .min()
                .unwrap_or(mean);
            self.least = Some(mean);
            self.least_before = None;
            self.learning = mean >= known * 4;
        }
    }

    fn remember(&mut self, wait: Duration, now: Duration) {
        if now.saturating_sub(self.remembered_since) >= MIN_DELAY_LIFETIME {
            self.least_before = self.least.take();
            self.remembered_since = now;
        }
        self.least = Some(self.least.map_or(wait, |least| least.min(wait)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        min: 2,
        start: 4,
        max: 256,
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn poll(model: &mut Model, taken: (usize, u64, u64), is_queue_empty: bool, full: bool, now: u64) {
        let (count, least, most) = taken;
        let wait = StartSample {
            least: ms(least),
            most: ms(most),
        };
        let busy = model.window();
        let poll = PollResult {
            taken: &vec![wait; count],
            is_queue_empty,
            busy,
            full,
            pause: ms(500),
        };
        model.polled(poll, ms(now));
    }

    #[test]
    fn each_item_picked_up_at_once_adds_three_slots() {
        let mut model = Model::new(BOUNDS, ms(2_000));
        model.begun(ms(1_000));
        poll(&mut model, (4, 0, 100), true, true, 1_100);
        assert_eq!(model.window(), 16);
    }

    #[test]
    fn an_unfilled_window_neither_grows_nor_shrinks() {
        let mut model = Model::new(BOUNDS, ms(2_000));
        model.begun(ms(1_000));
        for n in 0..50 {
            poll(&mut model, (4, 0, 100), n % 2 == 0, false, 2_000 + n * 500);
        }
        assert_eq!(model.window(), 4);
    }

    #[test]
    fn refusals_halve_it_once_per_congestion_down_to_two() {
        let mut model = Model::new(BOUNDS, ms(2_000));
        for _ in 0..9 {
            model.refused(ms(5_000));
        }
        assert_eq!(model.window(), 2);
        model.refused(ms(9_000));
        assert_eq!(model.window(), 2);
        assert_eq!(model.learning_polls(), None);
    }

    #[test]
    fn simultaneous_observations_are_not_a_rate() {
        let mut model = Model::new(BOUNDS, ms(2_000));
        model.begun(ms(1_000));
        for _ in 0..40 {
            poll(&mut model, (4, 900, 1_000), false, true, 2_000);
        }
        // The rate is 160 in a second, not in a thousandth of one.
        assert!(model.window() <= 200, "{}", model.window());
    }

    #[test]
    fn after_a_minute_without_work_it_restarts() {
        let mut model = Model::new(BOUNDS, ms(2_000));
        model.begun(ms(1_000));
        poll(&mut model, (4, 0, 100), true, true, 1_100);
        model.begun(ms(50_000));
        assert_eq!(model.window(), 16);
        model.begun(ms(111_000));
        assert_eq!(model, {
            let mut restarted = Model::new(BOUNDS, ms(2_000));
            restarted.begun(ms(111_000));
            restarted
        });
    }

    proptest! {
        #[test]
        fn with_any_observation_the_window_stays_in_its_bounds(
            bounds in (0_u32..50, 0_u32..1_000, 0_u32..500),
            polls in vec((0_usize..30, any::<u64>(), 0_u64..90_000, any::<bool>(), any::<bool>(), 0_u64..5_000, 0_u8..9), 0..200),
        ) {
            let bounds = Bounds { min: bounds.0, start: bounds.1, max: bounds.2 };
            let ordered = bounds.in_order();
            let mut model = Model::new(bounds, ms(2_000));
            let mut now = 0;
            for (count, least, most, is_queue_empty, full, later, what) in polls {
                now += later;
                match what {
                    0 => model.begun(ms(now)),
                    1 => model.refused(ms(now)),
                    _ => poll(&mut model, (count, least, most), is_queue_empty, full, now),
                }
                prop_assert!((ordered.min..=ordered.max).contains(&model.window()));
                prop_assert!(model.time_for(u32::MAX).is_none_or(|time| time <= MAX_MEASURED_DURATION));
            }
        }
    }
}
