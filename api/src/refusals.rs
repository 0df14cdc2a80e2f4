//! Counts of refused reports, and their storage in the database.
//!
//! Refusals are counted in memory, so that a single refusal costs no write and a flood costs at most one write per second. The
//! number of rows is bounded, even for invented names. If the process dies, the counts of the last second are lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::refusal::RefusalReason;
use tachi_domain::{Reporter, Timestamp};
use tachi_engine::ports::refusals::{MAX_NAME_CHARS, RETENTION, RefusalCount, SLOT_LENGTH};
use tachi_engine::ports::{Clock, RefusalLog, Refusals, RegistryError};
use uuid::Uuid;

/// Interval of writes. Refusals within it are written together.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum retry interval while the database refuses writes. The interval doubles with each failure.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of rows per ten minutes that have a host and a reporter of their own.
const MAX_ROWS: usize = 500;

/// Maximum number of these rows for one reporter, so that no reporter uses up the rows of others.
const MAX_ROWS_PER_REPORTER: usize = 200;

/// Maximum number of ten-minute slots that wait while the database does not answer.
const MAX_SLOTS: usize = 12;

/// A counter of refused reports. Clones share the same counts.
#[derive(Clone)]
pub struct RefusalCounter {
    log: Arc<dyn RefusalLog>,
    clock: Arc<dyn Clock>,
    writer: Uuid,
    state: Arc<Mutex<State>>,
    /// Serializes writes, so that no older count replaces a newer one.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    /// The slots of ten minutes, newest last.
    slots: VecDeque<Slot>,
    /// True if a writer task is running.
    busy: bool,
    /// The slot in which old rows were deleted last.
    pruned: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    kind: NotificationType,
    reporter: String,
    reason: RefusalReason,
}

struct Slot {
    start: Timestamp,
    rows: HashMap<Key, Row>,
    of_reporter: HashMap<String, usize>,
}

struct Row {
    number: u32,
    times: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    /// True if the row has unwritten changes.
    new: bool,
}

impl Slot {
    fn of(start: Timestamp) -> Self {
        Self {
            start,
            rows: HashMap::new(),
            of_reporter: HashMap::new(),
        }
    }

    /// Returns the row for a key: its own, or else one shared by its reporter, or else one shared by all others.
    fn row_key(&self, mut key: Key) -> Key {
        let is_there = |key: &Key| self.rows.contains_key(key);
        let of_one = self.of_reporter.get(&key.reporter).copied().unwrap_or(0);
        if !is_there(&key) && (self.rows.len() >= MAX_ROWS || of_one >= MAX_ROWS_PER_REPORTER) {
            key.host.clear();
        }
        if !is_there(&key) && self.rows.len() >= MAX_ROWS {
            key.reporter.clear();
        }
        key
    }

    fn count(&mut self, key: Key, at: Timestamp) {
        let key = self.row_key(key);
        let Ok(number) = u32::try_from(self.rows.len()) else {
            return;
        };
        if !self.rows.contains_key(&key) {
            *self.of_reporter.entry(key.reporter.clone()).or_default() += 1;
        }
        let row = self.rows.entry(key).or_insert(Row {
            number,
            times: 0,
            first_at: at,
            last_at: at,
            new: true,
        });
        row.times = row.times.saturating_add(1);
        row.last_at = row.last_at.max(at);
        row.new = true;
    }

    fn is_written(&self) -> bool {
        self.rows.values().all(|row| !row.new)
    }
}

