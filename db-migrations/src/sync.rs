//! The update of a database's schema, from any earlier state.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr, MigratorTrait as _};
use sea_orm_migration::sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm_migration::sea_orm::{DatabaseConnection, RuntimeErr};

use crate::error::{ErrorContext as _, SyncError};
use crate::fill::{FilledCounts, fill, stamp};
use crate::lock::Lock;
use crate::origin::{Origin, origin};
use crate::statement::number;
use crate::{Migrator, pending};

/// Limit of attempts while a node of the same cluster migrates concurrently.
const ATTEMPTS: u32 = 3;

/// The findings and changes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The state of the database before.
    pub origin: Origin,
    pub applied: Vec<String>,
    /// The numbers of filled-in values.
    pub filled: FilledCounts,
    /// The contents of the database now.
    pub row_counts: RowCounts,
}

impl Report {
    /// True if this run adopted a database of Masakari.
    pub fn taken_over(&self) -> bool {
        self.origin.masakari.is_some() && self.origin.tachi.is_none()
    }
}

/// The numbers of rows in Masakari's tables, including deleted ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowCounts {
    pub segments: i64,
    pub hosts: i64,
    pub notifications: i64,
    pub vmoves: i64,
}

/// Creates the schema, adopts Masakari's, or applies missing migrations. Any number of processes may run it
/// concurrently; later ones find nothing to do. Completes the work of a crashed run.
///
/// # Errors
///
/// `Unknown`, `Newer` and `Locked`: nothing was changed. `Database`: on `SQLite` and `PostgreSQL` nothing was
/// changed; on `MariaDB` the next call continues from there.
///
/// # Cancel safety
///
/// The same as for `Database`.
pub async fn sync(db: &DatabaseConnection) -> Result<Report, SyncError> {
    let mut attempt = 1;
    loop {
        match once(db).await {
            Err(error) if attempt < ATTEMPTS && error.database().is_some_and(overtaken) => {
                tracing::debug!(attempt, %error, "another cluster node migrated first; checking again");
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn once(db: &DatabaseConnection) -> Result<Report, SyncError> {
    let lock = Lock::take(db).await?;
    let done = {
        let tx = lock.connection();
        async {
            let origin = origin(tx).await?;
            let applied = pending(tx).await.during("reading the pending migrations")?;
            // If no migration is pending, no object is created, so that a user who may not change the schema can start.
            if !applied.is_empty() {
                let done = Migrator::up(tx, None).await;
                done.map_err(|source| SyncError::migrating(source, &applied))?;
            }
            let filled = fill(tx).await.during("filling in missing values")?;
            stamp(tx).await.during("recording Masakari's revision")?;
            let row_counts = row_counts(tx).await.during("counting rows")?;
            Ok(Report {
                origin,
                applied,
                filled,
                row_counts,
            })
        }
        .await
    };
    match done {
        Ok(report) => {
            lock.keep().await.during("committing the migration")?;
            Ok(report)
        }
        Err(error) => {
            lock.give_up().await;
            Err(error)
        }
    }
}

async fn row_counts(db: &impl ConnectionTrait) -> Result<RowCounts, DbErr> {
    Ok(RowCounts {
        segments: number(db, "SELECT COUNT(*) FROM failover_segments").await?,
        hosts: number(db, "SELECT COUNT(*) FROM hosts").await?,
        notifications: number(db, "SELECT COUNT(*) FROM notifications").await?,
        vmoves: number(db, "SELECT COUNT(*) FROM vmoves").await?,
    })
}

/// True if, on `MariaDB`, another process has just created the same table, column or index, or recorded the migration.
fn overtaken(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
        .is_some_and(|error| matches!(error.number(), 1050 | 1060 | 1061 | 1062))
}
