//! Renews the leases of all recoveries of an engine, batching the renewals that are pending into one transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::ports::journal::{LeaseRenewal, WriteOutcome};
use crate::ports::{Clock, Journal, JournalError};

/// Limit of renewals in one transaction. A failure affects all of them.
const MAX_BATCH: usize = 64;

/// Batch size above which more renewals are expected soon, so that waiting for them saves transactions.
const GATHER_THRESHOLD: usize = 8;

/// Time to gather a batch.
const GATHER_TIME: Duration = Duration::from_millis(40);

/// The result of a renewal, and when it was sent.
pub(crate) struct RenewalResult {
    pub(crate) sent: Duration,
    pub(crate) outcome: Result<WriteOutcome, JournalError>,
}

struct Order {
    beat: LeaseRenewal,
    answer: oneshot::Sender<RenewalResult>,
}

/// A handle for drivers.
#[derive(Clone)]
pub(crate) struct LeaseRenewer {
    orders: mpsc::Sender<Order>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
}

impl LeaseRenewer {
    /// Returns the handle and the task to run beside the drivers until every handle is dropped.
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (orders, inbox) = mpsc::channel(1_024);
        let work = run(journal.clone(), clock.clone(), inbox);
        let renewals = Self {
            orders,
            journal,
            clock,
        };
        (renewals, work)
    }

    /// Renews one lease.
    pub(crate) async fn beat(&self, beat: LeaseRenewal) -> RenewalResult {
        let (answer, answered) = oneshot::channel();
        let order = Order {
            beat: beat.clone(),
            answer,
        };
        if self.orders.send(order).await.is_ok()
            && let Ok(renewed) = answered.await
        {
            return renewed;
        }
        // The task has already stopped: renew the lease directly.
        let sent = self.clock.boot();
        let outcome = self.journal.beat(&beat.claim, beat.elapsed).await;
        RenewalResult { sent, outcome }
    }
}

async fn run(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, mut inbox: mpsc::Receiver<Order>) {
    let mut together = 0;
    while let Some(first) = inbox.recv().await {
        if together >= GATHER_THRESHOLD || inbox.len() >= GATHER_THRESHOLD {
            tokio::time::sleep(GATHER_TIME).await;
        }
        let mut orders = vec![first];
        while orders.len() < MAX_BATCH
            && let Ok(more) = inbox.try_recv()
        {
            orders.push(more);
        }
        together = orders.len();
        let beats: Vec<LeaseRenewal> = orders.iter().map(|order| order.beat.clone()).collect();
        let sent = clock.boot();
        let mut outcomes = journal.renew_all(&beats).await.into_iter();
        for order in orders {
            let Some(outcome) = outcomes.next() else { break };
            // A driver that has ended needs no answer.
            let _ = order.answer.send(RenewalResult { sent, outcome });
        }
    }
}