impl RefusalCounter {
    /// Creates a counter that writes to `log`.
    pub fn new(log: Arc<dyn RefusalLog>, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            writer: Uuid::new_v4(),
            state: Arc::default(),
            writing: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No operation under the lock can leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refused report and schedules a write.
    pub(crate) fn count(&self, new: &NewNotification, reporter: &Reporter, reason: RefusalReason) {
        let at = self.clock.wall();
        let start = slot_start(at);
        let key = Key {
            host: name(&new.hostname),
            kind: new.kind,
            reporter: name(&reporter.to_string()),
            reason,
        };
        let mut state = self.state();
        if !state.slots.iter().any(|slot| slot.start == start) {
            state.slots.retain(|slot| !slot.is_written());
            if state.slots.len() >= MAX_SLOTS {
                state.slots.pop_front();
            }
            state.slots.push_back(Slot::of(start));
        }
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.start == start) {
            slot.count(key, at);
        }
        if !std::mem::replace(&mut state.busy, true) {
            let counter = self.clone();
            tokio::spawn(async move { counter.write().await });
        }
    }

    /// Writes until all rows are written.
    async fn write(&self) {
        let mut pause = WRITE_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let written = self.flush().await;
            if let Err(error) = &written
                && pause == WRITE_INTERVAL
            {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "failed to count refused reports; keeping them in memory and retrying (if the API has a database \
                     user of its own: `tachi db grants`)"
                );
            }
            pause = match written {
                Ok(()) => WRITE_INTERVAL,
                Err(_) => (pause * 2).min(MAX_RETRY_INTERVAL),
            };
            let mut state = self.state();
            state.busy = !state.slots.iter().all(Slot::is_written);
            if !state.busy {
                return;
            }
        }
    }

    /// Writes all unwritten counts. A process also calls this on shutdown.
    ///
    /// # Errors
    ///
    /// The database failed. Nothing is lost: the next call retries.
    pub async fn flush(&self) -> Result<(), tachi_engine::ports::JournalError> {
        let _one = self.writing.lock().await;
        let rows = self.take_unwritten();
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.log.write_refusals(&rows).await;
        if written.is_err() {
            let unwritten: HashSet<_> = rows.iter().map(|row| (row.slot, row.number)).collect();
            for slot in &mut self.state().slots {
                for row in slot.rows.values_mut() {
                    row.new |= unwritten.contains(&(slot.start, row.number));
                }
            }
            return written;
        }
        let slot = slot_start(self.clock.wall());
        if self.state().pruned.replace(slot) != Some(slot) {
            let seconds = i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX);
            self.log.forget_refusals(slot.minus_seconds(seconds)).await?;
        }
        Ok(())
    }

    /// Returns the unwritten rows and marks them as written.
    fn take_unwritten(&self) -> Vec<Refusals> {
        let mut rows = Vec::new();
        for slot in &mut self.state().slots {
            for (key, row) in slot.rows.iter_mut().filter(|(_, row)| row.new) {
                row.new = false;
                rows.push(Refusals {
                    slot: slot.start,
                    writer: self.writer,
                    number: row.number,
                    host: key.host.clone(),
                    count: RefusalCount {
                        kind: key.kind,
                        reporter: key.reporter.clone(),
                        reason: key.reason,
                        times: row.times,
                        first_at: row.first_at,
                        last_at: row.last_at,
                    },
                });
            }
        }
        rows
    }
}

/// Returns the reason for which the registry refused a report.
pub(crate) fn reason(error: &RegistryError) -> RefusalReason {
    if matches!(error, RegistryError::Duplicate) {
        RefusalReason::Duplicate
    } else if matches!(error, RegistryError::OnMaintenance { .. }) {
        RefusalReason::OnMaintenance
    } else if matches!(error, RegistryError::UnknownHostName { .. }) {
        RefusalReason::UnknownHost
    } else {
        RefusalReason::Failed
    }
}

/// Returns the start of the ten-minute slot of a time.
fn slot_start(at: Timestamp) -> Timestamp {
    let slot = i64::try_from(SLOT_LENGTH.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(slot))
}

/// Shortens a name so that it fits the column on every database.
fn name(text: &str) -> String {
    let clean = text.chars().map(|one| if one.is_control() { ' ' } else { one });
    clean.take(MAX_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests;
