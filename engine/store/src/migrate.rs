//! The update of the schema while other processes do the same: `tachi_migrations` takes the lock.
//!
//! A schema change may take longer than any other response, so this bypasses the limits of `Conn`.

mod facts;

use tachi_migrations::{Origin, Report, SyncError};

use crate::failure_kind::FailureKind;
use crate::{Store, StoreError};

/// Limit of attempts while other processes block the update.
const ATTEMPTS: u32 = 3;

/// The state of a database's schema, relative to this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// No migration is missing, and none is unknown.
    UpToDate,
    /// Migrations are pending.
    Older { pending: Vec<String> },
    /// A later version of the program has migrated it.
    Newer {
        /// The migrations that this program does not know.
        applied: Vec<String>,
    },
    /// The schema is Masakari's.
    Masakari,
    /// The database has no tables.
    Empty,
}

impl Store {
    /// Updates the schema, or adopts Masakari's. Several processes may try at the same time; the later ones find
    /// nothing to do.
    ///
    /// # Errors
    ///
    /// `Schema`; see [`SyncError`](crate::SyncError).
    pub async fn migrate(&self) -> Result<Report, StoreError> {
        let mut attempt = 1;
        loop {
            match tachi_migrations::sync(&self.db.writer().db).await {
                Err(error)
                    if attempt < ATTEMPTS
                        && error
                            .database()
                            .is_some_and(|error| FailureKind::of(error) == FailureKind::Contention) =>
                {
                    attempt += 1;
                }
                outcome => {
                    let report = outcome.map_err(StoreError::Schema)?;
                    let filled = facts::fill(self.db.writer()).await;
                    filled.map_err(|stop| stop.store("filling in columns that older versions left empty"))?;
                    return Ok(report);
                }
            }
        }
    }

    /// Detects the owner of the database: Masakari, Tachi, or none yet. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Schema`; see [`SyncError`](crate::SyncError).
    pub async fn origin(&self) -> Result<Origin, StoreError> {
        tachi_migrations::origin(self.db.reader())
            .await
            .map_err(StoreError::Schema)
    }

    /// Returns the state of the schema relative to this program. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Schema` for an unknown owner, `Database`.
    pub async fn schema_status(&self) -> Result<SchemaStatus, StoreError> {
        let origin = match tachi_migrations::origin(self.db.reader()).await {
            Err(SyncError::Newer { versions }) => return Ok(SchemaStatus::Newer { applied: versions }),
            origin => origin.map_err(StoreError::Schema)?,
        };
        match (origin.tachi, origin.masakari) {
            (Some(_), _) => {}
            (None, Some(_)) => return Ok(SchemaStatus::Masakari),
            (None, None) => return Ok(SchemaStatus::Empty),
        }
        let pending = self.pending().await?;
        Ok(if pending.is_empty() {
            SchemaStatus::UpToDate
        } else {
            SchemaStatus::Older { pending }
        })
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn a_schema_is_older_equal_or_newer_than_this_program() {
        let bench = Bench::new().await;
        let (store, db) = (&bench.store, &bench.store.db.writer().db);
        assert_eq!(store.schema_status().await.unwrap(), SchemaStatus::UpToDate);
        let version = store.version().await.unwrap().unwrap();
        let newer = "m20991231_0010_to_come";
        db.execute_unprepared(&format!(
            "INSERT INTO tachi_migrations (version, applied_at) VALUES ('{newer}', 1)"
        ))
        .await
        .unwrap();
        let applied = vec![newer.to_owned()];
        assert_eq!(
            store.schema_status().await.unwrap(),
            SchemaStatus::Newer { applied }
        );
        db.execute_unprepared(&format!(
            "DELETE FROM tachi_migrations WHERE version IN ('{newer}', '{version}')"
        ))
        .await
        .unwrap();
        let pending = vec![version];
        assert_eq!(
            store.schema_status().await.unwrap(),
            SchemaStatus::Older { pending }
        );
    }
}
