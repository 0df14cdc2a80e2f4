//! Errors in updating a schema.

use sea_orm_migration::sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm_migration::sea_orm::{DbErr, RuntimeErr};

/// An error in updating or reading a schema.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The database belongs to another application. Nothing was changed.
    #[error("refusing to change this database: {reason}")]
    Unknown { reason: String },
    /// The database was migrated by a later version of this program. Nothing was changed.
    #[error(
        "the database was migrated by a later version of this program, which also applied {}",
        versions.join(", ")
    )]
    Newer {
        /// The migrations that this program does not know.
        versions: Vec<String>,
    },
    /// Another process held the lock until the timeout. Nothing was changed.
    #[error("another process has been migrating this database for {seconds} s")]
    Locked {
        /// The timeout in seconds.
        seconds: u32,
    },
    /// The schema is older than this program, and this user may not change it. Nothing was changed.
    #[error(
        "this database user may not update the schema; run `tachi db sync` as the schema's owner, which applies {}, \
         then `tachi db grants`",
        pending.join(", ")
    )]
    Forbidden {
        /// The migrations to apply.
        pending: Vec<String>,
        #[source]
        source: DbErr,
    },
    /// The database failed.
    #[error("{operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: DbErr,
    },
}

impl SyncError {
    /// Creates the error for a failed migration.
    pub(crate) fn migrating(source: DbErr, pending: &[String]) -> Self {
        if is_forbidden(&source) {
            let pending = pending.to_vec();
            return Self::Forbidden { pending, source };
        }
        Self::Database {
            operation: "migrating the schema",
            source,
        }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
        }
    }

    /// Returns the database's error, if the database failed.
    pub fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database { source, .. } | Self::Forbidden { source, .. } => Some(source),
            Self::Unknown { .. } | Self::Newer { .. } | Self::Locked { .. } => None,
        }
    }
}

/// True if the database refused a statement because a privilege is missing.
fn is_forbidden(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // The MariaDB errors are about a database, a command and a column; PostgreSQL's is insufficient_privilege.
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => matches!(error.number(), 1044 | 1142 | 1143),
        None => error.code().is_some_and(|code| code == "42501"),
    }
}

/// Adds the attempted operation to a database error.
pub(crate) trait ErrorContext<T> {
    fn during(self, operation: &'static str) -> Result<T, SyncError>;
}

impl<T> ErrorContext<T> for Result<T, DbErr> {
    fn during(self, operation: &'static str) -> Result<T, SyncError> {
        self.map_err(|source| SyncError::Database { operation, source })
    }
}
