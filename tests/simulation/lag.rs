//! A replica of Nova's database answers queries with a lag: of a moment or some seconds, now and then or constantly.

use std::collections::VecDeque;

use crate::mishap::Mishap;
use crate::nova::Nova;
use crate::rng::Rng;
use crate::world::{Owner, World, note};

/// A copy that is behind by more or less is so by this at most, and one that is behind by as much at all times, by that.
const MOST: u64 = 3_000;
const MOST_CONSTANT: u64 = 10_000;

/// Between two states that are kept.
const GRAIN: u64 = 250;

#[derive(Clone, Debug)]
pub(crate) struct Lag {
    /// By this at all times, and every question is answered by the copy.
    constant: Option<u64>,
    /// Percent of questions that the copy answers, otherwise.
    often: u64,
    /// Percent of answers of the copy that an engine is stopped before it reads.
    stops: u64,
    rng: Rng,
}

/// Nova as it was, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Past(VecDeque<(u64, Nova)>);

impl Past {
    /// What every copy shows by now.
    pub(crate) fn oldest(&self) -> Option<&Nova> {
        self.0.front().map(|(_, nova)| nova)
    }
}

impl Lag {
    pub(crate) fn draw(mut rng: Rng) -> Self {
        let by = rng.between(500, MOST_CONSTANT);
        Self {
            constant: rng.percent(30).then_some(by),
            often: rng.between(5, 60),
            stops: if rng.percent(50) { rng.between(1, 5) } else { 0 },
            rng,
        }
    }

    fn by(&mut self) -> Option<u64> {
        if self.constant.is_some() {
            return self.constant;
        }
        self.rng.percent(self.often).then(|| self.rng.between(100, MOST))
    }
}

impl World {
    /// Before each event.
    pub(crate) fn remember(&mut self) {
        if self.weather.faults.lag.is_none() {
            return;
        }
        let past = &mut self.past.0;
        if past.back().is_some_and(|(at, _)| self.now < at + GRAIN) {
            return;
        }
        past.push_back((self.now, self.nova.clone()));
        // The first that is not older than any question may need is the one before.
        while past.get(1).is_some_and(|(at, _)| at + MOST_CONSTANT < self.now) {
            past.pop_front();
        }
    }

    /// Queries Nova or the replica of its database.
    pub(crate) fn ask<T>(&mut self, owner: Owner, question: impl FnOnce(&mut Self) -> T) -> T {
        let chaos = self.chaos();
        let Some(by) = self
            .weather
            .faults
            .lag
            .as_mut()
            .filter(|_| chaos)
            .and_then(Lag::by)
        else {
            return question(self);
        };
        let then = self.now.saturating_sub(by);
        let Some((_, old)) = self.past.0.iter().rev().find(|(at, _)| *at <= then) else {
            return question(self);
        };
        let present = std::mem::replace(&mut self.nova, old.clone());
        self.mishap(Mishap::Lags);
        let answer = question(self);
        self.nova = present;
        self.stops_before_old_answer(owner);
        answer
    }

    fn stops_before_old_answer(&mut self, owner: Owner) {
        let Some(lag) = &mut self.weather.faults.lag else {
            return;
        };
        if !lag.rng.percent(lag.stops) {
            return;
        }
        let millis = lag.rng.between(500, 20_000);
        note!(
            self,
            "engine {} is stopped for {millis} ms before it reads what a copy says that is behind",
            owner.engine
        );
        self.mishap(Mishap::StoppedAtLag);
        let it = &mut self.engines[owner.engine];
        it.paused_until = it.paused_until.max(self.now + millis);
    }
}
