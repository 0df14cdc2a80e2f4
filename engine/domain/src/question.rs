//! A request to another service: the time it was sent, the earliest time to repeat it, and the age of the last answer. Not
//! stored: a new owner starts without it.

use std::time::Duration;

use crate::elapsed::Elapsed;

/// Maximum age of the copy of its database that Nova's API may read. A reading requested within this time after a change may show the
/// state before that change.
pub(crate) const MAX_READ_LAG: Duration = Duration::from_secs(30);

/// Minimum time between Nova's first answer that it does not know an instance and the answer that counts: a copy of its database that
/// lags behind gives that answer too.
pub(crate) const NOT_FOUND_CONFIRM_DELAY: Duration = Duration::from_secs(5);

/// Data read from Nova, with the time of the request: the data is at least as recent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NovaReading<T> {
    pub(crate) at: Elapsed,
    pub(crate) what: T,
}

/// A request of which at most one is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Question {
    sent: Option<Elapsed>,
    /// The time at which the request for the current answer was sent.
    pub(crate) observed: Option<Elapsed>,
    /// The earliest time of the next request.
    pub(crate) not_before: Elapsed,
    failures: u32,
    /// The time of the request for the first answer in a row that there is no such object.
    gone_since: Option<Elapsed>,
}

impl Question {
    /// Returns the time of the request in flight, if there is one.
    pub(crate) fn sent(&self) -> Option<Elapsed> {
        self.sent
    }

    /// Marks the request as sent, unless one is in flight or it is too early. Returns true if it is to be sent now.
    pub(crate) fn send(&mut self, now: Elapsed) -> bool {
        let sends = self.sent.is_none() && now >= self.not_before;
        if sends {
            self.sent = Some(now);
        }
        sends
    }

    /// Marks the request as sent, even if one is in flight.
    pub(crate) fn send_at_once(&mut self, now: Elapsed) {
        self.sent = Some(now);
    }

    /// Records an answer of any kind, and returns the time of its request.
    pub(crate) fn answered(&mut self) -> Option<Elapsed> {
        self.sent.take()
    }

    /// Records that the request did not leave this engine.
    pub(crate) fn not_sent(&mut self) {
        self.sent = None;
    }

    /// Records a failure: the request is repeated after a delay that grows with each failure in a row.
    pub(crate) fn failed(&mut self, now: Elapsed) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus(backoff(self.failures - 1));
    }

    /// Records an answer, requested at `requested_at`, that there is no such object. Returns true if it counts.
    pub(crate) fn note_gone(&mut self, requested_at: Elapsed, now: Elapsed) -> bool {
        let first = *self.gone_since.get_or_insert(requested_at);
        self.not_before = first.plus(NOT_FOUND_CONFIRM_DELAY).max(now);
        requested_at.since(first) >= NOT_FOUND_CONFIRM_DELAY
    }

    /// Records that the object exists.
    pub(crate) fn found(&mut self) {
        self.gone_since = None;
    }

    /// Ends the row of failures.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns the number of failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the time since the request for the current answer.
    pub(crate) fn age(&self, now: Elapsed) -> Option<Duration> {
        self.observed.map(|at| now.since(at))
    }
}

/// Returns the delay after a number of failures in a row: 1, 2, 4 ... at most 30 seconds.
pub(crate) fn backoff(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.min(5)).min(30))
}
