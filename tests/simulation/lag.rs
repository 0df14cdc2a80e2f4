//! A replica of Nova's database that answers queries with a lag: of a moment or some seconds, now and then or
//! constantly.

use std::collections::{BTreeMap, VecDeque};

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{Nova, ServerIx, ServerRow};
use crate::rng::Rng;
use crate::world::{Owner, World, note};

/// Maximum replica lag, variable and constant, in ms.
const MAX_LAG: u64 = 3_000;
const MAX_CONSTANT_LAG: u64 = 10_000;

/// Maximum time that a list takes from its first query to the write that it causes, in ms.
const MAX_LIST_TIME: u64 = 3_000;

/// Interval between two snapshots, in ms.
const SNAPSHOT_INTERVAL: u64 = 250;

#[derive(Clone, Debug)]
pub(crate) struct Lag {
    /// Constant lag in ms; then the replica answers every query.
    constant: Option<u64>,
    /// Percent of queries that the replica answers if the lag is variable.
    often: u64,
    /// Percent of the replica's answers before which an engine is stopped.
    stops: u64,
    rng: Rng,
}

/// Snapshots of Nova, oldest first, its servers as they were at the last event, and when each recovery began its last
/// list of instances.
#[derive(Debug, Default)]
pub(crate) struct Snapshot(
    VecDeque<(u64, Nova)>,
    Vec<Option<ServerRow>>,
    BTreeMap<RecIx, u64>,
);

impl Snapshot {
    pub(crate) fn begin_list(&mut self, rec: RecIx, now: u64) {
        self.2.insert(rec, now);
    }

    /// Returns the snapshot that every replica had reached when the recovery began its last list.
    pub(crate) fn reached_at_list(&self, rec: RecIx) -> Option<&Nova> {
        let reached = self.2.get(&rec)?.saturating_sub(MAX_CONSTANT_LAG);
        let older = self.0.iter().rev().find(|(at, _)| *at <= reached);
        older.or(self.0.front()).map(|(_, nova)| nova)
    }
}

impl World {
    /// True if a replica may have shown the instance on another host at this time.
    pub(crate) fn may_have_been_shown_elsewhere(&self, server: ServerIx, at: u64) -> bool {
        let host = self.nova.servers[server].host;
        let shown = |nova: &Nova| nova.servers.get(server).is_some_and(|row| row.host != host);
        let oldest = at.saturating_sub(MAX_CONSTANT_LAG);
        let mut past = self.past.0.iter();
        past.any(|(time, nova)| *time + SNAPSHOT_INTERVAL >= oldest && shown(nova))
    }
}

impl Lag {
    pub(crate) fn draw(mut rng: Rng) -> Self {
        let by = rng.between(500, MAX_CONSTANT_LAG);
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
        self.rng
            .percent(self.often)
            .then(|| self.rng.between(100, MAX_LAG))
    }
}

impl World {
    /// Stores a snapshot of Nova if one is due; runs before each event.
    pub(crate) fn remember(&mut self) {
        if self.weather.faults.lag.is_none() {
            return;
        }
        self.date_changes();
        let past = &mut self.past.0;
        if past
            .back()
            .is_some_and(|(at, _)| self.now < at + SNAPSHOT_INTERVAL)
        {
            return;
        }
        past.push_back((self.now, self.nova.clone()));
        // Keeps one snapshot older than the oldest that a list can show.
        while past
            .get(1)
            .is_some_and(|(at, _)| at + MAX_CONSTANT_LAG + MAX_LIST_TIME < self.now)
        {
            past.pop_front();
        }
    }

    /// Dates the changes of the last event, as Nova does.
    fn date_changes(&mut self) {
        let before = &mut self.past.1;
        before.resize_with(self.nova.servers.len(), || None);
        for (row, known) in self.nova.servers.iter_mut().zip(before) {
            if known.as_ref() != Some(row) {
                row.updated = Some(self.now);
                *known = Some(row.clone());
            }
        }
    }

    /// Queries Nova or the replica of its database.
    pub(crate) fn query<T>(&mut self, owner: Owner, question: impl FnOnce(&mut Self) -> T) -> T {
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
            "engine {} is stopped for {millis} ms before it reads the lagging replica's answer",
            owner.engine
        );
        self.mishap(Mishap::StoppedAtLag);
        let it = &mut self.engines[owner.engine];
        it.paused_until = it.paused_until.max(self.now + millis);
    }
}
