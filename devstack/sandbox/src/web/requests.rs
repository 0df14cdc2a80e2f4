//! Log of requests: counters per route, and a journal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Limit of the journal.
const MAX_REQUESTS: usize = 50_000;

/// One answered request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestEntry {
    /// Arrival: region time in seconds since the start of the region.
    pub at_seconds: f64,
    /// Region time of the answer, in seconds.
    pub until_seconds: f64,
    /// Method and route template, with the action of an action call: `POST /compute/v2.1/servers/{id}/action#evacuate`.
    pub route: String,
    /// Path and query as sent.
    pub target: String,
    /// The caller's global request id (`X-OpenStack-Request-ID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_request_id: Option<String>,
    /// Status of the answer; 0 without an answer.
    pub status: u16,
    /// The request's JSON body, for requests that change something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
}

#[derive(Debug, Default)]
struct Log {
    counts: BTreeMap<String, u64>,
    journal: VecDeque<RequestEntry>,
}

/// Counters and journal of all API requests except `/admin`.
#[derive(Debug, Default)]
pub struct RequestLog {
    log: Mutex<Log>,
}

impl RequestLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, entry: RequestEntry) {
        let mut log = self.lock();
        *log.counts.entry(entry.route.clone()).or_default() += 1;
        if log.journal.len() == MAX_REQUESTS {
            log.journal.pop_front();
        }
        log.journal.push_back(entry);
    }

    /// Returns the number of requests per route.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().counts.clone()
    }

    /// Returns the number of requests on routes that contain `part`.
    pub fn count(&self, part: &str) -> u64 {
        self.lock()
            .counts
            .iter()
            .filter(|(route, _)| route.contains(part))
            .map(|(_, count)| count)
            .sum()
    }

    /// Returns the maximum of concurrent requests on routes that contain `part`, among those in the journal.
    pub fn most_at_once(&self, part: &str) -> usize {
        let log = self.lock();
        let entries = || log.journal.iter().filter(|entry| entry.route.contains(part));
        let in_flight = |at: f64| {
            entries()
                .filter(|other| other.at_seconds <= at && at < other.until_seconds)
                .count()
        };
        entries()
            .map(|entry| in_flight(entry.at_seconds))
            .max()
            .unwrap_or(0)
    }

    /// Returns the last requests, in the order of their answers.
    pub fn journal(&self) -> Vec<RequestEntry> {
        self.lock().journal.iter().cloned().collect()
    }

    /// Clears the log.
    pub fn clear(&self) {
        *self.lock() = Log::default();
    }
}
