//! The parts that only `SQLite` needs: connection options, the form of times, and the errors that justify a retry.

use std::path::Path;
use std::time::Duration;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectOptions, Statement};

/// The text format of `DATETIME` columns: that of `SQLAlchemy`, and the only one in which texts compare like times.
const DATE_TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// Limit of the file's data that a connection caches, in KiB. The system caches the file's pages for all connections:
/// with `SQLite`'s 2,000 KiB, five connections held the same pages.
const CACHE_KIB: i32 = 256;

/// Returns options for a pool of `connections` to the file.
pub(crate) fn file(path: &Path, connections: u32, busy: Duration) -> ConnectOptions {
    let path = path.to_owned();
    let mut options = common("sqlite://", connections);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(busy)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            // A negative value is in KiB; a positive one would be in pages.
            .pragma("cache_size", (-CACHE_KIB).to_string())
    });
    options
}

/// Returns options for a database in memory. It exists in its one connection only, which is therefore never closed.
pub(crate) fn memory() -> ConnectOptions {
    let mut options = common("sqlite::memory:", 1);
    options.map_sqlx_sqlite_opts(|sqlite| sqlite.foreign_keys(true));
    options
}

fn common(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .acquire_timeout(Duration::from_secs(30))
        // A file does not disconnect, so a test before each use would be wasted.
        .test_before_acquire(false)
        .sqlx_logging(false);
    options
}

/// Formats every time with six digits: the driver omits a fraction of zero, and shortens one that ends in zeros.
pub(crate) fn with_six_digits(mut statement: Statement) -> Statement {
    for value in statement.values.iter_mut().flat_map(|values| &mut values.0) {
        if let Value::ChronoDateTime(at) = value {
            *value = Value::String(at.map(|at| at.format(DATE_TIME).to_string()));
        }
    }
    statement
}

/// True if the code means that another connection blocked the statement (`SQLITE_BUSY`, `SQLITE_LOCKED` and their
/// extended forms).
pub(crate) fn is_busy(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;
    use sea_orm::sea_query::Values;

    use super::*;

    #[test]
    fn times_are_written_as_sqlalchemy_writes_them() {
        let cases = [
            (
                "whole second",
                1_700_000_000_000_000,
                "2023-11-14 22:13:20.000000",
            ),
            (
                "tenth of a second",
                1_700_000_000_500_000,
                "2023-11-14 22:13:20.500000",
            ),
            ("microsecond", 1_700_000_000_000_001, "2023-11-14 22:13:20.000001"),
            ("before the epoch", -1, "1969-12-31 23:59:59.999999"),
        ];
        for (case, micros, text) in cases {
            let at = chrono::DateTime::from_timestamp_micros(micros)
                .unwrap()
                .naive_utc();
            let statement = Statement {
                sql: String::new(),
                values: Some(Values(vec![Value::ChronoDateTime(Some(at)), Value::Int(Some(7))])),
                db_backend: DbBackend::Sqlite,
            };
            let values = with_six_digits(statement).values.unwrap().0;
            assert_eq!(values[0], Value::String(Some(text.to_owned())), "{case}");
            assert_eq!(values[1], Value::Int(Some(7)), "{case}");
        }
    }

    #[test]
    fn busy_codes_are_distinguished_from_others() {
        let cases = [
            ("busy", "5", true),
            ("locked", "6", true),
            ("busy snapshot", "517", true),
            ("locked shared cache", "262", true),
            ("unique constraint", "2067", false),
            ("disk full", "13", false),
            ("a state of another database", "40001", false),
        ];
        for (case, code, busy) in cases {
            assert_eq!(is_busy(code), busy, "{case}");
        }
    }
}
