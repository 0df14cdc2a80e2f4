//! Bringing the schema up to date while other processes do the same: `tachi_migrations` takes the lock.
//!
//! Changing a schema may take longer than any answer should, so this goes around the limits of `Conn`.

mod facts;

use tachi_migrations::{Origin, Report, SyncError};

use crate::trouble::Trouble;
use crate::{Store, StoreError};

/// How often it is tried when others are in the way.
const ATTEMPTS: u32 = 3;

/// How a database stands to this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Nothing is missing and nothing is unknown.
    UpToDate,
    /// Migrations are to come.
    Older {
        /// Their names.
        pending: Vec<String>,
    },
    /// A later program has migrated it.
    Newer {
        /// The migrations that are not known here.
        applied: Vec<String>,
    },
    /// It is Masakari's.
    Masakari,
    /// It has no tables.
    Empty,
}

impl Store {
    /// Brings the schema up to date, or takes over Masakari's. Several processes may try at the same time; those who come
    /// later find nothing to do.
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
                            .is_some_and(|error| Trouble::of(error) == Trouble::InTheWay) =>
                {
                    attempt += 1;
                }
                outcome => {
                    let report = outcome.map_err(StoreError::Schema)?;
                    let filled = facts::fill(self.db.writer()).await;
                    filled.map_err(|stop| stop.store("filling in what older versions have left"))?;
                    return Ok(report);
                }
            }
        }
    }

    /// What the database is: Masakari's, ours, or still empty. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Schema`; see [`SyncError`](crate::SyncError).
    pub async fn origin(&self) -> Result<Origin, StoreError> {
        tachi_migrations::origin(self.db.reader())
            .await
            .map_err(StoreError::Schema)
    }

    /// How it stands to this program. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Schema` if it is nobody's we know, `Database`.
    pub async fn stands(&self) -> Result<Stands, StoreError> {
        let origin = match tachi_migrations::origin(self.db.reader()).await {
            Err(SyncError::Newer { versions }) => return Ok(Stands::Newer { applied: versions }),
            origin => origin.map_err(StoreError::Schema)?,
        };
        match (origin.tachi, origin.masakari) {
            (Some(_), _) => {}
            (None, Some(_)) => return Ok(Stands::Masakari),
            (None, None) => return Ok(Stands::Empty),
        }
        let pending = self.pending().await?;
        Ok(if pending.is_empty() {
            Stands::UpToDate
        } else {
            Stands::Older { pending }
        })
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait as _;

    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn a_database_says_how_it_stands_to_this_program() {
        let bench = Bench::new().await;
        let (store, db) = (&bench.store, &bench.store.db.writer().db);
        assert_eq!(store.stands().await.unwrap(), Stands::UpToDate);
        let version = store.version().await.unwrap().unwrap();
        let newer = "m20991231_0010_to_come";
        db.execute_unprepared(&format!(
            "INSERT INTO tachi_migrations (version, applied_at) VALUES ('{newer}', 1)"
        ))
        .await
        .unwrap();
        let applied = vec![newer.to_owned()];
        assert_eq!(store.stands().await.unwrap(), Stands::Newer { applied });
        db.execute_unprepared(&format!(
            "DELETE FROM tachi_migrations WHERE version IN ('{newer}', '{version}')"
        ))
        .await
        .unwrap();
        let pending = vec![version];
        assert_eq!(store.stands().await.unwrap(), Stands::Older { pending });
    }
}
