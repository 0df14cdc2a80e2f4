//! Errors of a database.

use std::path::PathBuf;

use sea_orm::{DbErr, SqlErr};
use tachi_engine::ports::{JournalError, RegistryError};

use crate::failure_kind::{FailureKind, is_denied};

/// An error that makes the database unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL is not that of a supported database.
    #[error("database URL {url}: {reason}")]
    Url {
        /// The URL, without its password.
        url: String,
        reason: &'static str,
    },
    /// The file is on a file system that several machines may share, where `SQLite`'s locks do not work.
    #[error("database {} is on a network file system ({kind}); SQLite needs a local one", path.display())]
    NetworkFileSystem {
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The file cannot be created or opened.
    #[error("preparing database file {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The server cannot be used: it is unreachable, refuses the login, or is not suitable.
    #[error("connecting to {server}")]
    Server {
        /// The server without user and password: `MariaDB at db.example:3306, database tachi`.
        server: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema cannot be updated.
    #[error("bringing the schema up to date")]
    Schema(#[source] tachi_migrations::SyncError),
    /// The database failed.
    #[error("{operation}")]
    Database {
        /// The attempted operation.
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The reason why a statement failed, or why its result cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Db(#[from] DbErr),
    #[error("committing, which may or may not have taken effect")]
    Commit(#[source] DbErr),
    #[error("{table} {row}: {column} holds {value:?}")]
    Corrupt {
        table: &'static str,
        row: String,
        column: &'static str,
        value: String,
    },
    #[error("{what} {value} is out of range")]
    Range { what: &'static str, value: String },
    #[error("no column {name} to sort by")]
    SortKey { name: String },
    #[error("the database does not show the claim of recovery {row} that it has just committed")]
    Stale { row: String },
    #[error("{table} has no row {row}, which another row refers to")]
    Dangling { table: &'static str, row: String },
}

impl Failure {
    /// Classifies the failure.
    pub(crate) fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Db(error) | Self::Commit(error) => FailureKind::of(error),
            Self::Corrupt { .. }
            | Self::Range { .. }
            | Self::SortKey { .. }
            | Self::Stale { .. }
            | Self::Dangling { .. } => FailureKind::Permanent,
        }
    }

    /// True if the server denies the statement to our user.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::Db(error) => is_denied(error),
            Self::Commit(_)
            | Self::Corrupt { .. }
            | Self::Range { .. }
            | Self::SortKey { .. }
            | Self::Stale { .. }
            | Self::Dangling { .. } => false,
        }
    }

    /// True if certainly nothing was written and a retry may succeed. A commit without a response may have succeeded;
    /// one that was refused because of another transaction has not.
    pub(crate) fn may_be_repeated(&self) -> bool {
        match self {
            Self::Db(_) => matches!(self.failure_kind(), FailureKind::Contention | FailureKind::Lost),
            Self::Commit(_) => self.failure_kind() == FailureKind::Contention,
            Self::Corrupt { .. }
            | Self::Range { .. }
            | Self::SortKey { .. }
            | Self::Stale { .. }
            | Self::Dangling { .. } => false,
        }
    }
}

/// The reason why a transaction was not committed, or a query not answered.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The database failed.
    Failed(Failure),
    /// The request is refused.
    Refused(RegistryError),
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Failed(Failure::Db(error))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Refused(error)
    }
}

impl Stop {
    /// Converts the error to the registry's type.
    pub(crate) fn registry(self, operation: &'static str) -> RegistryError {
        match self {
            Self::Failed(failure) if failure.failure_kind() == FailureKind::Permanent => {
                RegistryError::Database {
                    operation,
                    source: Box::new(failure),
                }
            }
            Self::Failed(failure) => RegistryError::Unavailable {
                operation,
                source: Box::new(failure),
            },
            Self::Refused(error) => error,
        }
    }

    /// Converts the error to the journal's type, which has no refusals.
    pub(crate) fn journal(self, operation: &'static str) -> JournalError {
        match self {
            Self::Failed(failure) => {
                let denied = failure.is_denied();
                JournalError::new(operation, failure).denied(denied)
            }
            Self::Refused(error) => JournalError::new(operation, error),
        }
    }

    /// Converts the error to the store's type.
    pub(crate) fn store(self, operation: &'static str) -> StoreError {
        let source: Box<dyn std::error::Error + Send + Sync> = match self {
            Self::Failed(failure) => Box::new(failure),
            Self::Refused(error) => Box::new(error),
        };
        StoreError::Database { operation, source }
    }
}

/// True if a unique constraint refused a row.
pub(crate) fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
