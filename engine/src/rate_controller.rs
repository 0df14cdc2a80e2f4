//! Limits the pace of all recoveries of an engine together (see [`tachi_domain::pace`]).
//!
//! Every driver has a [`RateSlot`]. After each decision, and before executing it, the driver reports its recovery's
//! demand. It receives its permits and poll interval through a channel. The windows adapt to the results of calls and
//! polls.

mod division;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::pace::{
    Aimd, Bounds, Demand, EvacuationProgress, Model, NovaFeedback, Permits, PollResult,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::watcher::Moves;
use division::{Member, SharedWindows};

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
    /// Interval between a recovery's polls until there are measurements.
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
    inner: Arc<Mutex<SharedWindows>>,
}

impl RateController {
    pub(crate) fn new(options: &PaceOptions) -> Self {
        let inner = SharedWindows {
            in_flight: Aimd::new(options.in_flight, options.call_patience),
            queued: Model::new(options.queued, options.take_up_patience),
            calls: Aimd::new(options.calls, options.call_patience),
            tick: options.tick,
            full: false,
            members: BTreeMap::new(),
            are_lists_shared: false,
            is_reported: false,
        };
        Self {
            begun: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Registers a recovery until the slot is dropped.
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
            rate_controller: self.clone(),
            id,
            given,
        }
    }

    /// Records the result of a call about an instance.
    pub(crate) fn feedback(&self, evacuation: bool, feedback: NovaFeedback) {
        let now = self.now();
        let mut inner = self.lock();
        let before = inner.windows();
        inner.calls.observe(feedback, true, now);
        if evacuation {
            // Nova answers before it starts the evacuation, so an answer does not widen the window. Evacuations that
            // destinations have started do.
            inner.in_flight.observe(feedback, false, now);
            match feedback {
                NovaFeedback::Answered(_) => {}
                NovaFeedback::PushedBack(_) | NovaFeedback::Failed => inner.queued.refused(now),
            }
        }
        if inner.windows() != before {
            inner.divide(now);
        }
    }

    /// Returns the time during which nothing new may be started, if Nova has pushed back.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        let now = self.now();
        let until = self.lock().quiet_until();
        (until > now).then(|| until.saturating_sub(now))
    }

    /// Divides the windows again when a requested pause has ended.
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

    fn lock(&self) -> MutexGuard<'_, SharedWindows> {
        // A poisoned lock is harmless: its numbers are continually recomputed.
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
    rate_controller: RateController,
    id: RecoveryId,
    given: watch::Receiver<Permits>,
}

impl RateSlot {
    /// Reports the recovery's demand, and the progress of its evacuations since the previous report.
    pub(crate) fn update(&self, demand: Demand, progress: &EvacuationProgress) {
        let now = self.rate_controller.now();
        let mut inner = self.rate_controller.lock();
        let (waiting, full) = (inner.queued_now(), inner.full);
        for _ in &progress.taken {
            // The destination has started one more, independent of the duration of the rebuild.
            inner
                .in_flight
                .observe(NovaFeedback::Answered(Duration::ZERO), full, now);
        }
        let Some(member) = inner.members.get(&self.id) else {
            return;
        };
        let polled = progress.polled && member.demand.queued > 0;
        if member.demand == demand && !polled {
            return;
        }
        if polled {
            let poll = PollResult {
                taken: &progress.taken,
                is_queue_empty: demand.queued == 0,
                busy: waiting,
                full,
                pause: inner.pause(),
            };
            inner.queued.polled(poll, now);
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
            // The controller lives as long as this slot; without it, the permits never change.
            std::future::pending::<()>().await;
        }
        *self.given.borrow_and_update()
    }

    pub(crate) fn permits(&mut self) -> Permits {
        *self.given.borrow_and_update()
    }

    /// True if lists are read for many recoveries together.
    pub(crate) fn lists_are_shared(&self) -> bool {
        self.rate_controller.lock().are_lists_shared
    }

    pub(crate) fn rate_controller(&self) -> &RateController {
        &self.rate_controller
    }
}

impl Drop for RateSlot {
    fn drop(&mut self) {
        let now = self.rate_controller.now();
        let mut inner = self.rate_controller.lock();
        inner.members.remove(&self.id);
        inner.divide(now);
    }
}

#[cfg(test)]
mod tests;
