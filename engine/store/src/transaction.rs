//! The only way to write: one transaction per [`Transaction`].
//!
//! On `SQLite` a transaction begins IMMEDIATE: it takes the write lock before it reads. A deferred one takes the lock
//! with its first write, and fails at once if another one has written since its first read. All writes of a process use
//! one connection and so queue in order; between processes, `SQLite`'s busy timeout waits.
//!
//! On a server a transaction reads committed rows, statement by statement. Transactions that must exclude each other
//! take a lock, see [`crate::lock`].

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    DatabaseTransaction, DbErr, IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::conn::Conn;
use crate::database::Database;
use crate::error::{Failure, Stop};
use crate::server::Lane;

/// Limit of attempts while other transactions block this one, or the connection is lost before the commit.
const ATTEMPTS: u32 = 5;

/// The minimum pause before the second attempt. It doubles with each attempt, and a random part of up to the same
/// length is added, so that two transactions that collided do not collide again.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(5);

/// Time after which there is no further attempt, because the caller has been waiting for long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type Tx = Conn<DatabaseTransaction>;

/// The decision on a transaction.
#[derive(Debug)]
pub(crate) enum TxOutcome<T> {
    /// Commit, then return the result.
    Keep(T),
    /// Roll back, then return the result.
    Undo(T),
}

/// A change. It may be run several times; only the last run can be committed.
#[async_trait]
pub(crate) trait Transaction: Sync {
    type Output: Send;

    /// Reads and writes, but neither commits nor rolls back.
    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Self::Output>, Stop>;
}

impl Database {
    /// Runs a change in one transaction.
    ///
    /// # Errors
    ///
    /// No change has been written, unless the commit itself failed; then it may have been.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back, unless the commit has been sent; then it may or may not have been written.
    pub(crate) async fn write<W: Transaction>(&self, work: &W) -> Result<W::Output, Stop> {
        self.write_in(Lane::Registry, work).await
    }

    /// Runs a change on the journal's connection.
    pub(crate) async fn write_journal<W: Transaction>(&self, work: &W) -> Result<W::Output, Stop> {
        self.write_in(Lane::Journal, work).await
    }

    async fn write_in<W: Transaction>(&self, lane: Lane, work: &W) -> Result<W::Output, Stop> {
        let began = Instant::now();
        let mut attempt = 1;
        loop {
            match self.attempt(lane, work).await {
                Err(Stop::Failed(failure))
                    if attempt < ATTEMPTS && failure.may_be_repeated() && began.elapsed() < RETRY_TIMEOUT =>
                {
                    tracing::debug!(attempt, error = %failure, "transaction failed; retrying");
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<W: Transaction>(&self, lane: Lane, work: &W) -> Result<W::Output, Stop> {
        let tx = self.begin(lane, immediate()).await?;
        match work.run(&tx).await {
            Ok(TxOutcome::Keep(output)) => {
                commit(tx).await?;
                Ok(output)
            }
            Ok(TxOutcome::Undo(output)) => {
                roll_back(tx).await;
                Ok(output)
            }
            Err(stop) => {
                roll_back(tx).await;
                Err(stop)
            }
        }
    }

    /// Begins a transaction that several changes share. The caller commits or rolls it back, and no part of it is
    /// repeated.
    pub(crate) async fn begin_journal(&self) -> Result<Tx, DbErr> {
        self.begin(Lane::Journal, immediate()).await
    }

    async fn begin(&self, lane: Lane, options: TransactionOptions) -> Result<Tx, DbErr> {
        let pool = self.lane(lane);
        let tx = pool.answer(pool.db.begin_with_options(options)).await?;
        Ok(pool.with(tx))
    }

    /// Begins a snapshot for reads on the journal's connection. All commits on that connection are visible, and every
    /// statement sees the same state.
    pub(crate) async fn snapshot(&self) -> Result<Tx, DbErr> {
        let mut options = TransactionOptions::default();
        if self.is_sqlite() {
            options.sqlite_transaction_mode = Some(SqliteTransactionMode::Deferred);
        } else {
            // It is not declared read-only, because a proxy that splits reads sends such a transaction to a replica
            // that may lag behind.
            options.isolation_level = Some(IsolationLevel::RepeatableRead);
        }
        self.begin(Lane::Journal, options).await
    }
}

/// Commits. An error from here on does not mean that nothing was written.
pub(crate) async fn commit(tx: Tx) -> Result<(), Failure> {
    let conn = tx.with(());
    conn.answer(tx.db.commit()).await.map_err(Failure::Commit)
}

/// Rolls a transaction back. If even that fails, the connection is lost, or is rolled back before its next use.
pub(crate) async fn roll_back(tx: Tx) {
    let conn = tx.with(());
    if let Err(error) = conn.answer(tx.db.rollback()).await {
        tracing::debug!(%error, "failed to roll back a transaction");
    }
}

/// Returns the options of a transaction that begins IMMEDIATE on `SQLite`. On servers the session settings decide.
fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Returns the pause after an attempt.
fn pause(attempt: u32) -> Duration {
    let shortest = MIN_RETRY_DELAY * 2_u32.saturating_pow(attempt - 1);
    let chance = u32::from(Uuid::new_v4().as_bytes()[0]);
    shortest + shortest * chance / 255
}

#[cfg(test)]
mod tests;
