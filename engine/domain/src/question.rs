//! What is asked of the outside and awaited: when it was sent, when it may be sent again, and how old the last answer is. Nothing of
//! it survives a take-over, and nothing of it has to.

use std::time::Duration;

use crate::elapsed::Elapsed;

/// One question, of which one at most is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Question {
    sent: Option<Elapsed>,
    /// When the one was sent whose answer counts.
    pub(crate) seen: Option<Elapsed>,
    /// No earlier than this.
    pub(crate) not_before: Elapsed,
    failures: u32,
}

impl Question {
    /// Since when its answer is awaited, if it is.
    pub(crate) fn sent(&self) -> Option<Elapsed> {
        self.sent
    }

    /// Sends it unless its answer is awaited or it is too early: whether it is to be sent now.
    pub(crate) fn send(&mut self, now: Elapsed) -> bool {
        let sends = self.sent.is_none() && now >= self.not_before;
        if sends {
            self.sent = Some(now);
        }
        sends
    }

    /// Sends it whatever is awaited.
    pub(crate) fn send_at_once(&mut self, now: Elapsed) {
        self.sent = Some(now);
    }

    /// An answer is here, of whatever kind: when it was asked for.
    pub(crate) fn answered(&mut self) -> Option<Elapsed> {
        self.sent.take()
    }

    /// It has not left this engine.
    pub(crate) fn not_sent(&mut self) {
        self.sent = None;
    }

    /// The answer was a failure: it is asked again later, and later with each failure in a row.
    pub(crate) fn failed(&mut self, now: Elapsed) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus(backoff(self.failures - 1));
    }

    /// The row of failures is over.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long ago the answer that counts was asked for.
    pub(crate) fn age(&self, now: Elapsed) -> Option<Duration> {
        self.seen.map(|seen| now.since(seen))
    }
}

/// Waits longer with each failure in a row: 1, 2, 4 ... at most 30 seconds.
pub(crate) fn backoff(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.min(5)).min(30))
}
