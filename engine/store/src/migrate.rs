//! Bringing the schema up to date while other processes do the same: `tachi_migrations` takes the lock.
//!
//! Changing a schema may take longer than any answer should, so this goes around the limits of `Conn`.

use tachi_migrations::{Origin, Report};

use crate::trouble::Trouble;
use crate::{Store, StoreError};

/// How often it is tried when others are in the way.
const ATTEMPTS: u32 = 3;

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
            match tachi_migrations::sync(&self.writer().db).await {
                Err(error)
                    if attempt < ATTEMPTS
                        && error
                            .database()
                            .is_some_and(|error| Trouble::of(error) == Trouble::InTheWay) =>
                {
                    attempt += 1;
                }
                outcome => return outcome.map_err(StoreError::Schema),
            }
        }
    }

    /// What the database is: Masakari's, ours, or still empty. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Schema`; see [`SyncError`](crate::SyncError).
    pub async fn origin(&self) -> Result<Origin, StoreError> {
        tachi_migrations::origin(self.reader())
            .await
            .map_err(StoreError::Schema)
    }
}
