//! Why a schema was not brought up to date.

use sea_orm_migration::sea_orm::DbErr;

/// A schema could not be brought up to date, or not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The database belongs to somebody else. Nothing was changed.
    #[error("refusing to touch this database: {reason}")]
    Unknown {
        /// What was found.
        reason: String,
    },
    /// The database was migrated by a later version of this program. Nothing was changed.
    #[error(
        "the database was migrated by a later version of this program, which also applied {}",
        versions.join(", ")
    )]
    Newer {
        /// The migrations this program does not know.
        versions: Vec<String>,
    },
    /// Another process held the lock for too long. Nothing was changed.
    #[error("another process has been migrating this database for {seconds} s")]
    Locked {
        /// How long it was waited for.
        seconds: u32,
    },
    /// The database failed.
    #[error("{operation}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What the database said.
        #[source]
        source: DbErr,
    },
}

impl SyncError {
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
        }
    }

    /// What the database said, if it was the database that failed.
    pub fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database { source, .. } => Some(source),
            Self::Unknown { .. } | Self::Newer { .. } | Self::Locked { .. } => None,
        }
    }
}

/// Adds to a failure of the database what was tried.
pub(crate) trait While<T> {
    fn while_(self, operation: &'static str) -> Result<T, SyncError>;
}

impl<T> While<T> for Result<T, DbErr> {
    fn while_(self, operation: &'static str) -> Result<T, SyncError> {
        self.map_err(|source| SyncError::Database { operation, source })
    }
}
