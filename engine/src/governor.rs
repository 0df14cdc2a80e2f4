//! One pace for all recoveries of an engine (see [`tachi_domain::pace`]).
//!
//! Every driver has a [`Seat`]. After each decision it tells what its recovery could do with, before anything of the decision
//! is carried out, and is told through a channel what it may begin and how often it is worth its while to look. The windows move
//! by what the calls come to and by what the looks show.

mod division;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::pace::{Aimd, Bounds, Demand, Echo, LookResult, Model, Permits, Sight};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::watcher::Moves;
use division::{Inner, Member};

/// How fast an engine may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceOptions {
    /// Evacuations under way at once.
    pub in_flight: Bounds,
    /// Those of them that no destination has taken up yet.
    pub queued: Bounds,
    /// Other calls about instances at once; every recovery may make one in any case.
    pub calls: Bounds,
    /// So much of a queue, in time, at most a quarter of what Nova may ever have in front of it.
    pub take_up_patience: Duration,
    /// Nova may take so long to answer a call before it is asked for fewer.
    pub call_patience: Duration,
    /// Between two looks of a recovery, where nothing is known yet.
    pub tick: Duration,
}

impl Default for PaceOptions {
    fn default() -> Self {
        let bounds = |min, start, max| Bounds { min, start, max };
        Self {
            in_flight: bounds(8, 64, 1_000),
            queued: bounds(2, 4, 256),
            calls: bounds(4, 8, 64),
            take_up_patience: Duration::from_secs(2),
            call_patience: Duration::from_secs(1),
            tick: Duration::from_millis(500),
        }
    }
}

/// Shared by the drivers of an engine.
#[derive(Clone)]
pub(crate) struct Governor {
    begun: Instant,
    inner: Arc<Mutex<Inner>>,
}

impl Governor {
    pub(crate) fn new(options: &PaceOptions) -> Self {
        let inner = Inner {
            in_flight: Aimd::new(options.in_flight, options.call_patience),
            queued: Model::new(options.queued, options.take_up_patience),
            calls: Aimd::new(options.calls, options.call_patience),
            tick: options.tick,
            full: false,
            members: BTreeMap::new(),
            many: false,
            told: false,
        };
        Self {
            begun: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// A place for one recovery, until it is dropped.
    pub(crate) fn join(&self, id: RecoveryId) -> Seat {
        let now = self.now();
        let mut inner = self.lock();
        let (permits, given) = watch::channel(Permits {
            evacuations: 0,
            calls: 1,
            pause: inner.tick,
        });
        inner.members.insert(
            id,
            Member {
                demand: Demand::default(),
                waits_since: now,
                permits,
            },
        );
        inner.divide(now);
        drop(inner);
        Seat {
            governor: self.clone(),
            id,
            given,
        }
    }

    /// What came of a call about an instance.
    pub(crate) fn heard(&self, evacuation: bool, echo: Echo) {
        let now = self.now();
        let mut inner = self.lock();
        let before = inner.windows();
        inner.calls.hear(echo, true, now);
        if evacuation {
            // That the call was answered says little: Nova answers before it begins. Growth is left to what is taken up.
            inner.in_flight.hear(echo, false, now);
            match echo {
                Echo::Answered(_) => {}
                Echo::PushedBack(_) | Echo::Failed => inner.queued.refused(now),
            }
        }
        if inner.windows() != before {
            inner.divide(now);
        }
    }

    /// How long nothing new is to be begun yet, if so.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        let now = self.now();
        let until = self.lock().quiet_until();
        (until > now).then(|| until.saturating_sub(now))
    }

    /// The quiet time is over.
    pub(crate) fn resume(&self) {
        let now = self.now();
        self.lock().divide(now);
    }

    #[cfg(test)]
    pub(crate) fn windows(&self) -> division::Windows {
        self.lock().windows()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way; what is inside are numbers that are made anew all the time.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moves for Governor {
    fn are_under_way(&self) -> bool {
        self.lock().sum(|demand| demand.in_flight) > 0
    }
}

/// A recovery's place.
pub(crate) struct Seat {
    governor: Governor,
    id: RecoveryId,
    given: watch::Receiver<Permits>,
}

impl Seat {
    /// Tells what the recovery could do with, and what it has seen since.
    pub(crate) fn tell(&self, demand: Demand, sight: &Sight) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        let (waiting, full) = (inner.queued_now(), inner.full);
        for _ in &sight.taken {
            // Whatever the rebuild takes, a destination had room for one more.
            inner.in_flight.hear(Echo::Answered(Duration::ZERO), full, now);
        }
        let Some(member) = inner.members.get(&self.id) else {
            return;
        };
        let looked = sight.looked && member.demand.queued > 0;
        if member.demand == demand && !looked {
            return;
        }
        if looked {
            let seen = LookResult {
                taken: &sight.taken,
                dry: demand.queued == 0,
                busy: waiting,
                full,
                pause: inner.pause(),
            };
            inner.queued.looked(seen, now);
        }
        inner.put(self.id, demand, now);
        if waiting == 0 && inner.queued_now() > 0 {
            inner.queued.begun(now);
        }
        inner.divide(now);
    }

    /// Waits until something else may be begun than before.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point.
    pub(crate) async fn changed(&mut self) -> Permits {
        if self.given.changed().await.is_err() {
            // The governor lives as long as this seat; without it nothing would ever change.
            std::future::pending::<()>().await;
        }
        *self.given.borrow_and_update()
    }

    /// What may be begun.
    pub(crate) fn permits(&mut self) -> Permits {
        *self.given.borrow_and_update()
    }

    /// Whether lists are read for many recoveries together.
    pub(crate) fn lists_are_shared(&self) -> bool {
        self.governor.lock().many
    }

    pub(crate) fn governor(&self) -> &Governor {
        &self.governor
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        inner.members.remove(&self.id);
        inner.divide(now);
    }
}

#[cfg(test)]
mod tests;
