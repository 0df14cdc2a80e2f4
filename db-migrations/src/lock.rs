//! Keeping other processes out while the schema changes.
//!
//! | database | lock | what it holds together |
//! |---|---|---|
//! | `SQLite` | BEGIN IMMEDIATE | everything: all or nothing |
//! | `PostgreSQL` | an advisory lock of the transaction | everything: all or nothing |
//! | `MariaDB` | `GET_LOCK` on the connection | nothing: each change of the schema commits by itself, so each looks first |
//!
//! `GET_LOCK` is known to one node of a Galera cluster only. Two nodes that migrate at once can be in each other's way;
//! then the second tries again, and finds less to do.

use sea_orm_migration::sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};

use crate::error::{SyncError, While as _};
use crate::statement::number;

/// Time to wait for another process. Adopting a large database takes minutes.
const WAIT_SECONDS: u32 = 900;

/// An arbitrary number that no other advisory lock uses: "tachimig" in ASCII.
const ADVISORY: i64 = 0x7461_6368_696d_6967;

/// The name has to differ from database to database, and may have 64 characters.
const NAME: &str = "CONCAT('tachi ', MD5(DATABASE()))";

/// The lock, and the connection that holds it.
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
            .while_("beginning the migration")?;
        let taken = match tx.get_database_backend() {
            // This lock is worth a wait, however short a session's patience with others is.
            DbBackend::Postgres => tx
                .execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({ADVISORY})"
                ))
                .await
                .map(|_| true),
            DbBackend::MySql => {
                // NULL, which is an error, reads as 0.
                let sql = format!("SELECT CAST(COALESCE(GET_LOCK({NAME}, {WAIT_SECONDS}), 0) AS SIGNED)");
                let got = number(&tx, &sql).await;
                // Ends the snapshot from before the wait. From here on every statement is a transaction of its own.
                tx.execute_unprepared("COMMIT").await.and(got).map(|got| got == 1)
            }
            DbBackend::Sqlite | _ => Ok(true),
        };
        if taken.while_("waiting for the lock")? {
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

    /// Keeps what was done, and lets the next one in.
    pub(crate) async fn keep(self) -> Result<(), DbErr> {
        let released = self.release().await;
        self.tx.commit().await?;
        released
    }

    /// Gives up what can be given up, and lets the next one in.
    pub(crate) async fn give_up(self) {
        let released = self.release().await;
        if let Err(error) = released.and(self.tx.rollback().await) {
            tracing::warn!(%error, "failed to end a failed migration");
        }
    }

    /// The lock of `MariaDB` outlives the transaction.
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
