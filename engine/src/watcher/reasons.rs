//! The queries for the reasons why instances do not run.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::fault::FaultClass;
use tachi_domain::nova::StopReason;
use tachi_domain::{ServerId, Timestamp};
use tokio::time::sleep;

use super::{WatchTurn, Watcher};

/// Minimum interval between queries for the reason why an instance is not running.
const REASON_INTERVAL: Duration = Duration::from_millis(200);

/// Pause of the queries for stop reasons after a failed one, or if all instances were queried.
const REASON_PAUSE: Duration = Duration::from_secs(8);

/// Time between two queries after which a change in the second of the first one cannot be missing from the last one.
const SETTLED_MICROS: i64 = 5_000_000;

/// The queries for the stop reason of each instance since the last change that Nova's timestamp shows.
#[derive(Default)]
pub(super) struct ReasonQueries(BTreeMap<ServerId, QueryState>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum QueryState {
    /// The time of the first query. A change in the same second may have come later.
    Since(Timestamp),
    /// A query after that second had the same result.
    Settled,
}

impl ReasonQueries {
    /// True if no further query can show anything else, before Nova's timestamp changes.
    pub(super) fn is_settled(&self, id: ServerId) -> bool {
        self.0.get(&id) == Some(&QueryState::Settled)
    }

    /// Records a query at `now`. `is_same`: Nova has shown the same reason as before, for the same timestamp.
    pub(super) fn note(&mut self, id: ServerId, is_same: bool, now: Timestamp) {
        let queried = match self.0.get(&id).filter(|_| is_same) {
            Some(QueryState::Since(first)) if now.micros_since(*first) < SETTLED_MICROS => {
                QueryState::Since(*first)
            }
            Some(_) => QueryState::Settled,
            None => QueryState::Since(now),
        };
        self.0.insert(id, queried);
    }

    /// Drops the instances for which `is_known` is false.
    pub(super) fn retain(&mut self, is_known: impl Fn(ServerId) -> bool) {
        self.0.retain(|id, _| is_known(*id));
    }
}

impl Watcher {
    /// Queries the stop reason of one instance after the other, without end. May be dropped at any time: a query without
    /// an answer is repeated.
    pub(super) async fn query_reasons(&mut self) {
        loop {
            let paused = self.reasons_due_at.saturating_sub(self.sources.clock.boot());
            sleep(paused.max(REASON_INTERVAL)).await;
            if matches!(self.turn, WatchTurn::Ours(_)) && !self.sources.moves.are_under_way() {
                self.query_reason().await;
            }
        }
    }

    /// Queries the reason why one instance is not running. Returns true if Nova answered.
    pub(super) async fn query_reason(&mut self) -> bool {
        let (boot, now) = (self.sources.clock.boot(), self.sources.clock.wall());
        if boot < self.reasons_due_at {
            return false;
        }
        let next = self.roster.next_unexplained(now).or_else(|| {
            self.reasons_due_at = boot.saturating_add(REASON_PAUSE);
            self.roster.next_recheck()
        });
        let Some(server) = next else {
            return false;
        };
        let (why, is_read) = match self.sources.inventory.orders(server).await {
            Ok(Some(orders)) => (self.roster.judge(server, &orders), true),
            // The instance was deleted; the next list omits it.
            Ok(None) => (StopReason::Unasked, false),
            // A repeated query would be refused too.
            Err(error) if matches!(error.fault.class, FaultClass::Permanent | FaultClass::Fatal) => {
                tracing::debug!(%error, "Nova refused to show why an instance does not run");
                (self.roster.judge(server, &[]), false)
            }
            Err(error) => {
                tracing::debug!(%error, "failed to read why an instance does not run");
                self.reasons_due_at = boot.saturating_add(REASON_PAUSE);
                return false;
            }
        };
        self.roster.judged(server, why, is_read, now);
        true
    }
}
