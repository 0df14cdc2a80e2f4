//! Classification of errors: whether a retry may succeed, and when.

use sea_orm::sqlx::error::{DatabaseError, Error as SqlxError};
use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use crate::{mariadb, postgres, sqlite};

/// A class of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another transaction blocked this one: deadlock, lock timeout, serialization failure, or busy file. The server
    /// has rolled back, or will be told to.
    Contention,
    /// The connection or the server is lost, is shutting down, or accepts no writes any more.
    Lost,
    /// No connection was available in time.
    NoConnection,
    /// A retry will not help.
    Permanent,
}

/// True if the server denies a statement to our user.
pub(crate) fn is_denied(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let Some(error) = error.as_database_error() else {
        return false;
    };
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return mariadb::is_denied(error.number());
    }
    let of_postgres = error.try_downcast_ref::<PgDatabaseError>();
    of_postgres.is_some_and(|error| postgres::is_denied(error.code()))
}

impl FailureKind {
    /// Classifies an error.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other errors of the library concern a statement or a row, not the connection"
    )]
    pub(crate) fn of(error: &DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(_) => Self::NoConnection,
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => Self::of_sqlx(error),
            DbErr::Conn(RuntimeErr::Internal(_)) => Self::Lost,
            _ => Self::Permanent,
        }
    }

    /// Classifies an error below sea-orm.
    #[expect(clippy::wildcard_enum_match_arm, reason = "as above")]
    pub(crate) fn of_sqlx(error: &SqlxError) -> Self {
        match error {
            SqlxError::Io(_) | SqlxError::Protocol(_) | SqlxError::WorkerCrashed | SqlxError::BeginFailed => {
                Self::Lost
            }
            SqlxError::PoolTimedOut | SqlxError::PoolClosed => Self::NoConnection,
            SqlxError::Database(error) => Self::of_database(error.as_ref()),
            _ => Self::Permanent,
        }
    }

    fn of_database(error: &dyn DatabaseError) -> Self {
        if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
            return mariadb::failure_kind(error.number());
        }
        if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
            return postgres::failure_kind(error.code());
        }
        match error.code() {
            Some(code) if sqlite::is_busy(&code) => Self::Contention,
            Some(_) | None => Self::Permanent,
        }
    }
}
