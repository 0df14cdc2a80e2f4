//! The removal of old rows: rows that were deleted long ago, and notifications that finished long ago with all their
//! dependent rows.
//!
//! Rows that a recovery works on, watches or holds are never removed, nor those of an instance that was given up and that
//! nobody has acknowledged. Each batch is a separate transaction that checks
//! again before it removes. So a purge may be interrupted, repeated, and run next to an engine.

mod batch;

use tachi_domain::Timestamp;
use tracing::instrument;

use self::batch::{Batch, Kind};
use crate::error::Stop;
use crate::{Store, StoreError};

/// The rows to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeOptions {
    /// The time before which rows were deleted or finished.
    pub before: Timestamp,
    /// Limit of segments, hosts and notifications together. Their dependent rows are removed with them.
    pub max_rows: Option<u64>,
    /// True to count the rows without removing them.
    pub dry_run: bool,
}

impl PurgeOptions {
    /// Selects all rows that were deleted or finished before this time.
    pub fn before(before: Timestamp) -> Self {
        Self {
            before,
            max_rows: None,
            dry_run: false,
        }
    }
}

/// The number of rows of each table that were removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeCounts {
    rows: [u64; TABLES.len()],
}

const TABLES: [&str; 11] = [
    "notifications",
    "vmoves",
    "hosts",
    "failover_segments",
    "recovery",
    "recovery_step",
    "recovery_move",
    "recovery_proof",
    "host_reservation",
    "host_state",
    "tachi_refusal",
];

impl PurgeCounts {
    /// Returns each table with its number of rows, Masakari's tables first.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        TABLES.into_iter().zip(self.rows)
    }

    /// Returns the number of rows of one table; 0 if there is no such table.
    pub fn of(&self, table: &str) -> u64 {
        self.tables()
            .find(|(name, _)| *name == table)
            .map_or(0, |(_, rows)| rows)
    }

    pub fn total(&self) -> u64 {
        self.rows.iter().sum()
    }

    fn add(&mut self, table: &str, rows: u64) {
        if let Some(place) = TABLES.iter().position(|name| *name == table) {
            self.rows[place] += rows;
        }
    }

    fn join(&mut self, other: &Self) {
        for (place, rows) in self.rows.iter_mut().zip(other.rows) {
            *place += rows;
        }
    }
}

/// Limit of notifications, hosts or segments per transaction. A notification may have thousands of dependent rows.
const BATCH: u64 = 100;

/// Limit of rows without dependent rows per transaction.
const SMALL_BATCH: u64 = 500;

impl Store {
    /// Removes old rows, and reports the progress after each batch.
    ///
    /// # Errors
    ///
    /// `Database`. The batches reported before the error are done.
    #[instrument(name = "store::purge", level = "debug", skip_all)]
    pub async fn purge(
        &self,
        options: &PurgeOptions,
        mut progress: impl FnMut(&PurgeCounts) + Send,
    ) -> Result<PurgeCounts, StoreError> {
        let mut purged = PurgeCounts::default();
        let mut left = options.max_rows;
        for kind in Kind::ALL {
            self.purge_kind(kind, options, &mut left, &mut purged, &mut progress)
                .await
                .map_err(|stop| stop.store("purging old rows"))?;
        }
        Ok(purged)
    }

    async fn purge_kind(
        &self,
        kind: Kind,
        options: &PurgeOptions,
        left: &mut Option<u64>,
        purged: &mut PurgeCounts,
        progress: &mut (impl FnMut(&PurgeCounts) + Send),
    ) -> Result<(), Stop> {
        let mut after = 0;
        loop {
            let whole = if kind.is_counted() { BATCH } else { SMALL_BATCH };
            let limit = match left {
                Some(left) if kind.is_counted() => whole.min(*left),
                _ => whole,
            };
            if limit == 0 {
                return Ok(());
            }
            let batch = Batch {
                kind,
                before: options.before,
                dry_run: options.dry_run,
                after,
                limit,
            };
            let done = self.db.write(&batch).await?;
            purged.join(&done.purged);
            if let Some(left) = left.as_mut().filter(|_| kind.is_counted()) {
                *left = left.saturating_sub(done.found);
            }
            if done.found > 0 {
                progress(purged);
            }
            let Some(last) = done.last else { return Ok(()) };
            after = last;
        }
    }
}

#[cfg(test)]
mod tests;
