//! Checks right before each call that this engine may still act for a recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tachi_driver::{Intent, may_act};

use crate::ports::Clock;

/// The time at which the last committed renewal was sent, shared by a driver and its calls.
#[derive(Clone)]
pub(crate) struct ClaimGuard {
    clock: Arc<dyn Clock>,
    renewal_sent: Arc<AtomicU64>,
}

impl ClaimGuard {
    pub(crate) fn since(clock: Arc<dyn Clock>, sent: Duration) -> Self {
        let holding = Self {
            clock,
            renewal_sent: Arc::new(AtomicU64::new(0)),
        };
        holding.renewal_committed(sent);
        holding
    }

    /// Records that a renewal sent at `sent` has been committed.
    pub(crate) fn renewal_committed(&self, sent: Duration) {
        let millis = u64::try_from(sent.as_millis()).unwrap_or(u64::MAX);
        self.renewal_sent.store(millis, Ordering::Release);
    }

    /// True if an outside call may start now.
    pub(crate) fn may_act(&self, intent: Intent, is_write: bool) -> bool {
        let renewal_sent = Duration::from_millis(self.renewal_sent.load(Ordering::Acquire));
        may_act(self.clock.boot(), renewal_sent, intent, is_write)
    }
}
