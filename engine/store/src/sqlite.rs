//! Everything that only `SQLite` needs: how it is opened, how it stores times, and which of its errors are worth another try.

use std::path::Path;
use std::time::Duration;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectOptions, Statement};

/// How the text in a `DATETIME` column looks: what `SQLAlchemy` writes, and the only form in which texts compare as times do.
const DATE_TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// So many KiB of the file a connection keeps at most. The system keeps the file's pages for all of them: with `SQLite`'s 2,000 KiB each
/// of five held the same ones.
const CACHE_KIB: i32 = 256;

/// Options for a pool of `connections` to the file.
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
            // Negative, for pages are counted otherwise.
            .pragma("cache_size", (-CACHE_KIB).to_string())
    });
    options
}

/// Options for a database in memory. It lives in its one connection, which is therefore never given up.
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
        // A file does not hang up, so asking before each use whether it still answers is a waste.
        .test_before_acquire(false)
        .sqlx_logging(false);
    options
}

/// Gives every time its six digits: the driver leaves out a fraction that is zero, and shortens one that ends in zeros.
pub(crate) fn with_six_digits(mut statement: Statement) -> Statement {
    for value in statement.values.iter_mut().flat_map(|values| &mut values.0) {
        if let Value::ChronoDateTime(at) = value {
            *value = Value::String(at.map(|at| at.format(DATE_TIME).to_string()));
        }
    }
    statement
}

/// Whether the code says that another connection was in the way (`SQLITE_BUSY`, `SQLITE_LOCKED` and their extended
/// forms).
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
    fn busy_codes_are_told_from_others() {
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
