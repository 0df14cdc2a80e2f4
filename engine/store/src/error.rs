//! What can go wrong with a database.

use std::path::PathBuf;

use sea_orm::{DbErr, SqlErr};
use tachi_engine::ports::{JournalError, RegistryError};

use crate::trouble::{Trouble, is_denied};

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL is not one of a database that is supported.
    #[error("database URL {url}: {reason}")]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is on a file system that several machines may share, where `SQLite`'s locks do not hold.
    #[error("database {} is on a network file system ({kind}); SQLite needs a local one", path.display())]
    NetworkFileSystem {
        /// The file.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The file cannot be made or opened.
    #[error("preparing database file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server cannot be used: not reached, not let in, or not fit.
    #[error("connecting to {server}")]
    Server {
        /// Which, without user and password: `MariaDB at db.example:3306, database tachi`.
        server: String,
        /// What came of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema is not what it should be.
    #[error("bringing the schema up to date")]
    Schema(#[source] tachi_migrations::SyncError),
    /// The database failed.
    #[error("{operation}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a statement, or what it read, is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Db(#[from] DbErr),
    #[error("committing; it may or may not have been written")]
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
    /// What kind of trouble it is.
    pub(crate) fn trouble(&self) -> Trouble {
        match self {
            Self::Db(error) | Self::Commit(error) => Trouble::of(error),
            Self::Corrupt { .. }
            | Self::Range { .. }
            | Self::SortKey { .. }
            | Self::Stale { .. }
            | Self::Dangling { .. } => Trouble::Lasting,
        }
    }

    /// Whether the server denies it to our user.
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

    /// Whether nothing was written for certain, and the same may go through when it is tried again. A commit without an
    /// answer may have gone through; one that was refused because of another transaction has not.
    pub(crate) fn may_be_repeated(&self) -> bool {
        match self {
            Self::Db(_) => matches!(self.trouble(), Trouble::InTheWay | Trouble::Lost),
            Self::Commit(_) => self.trouble() == Trouble::InTheWay,
            Self::Corrupt { .. }
            | Self::Range { .. }
            | Self::SortKey { .. }
            | Self::Stale { .. }
            | Self::Dangling { .. } => false,
        }
    }
}

/// Why a transaction was not committed, or a question not answered.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The database failed.
    Failed(Failure),
    /// The request cannot be done.
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
    /// In the registry's words.
    pub(crate) fn registry(self, operation: &'static str) -> RegistryError {
        match self {
            Self::Failed(failure) if failure.trouble() == Trouble::Lasting => RegistryError::Database {
                operation,
                source: Box::new(failure),
            },
            Self::Failed(failure) => RegistryError::Unavailable {
                operation,
                source: Box::new(failure),
            },
            Self::Refused(error) => error,
        }
    }

    /// In the journal's words, which knows no refusals.
    pub(crate) fn journal(self, operation: &'static str) -> JournalError {
        match self {
            Self::Failed(failure) => {
                let denied = failure.is_denied();
                JournalError::new(operation, failure).denied(denied)
            }
            Self::Refused(error) => JournalError::new(operation, error),
        }
    }

    /// In the store's own words.
    pub(crate) fn store(self, operation: &'static str) -> StoreError {
        let source: Box<dyn std::error::Error + Send + Sync> = match self {
            Self::Failed(failure) => Box::new(failure),
            Self::Refused(error) => Box::new(error),
        };
        StoreError::Database { operation, source }
    }
}

/// Whether a unique constraint refused a row.
pub(crate) fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
