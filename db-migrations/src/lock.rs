//! A lock that excludes other processes while the schema changes.
//!
//! | database | lock | atomicity |
//! |---|---|---|
//! | `SQLite` | BEGIN IMMEDIATE | everything: all or nothing |
//! | `PostgreSQL` | an advisory lock of the transaction | everything: all or nothing |
//! | `MariaDB` | `GET_LOCK` on the connection | none: each schema change commits by itself, so each checks first |
//!
//! In a Galera cluster only one node knows a `GET_LOCK`. Two nodes that migrate at once can conflict; then the second
//! one retries, and finds less to do.

use sea_orm_migration::sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};

use crate::error::{ErrorContext as _, SyncError};
use crate::statement::number;

/// Time to wait for another process, in seconds. Adopting a large database takes minutes.
const WAIT_SECONDS: u32 = 900;

/// An arbitrary number that no other advisory lock uses: "tachimig" in ASCII.
const ADVISORY: i64 = 0x7461_6368_696d_6967;

/// The lock's name. It has to differ between databases, and is limited to 64 characters.
const NAME: &str = "CONCAT('tachi ', MD5(DATABASE()))";

/// The lock and the connection that holds it.
pub(crate) struct Lock {
    tx: DatabaseTransaction,
}

impl Lock {
    /// Waits for the lock.
    pub(crate) async fn take(db: &DatabaseConnection) -> Result<Self, SyncError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = db
            .begin_with_options(options)
            .await
            .during("starting the migration")?;
        let taken = match tx.get_database_backend() {
            // Waits for this lock even if the session's timeout for other locks is short.
            DbBackend::Postgres => tx
                .execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({ADVISORY})"
                ))
                .await
                .map(|_| true),
            DbBackend::MySql => {
                // NULL means an error, and is read as 0.
                let sql = format!("SELECT CAST(COALESCE(GET_LOCK({NAME}, {WAIT_SECONDS}), 0) AS SIGNED)");
                let got = number(&tx, &sql).await;
                // Ends the snapshot from before the wait. From here on every statement is a separate transaction.
                tx.execute_unprepared("COMMIT").await.and(got).map(|got| got == 1)
            }
            DbBackend::Sqlite | _ => Ok(true),
        };
        if taken.during("waiting for the lock")? {
            Ok(Self { tx })
        } else {
            Err(SyncError::Locked {
                seconds: WAIT_SECONDS,
            })
        }
    }

    /// Returns the connection that holds the lock.
    pub(crate) fn connection(&self) -> &DatabaseTransaction {
        &self.tx
    }

    /// Commits the changes and releases the lock.
    pub(crate) async fn keep(self) -> Result<(), DbErr> {
        let released = self.release().await;
        self.tx.commit().await?;
        released
    }

    /// Rolls back as far as the database can, and releases the lock.
    pub(crate) async fn give_up(self) {
        let released = self.release().await;
        if let Err(error) = released.and(self.tx.rollback().await) {
            tracing::warn!(%error, "failed to end a failed migration");
        }
    }

    /// Releases `MariaDB`'s lock, which outlives the transaction.
    async fn release(&self) -> Result<(), DbErr> {
        if self.tx.get_database_backend() == DbBackend::MySql {
            number(
                &self.tx,
                &format!("SELECT CAST(COALESCE(RELEASE_LOCK({NAME}), 0) AS SIGNED)"),
            )
            .await?;
        }
        Ok(())
    }
}
