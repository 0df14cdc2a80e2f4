//! Engines that journal a power-off and are stopped before the call. When the engine continues, the host is
//! frozen, or more hosts are down than one failure explains: it must decide again.

use tachi_contract::Target;

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::rng::Rng;
use crate::world::{Event, HOSTS, Owner, World, note};

#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    millis: u64,
    freezes: Option<u64>,
    /// Number of further failing hosts, and their delay in ms.
    fail: Vec<(usize, u64)>,
}

impl Unsent {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let long = rng.percent(60);
        let millis = if long {
            rng.between(10_000, 150_000)
        } else {
            rng.between(600, 10_000)
        };
        let frozen = rng.between(0, 2_000);
        let fail = (0..=rng.below(2))
            .map(|_| (1 + rng.below(HOSTS - 1), rng.between(0, millis)))
            .collect();
        let (freezes, storms) = match rng.between(0, 2) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        Self {
            millis,
            freezes: freezes.then_some(frozen),
            fail: if storms { fail } else { Vec::new() },
        }
    }
}

impl World {
    /// Stops the engine once its order is durable. Returns the duration in ms.
    pub(crate) fn stops_before_order(&mut self, owner: Owner) -> Option<u64> {
        let unsent = self.weather.faults.unsent.take()?;
        let (engine, host) = (owner.engine, self.journal.recs[owner.rec].host);
        note!(
            self,
            "engine {engine} is stopped for {} ms before it can order host {host} off",
            unsent.millis
        );
        self.mishap(Mishap::OrderUnsent);
        let it = &mut self.engines[engine];
        it.paused_until = it.paused_until.max(self.now + unsent.millis);
        if let Some(after) = unsent.freezes {
            self.after(after, Event::Freezes { rec: owner.rec });
        }
        for (other, after) in unsent.fail {
            if other != host {
                self.after(after, Event::Fail { host: other });
                self.after(after + 2_000, Event::Notify { host: other });
            }
        }
        Some(unsent.millis)
    }

    /// Freezes the host of a recovery for a minute.
    pub(crate) fn freezes_host_of(&mut self, rec: RecIx) {
        let host = self.journal.recs[rec].host;
        note!(self, "operator freezes host {host} for a minute");
        self.mishap(Mishap::Frozen);
        self.journal
            .freezes
            .freeze(Target::Host(host), 1, false, self.now);
    }
}
