//! One pace for all recoveries of an engine (see [`tachi_domain::pace`]).
//!
//! Every driver has a [`RateSlot`]. After each decision, and before any of it is executed, the driver reports its
//! recovery's demand. A channel tells it what it may start and how often to poll. The windows adapt to the results of
//! the calls and of the polls.

mod division;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::pace::{
    Aimd, Bounds, Demand, EvacuationProgress, LookResult, Model, NovaFeedback, Permits,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::watcher::Moves;
use division::{Inner, Member};

/// Limits on the pace of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceOptions {
    /// Limit on evacuations in flight.
    pub in_flight: Bounds,
    /// Limit on evacuations in flight that no destination has started.
    pub queued: Bounds,
    /// Limit on other concurrent calls about instances. Every recovery may always make one.
    pub calls: Bounds,
    /// Target queue in front of Nova, in time: at most a quarter of the longest queue that Nova may ever have.
    pub take_up_patience: Duration,
    /// Time that Nova may take to answer a call before the engine sends it fewer.
    pub call_patience: Duration,
    /// Interval between a recovery's polls, as long as nothing is known.
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

/// The rate controller shared by the drivers of an engine.
#[derive(Clone)]
pub(crate) struct RateController {
    begun: Instant,
    inner: Arc<Mutex<Inner>>,
}

impl RateController {
    pub(crate) fn new(options: &PaceOptions) -> Self {
        let inner = Inner {
            in_flight: Aimd::new(options.in_flight, options.call_patience),
            queued: Model::new(options.queued, options.take_up_patience),
            calls: Aimd::new(options.calls, options.call_patience),
            tick: options.tick,
            full: false,
            members: BTreeMap::new(),
            many: false,
            is_reported: false,
        };
        Self {
            begun: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Registers a recovery until the seat is dropped.
    pub(crate) fn join(&self, id: RecoveryId) -> RateSlot {
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
        RateSlot {
            governor: self.clone(),
            id,
            given,
        }
    }

    /// Records the result of a call about an instance.
    pub(crate) fn feedback(&self, evacuation: bool, echo: NovaFeedback) {
        let now = self.now();
        let mut inner = self.lock();
        let before = inner.windows();
        inner.calls.observe(echo, true, now);
        if evacuation {
            // An answered call shows little: Nova answers before it starts the evacuation. Growth is left to
            // evacuations that destinations have started.
            inner.in_flight.observe(echo, false, now);
            match echo {
                NovaFeedback::Answered(_) => {}
                NovaFeedback::PushedBack(_) | NovaFeedback::Failed => inner.queued.refused(now),
            }
        }
        if inner.windows() != before {
            inner.divide(now);
        }
    }

    /// Returns for how long nothing new may be started, if Nova has pushed back.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        let now = self.now();
        let until = self.lock().quiet_until();
        (until > now).then(|| until.saturating_sub(now))
    }

    /// Divides the windows again after Nova's pause.
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
        // A poisoned lock is harmless: the content is numbers that are continually recomputed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moves for RateController {
    fn are_under_way(&self) -> bool {
        self.lock().sum(|demand| demand.in_flight) > 0
    }
}

/// A recovery's registration with the rate controller.
pub(crate) struct RateSlot {
    governor: RateController,
    id: RecoveryId,
    given: watch::Receiver<Permits>,
}

impl RateSlot {
    /// Reports what the recovery could use, and what it has seen since.
    pub(crate) fn update(&self, demand: Demand, sight: &EvacuationProgress) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        let (waiting, full) = (inner.queued_now(), inner.full);
        for _ in &sight.taken {
            // However long the rebuild takes, a destination had capacity for one more.
            inner
                .in_flight
                .observe(NovaFeedback::Answered(Duration::ZERO), full, now);
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

    /// Waits until the permits change.
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

    /// Returns what may be started now.
    pub(crate) fn permits(&mut self) -> Permits {
        *self.given.borrow_and_update()
    }

    /// True if lists are read for many recoveries together.
    pub(crate) fn lists_are_shared(&self) -> bool {
        self.governor.lock().many
    }

    pub(crate) fn governor(&self) -> &RateController {
        &self.governor
    }
}

impl Drop for RateSlot {
    fn drop(&mut self) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        inner.members.remove(&self.id);
        inner.divide(now);
    }
}

#[cfg(test)]
mod tests;
