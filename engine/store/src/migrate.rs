//! Bringing the schema up to date while other processes do the same.
//!
//! * `SQLite`: all migrations in one write transaction, which keeps others out.
//! * `PostgreSQL`: all in one transaction that holds an advisory lock to its end.
//! * `MariaDB`: a named lock, as its changes of the schema commit themselves. What a process leaves half done when it dies
//!   is finished by the next one: every step of a migration looks first whether it is done.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait as _};
use sea_orm_migration::MigratorTrait as _;

use crate::error::Stop;
use crate::work::{Tx, Verdict, Work};
use crate::{Store, StoreError};

/// The number that stands for our migrations among a database's advisory locks: `tachi` in ASCII.
const POSTGRES_LOCK: i64 = 0x74_61_63_68_69;

/// How long to wait for another process that is migrating on `MariaDB`.
const MARIADB_WAIT_SECONDS: i64 = 3600;

impl Store {
    /// Brings the schema up to date. Several processes may try at the same time: one does it, and those who come later
    /// find nothing to do.
    ///
    /// # Errors
    ///
    /// `Database`. Then nothing was changed, or, on `MariaDB`, not all; the next try goes on.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let db = &self.writer().db;
        let migrated = match self.writer().get_database_backend() {
            DbBackend::Postgres => postgres(db).await.map_err(Stop::from),
            DbBackend::MySql => mariadb(db).await.map_err(Stop::from),
            DbBackend::Sqlite | _ => self.write(&Migrate).await,
        };
        migrated.map_err(|stop| stop.store("migrating the database"))
    }
}

struct Migrate;

#[async_trait]
impl Work for Migrate {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
        tachi_migrations::Migrator::up(&tx.db, None).await?;
        Ok(Verdict::Keep(()))
    }
}

// Changing a schema may take longer than any answer should: these two go around the limits of `Conn`.

#[expect(
    clippy::disallowed_methods,
    reason = "a migration is not a `Work`: it may take its time"
)]
async fn postgres(db: &DatabaseConnection) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    // A session waits no longer than it was told for any lock; this one is worth the wait.
    tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
    let lock = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [POSTGRES_LOCK.into()],
    );
    tx.execute_raw(lock).await?;
    tachi_migrations::Migrator::up(&tx, None).await?;
    tx.commit().await
}

/// The transaction is there to stay on one connection, the one that holds the lock.
#[expect(
    clippy::disallowed_methods,
    reason = "a migration is not a `Work`: it may take its time"
)]
async fn mariadb(db: &DatabaseConnection) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    let named = |sql: &str| Statement::from_string(DbBackend::MySql, sql);
    let got = tx
        .query_one_raw(named(&format!(
            "SELECT GET_LOCK(CONCAT('tachi.', MD5(DATABASE())), {MARIADB_WAIT_SECONDS})"
        )))
        .await?;
    let got = match got {
        Some(row) => row.try_get_by_index::<Option<i64>>(0)?,
        None => None,
    };
    if got != Some(1) {
        return Err(DbErr::Migration("another process is still migrating".to_owned()));
    }
    // Ends the snapshot that was made when the lock was asked for.
    tx.execute_unprepared("COMMIT").await?;
    let migrated = tachi_migrations::Migrator::up(&tx, None).await;
    let freed = tx
        .execute_unprepared("DO RELEASE_LOCK(CONCAT('tachi.', MD5(DATABASE())))")
        .await;
    tx.commit().await?;
    migrated?;
    freed.map(|_| ())
}
