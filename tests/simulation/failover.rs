//! The journal's database fails over to a replica that lacks the last commits. Clients had a confirmation of these commits: rows return to
//! older states, and recoveries opened since are lost. In most seeds an engine is disconnected or stopped at that moment.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;

use crate::journal::{Journal, Rec};
use crate::mishap::Mishap;
use crate::rng::Rng;
use crate::world::{Event, World, note};

/// The writes that may be lost.
const MOST: u64 = 6_000;

#[derive(Clone, Debug)]
pub(crate) struct Failover {
    at: u64,
    /// The period of lost commits, in ms.
    by: u64,
    /// The outage of the database, in ms.
    away: u64,
    /// The stop of an engine: its time before the failover, and its length.
    stops: Option<(u64, u64)>,
}

impl Failover {
    pub(crate) fn draw(rng: &mut Rng, chaos_end: u64) -> Self {
        let away = rng.between(100, 15_000);
        let stops = (rng.between(0, 2_000), rng.between(3_000, 70_000));
        Self {
            at: rng.between(8_000, chaos_end),
            by: rng.between(100, MOST),
            away: if rng.percent(70) { away } else { 0 },
            stops: rng.percent(70).then_some(stops),
        }
    }
}

impl Journal {
    /// As it was `then`. What the ledger knows beside it stays.
    fn goes_back(&mut self, then: &Self) {
        let lost = std::mem::replace(self, then.clone());
        self.now = lost.now;
        self.given = lost.given;
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
    /// What the world has seen of it, and not the database.
    fn keep_what_was_seen(&mut self, of: Self) {
        self.claimed = of.claimed;
        self.guards = of.guards;
        self.lists = of.lists;
        self.words = of.words;
        self.approved = of.approved;
        self.version = of.version + 1;
        self.died = of.died;
        self.writes = of.writes;
        self.messages = of.messages;
        self.touched_before = of.touched.or(of.touched_before);
        self.ended = of.ended.filter(|_| self.life != Life::Open);
    }

    /// The recovery is in no database any more.
    fn forgotten(mut self) -> Self {
        self.life = Life::Closed;
        self.forgotten = true;
        self.status = NotificationStatus::Ignored;
        // No claim is of this one.
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

    /// The copy has seen everything up to now, and nothing after it.
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
            "the database fails over: what was committed since {} ms is lost",
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
        // On a service that others have disabled no mark shows whose `forced_down` it is.
        for (host, service) in self.nova.services.iter().enumerate() {
            let reason = service.reason.as_deref().unwrap_or_default();
            let is_marked = reason.contains("[tachi ") && !reason.contains("[tachi drain");
            if service.forced_down && !is_marked {
                self.told.unmarked.insert(host);
            }
        }
        // A report or an operator's word that is lost with it was made in vain: nobody has heard of it.
        let known = copy.now;
        self.said.forget_since(known);
        self.told.real.retain(|_, told| *told <= known);
        self.journal.goes_back(&copy);
        if away > 0 {
            self.failing_over = Some(self.now + away);
        }
    }
}
