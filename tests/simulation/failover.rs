//! Failovers of the journal's database to a replica without the last commits. Clients had already received
//! confirmations of them. Rows return to older states, and recoveries opened since are lost. In most seeds an
//! engine is disconnected or stopped at that moment.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;

use crate::journal::{Journal, Rec};
use crate::mishap::Mishap;
use crate::rng::Rng;
use crate::world::{Event, World, note};

/// Maximum period of lost commits, in ms.
const MAX_LOST_PERIOD: u64 = 6_000;

#[derive(Clone, Debug)]
pub(crate) struct Failover {
    at: u64,
    /// Period of lost commits before the failover, in ms.
    by: u64,
    /// Outage of the database, in ms.
    away: u64,
    /// Stop of an engine: lead time before the failover, and duration, in ms.
    stops: Option<(u64, u64)>,
}

impl Failover {
    pub(crate) fn draw(rng: &mut Rng, chaos_end: u64) -> Self {
        let away = rng.between(100, 15_000);
        let stops = (rng.between(0, 2_000), rng.between(3_000, 70_000));
        Self {
            at: rng.between(8_000, chaos_end),
            by: rng.between(100, MAX_LOST_PERIOD),
            away: if rng.percent(70) { away } else { 0 },
            stops: rng.percent(70).then_some(stops),
        }
    }
}

impl Journal {
    /// Restores the state `then`. The ledger's own observations stay.
    fn goes_back(&mut self, then: &Self) {
        let lost = std::mem::replace(self, then.clone());
        self.now = lost.now;
        self.given = lost.given;
        self.freezes.goes_back(&lost.freezes, lost.now);
        for (host, was) in lost.reserve.rows {
            if let Some(row) = self.reserve.rows.get_mut(&host) {
                row.lost = was.lost || was.holder.is_some() && was.holder != row.holder;
            }
        }
        for (rec, was) in lost.recs.into_iter().enumerate() {
            if let Some(row) = self.recs.get_mut(rec) {
                row.keep_what_was_seen(was);
            } else {
                self.recs.push(was.forgotten());
            }
        }
    }
}

impl Rec {
    /// Keeps what the ledger observed, which is not part of the database.
    fn keep_what_was_seen(&mut self, of: Self) {
        self.claimed = of.claimed;
        self.guards = of.guards;
        self.lists = of.lists;
        self.commands = of.commands;
        self.approved = of.approved;
        self.version = of.version + 1;
        self.died = of.died;
        self.writes = of.writes;
        self.messages = of.messages;
        self.touched_before = of.touched.or(of.touched_before);
        self.ended = of.ended.filter(|_| self.life != Life::Open);
    }

    /// Marks a recovery that the database no longer has.
    fn forgotten(mut self) -> Self {
        self.life = Life::Closed;
        self.forgotten = true;
        self.status = NotificationStatus::Ignored;
        // No claim matches this epoch.
        self.epoch = u64::MAX;
        self.owner = None;
        self.head = None;
        self.wait = None;
        self.moves.clear();
        self
    }
}

impl World {
    pub(crate) fn plan_failovers(&mut self) {
        for failover in self.weather.faults.failovers.clone() {
            let Failover { at, by, away, stops } = failover;
            self.at(at - by, Event::Replicated);
            self.at(at, Event::FailsOver { away });
            if let Some((before, millis)) = stops {
                let engine = usize::try_from(at).unwrap() % self.weather.engines;
                self.at(at.saturating_sub(before), Event::Pause { engine, millis });
            }
        }
    }

    /// Takes the state that the replica has received so far.
    pub(crate) fn replicated(&mut self) {
        self.copy = Some(Box::new(self.journal.clone()));
    }

    pub(crate) fn fails_over(&mut self, away: u64) {
        let Some(copy) = self
            .copy
            .take()
            .filter(|_| !self.weather.faults.failovers.is_empty())
        else {
            return;
        };
        note!(
            self,
            "the database fails over: commits since {} ms are lost",
            copy.now
        );
        self.mishap(Mishap::FailsOver);
        if self
            .engines
            .iter()
            .any(|engine| !engine.dead && engine.paused_until > self.now)
        {
            self.mishap(Mishap::FailsOverStopped);
        }
        // On a service that someone else disabled, no mark shows who set `forced_down`.
        for (host, service) in self.nova.services.iter().enumerate() {
            let reason = service.reason.as_deref().unwrap_or_default();
            let is_marked = reason.contains("[tachi ") && !reason.contains("[tachi drain");
            if service.forced_down && !is_marked {
                self.report_ledger.unmarked.insert(host);
            }
        }
        // Reports and operators' actions that are lost with the database reach no engine.
        let known = copy.now;
        self.aborts.forget_since(known);
        self.report_ledger.real.retain(|_, reported| *reported <= known);
        self.journal.goes_back(&copy);
        if away > 0 {
            self.failing_over = Some(self.now + away);
        }
    }
}
