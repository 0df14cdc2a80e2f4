//! Limits and output of `tachi db`.

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use crate::out::{Cell, Column, ShapeArgs, TextTable, answer};

const DAY_SECONDS: i64 = 86_400;

/// Version shown for a database without our schema.
const NO_VERSION: &str = "no version yet: run `tachi db sync`";

/// Prints that there is no database.
pub fn show_no_version(shape: &ShapeArgs) -> Result<(), Failure> {
    answer::object(
        shape,
        SystemClock.wall(),
        || json!({"version": null, "masakari": null, "pending": null}),
        |_| vec![NO_VERSION.to_owned()],
    )
}

/// Prints the version of the schema, Masakari's revision of it, and the migrations to come.
pub fn show_version(
    shape: &ShapeArgs,
    tachi: Option<&str>,
    masakari: Option<&str>,
    pending: &[String],
) -> Result<(), Failure> {
    answer::object(
        shape,
        SystemClock.wall(),
        || json!({"version": tachi, "masakari": masakari, "pending": pending}),
        |_| {
            // The first line holds the whole version, for scripts that read one line.
            let mut lines = vec![
                tachi.unwrap_or(NO_VERSION).to_owned(),
                format!("masakari {}", masakari.unwrap_or("None")),
            ];
            lines.extend(pending.iter().map(|name| format!("pending {name}")));
            lines
        },
    )
}

/// Returns the time limit of a purge: rows older than this are removed.
pub fn cutoff(age_in_days: i64, now: Timestamp) -> Result<Timestamp, Failure> {
    if age_in_days < 0 {
        return Err(Failure::usage("Must supply a non-negative value for age."));
    }
    match age_in_days.checked_mul(DAY_SECONDS) {
        Some(seconds) if seconds <= now.micros() / 1_000_000 => Ok(now.minus_seconds(seconds)),
        _ => Err(Failure::usage("Maximal age is count of days since epoch.")),
    }
}

/// Returns the limit of rows; -1 is no limit, as in `masakari-manage`.
pub fn row_limit(max_rows: i64) -> Result<Option<u64>, Failure> {
    match max_rows {
        -1 => Ok(None),
        rows => match u64::try_from(rows) {
            Ok(rows) if rows > 0 => Ok(Some(rows)),
            _ => Err(Failure::usage("Must supply value greater than 0 for max_rows.")),
        },
    }
}

/// Returns the table of a purge: the removed rows of each table, and their sum.
pub fn purged<'a>(tables: impl Iterator<Item = (&'a str, u64)>, dry_run: bool) -> TextTable<2> {
    let mut rows: Vec<(&str, u64)> = tables.collect();
    let total = rows.iter().map(|(_, rows)| rows).sum();
    rows.push(("all", total));
    let count = if dry_run { "would be removed" } else { "removed" };
    let columns = [Column::new("table"), Column::of(count, "rows")];
    TextTable::new(columns, rows, |(name, rows)| {
        let object = json!({"table": name, "rows": rows});
        ([Cell::text(*name), Cell::number(&rows)], object)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_numbers_are_those_of_masakari_manage() {
        let now = Timestamp::from_micros(100 * DAY_SECONDS * 1_000_000);
        for (case, days, expected) in [
            ("everything", 0, Some(100)),
            ("a month", 30, Some(70)),
            ("since the epoch", 100, Some(0)),
            ("before the epoch", 101, None),
            ("negative", -1, None),
            ("too large to count", i64::MAX, None),
        ] {
            let cut = cutoff(days, now)
                .ok()
                .map(|at| at.micros() / 1_000_000 / DAY_SECONDS);
            assert_eq!(cut, expected, "{case}");
        }
        for (rows, expected) in [(-1, Some(None)), (5, Some(Some(5))), (0, None), (-2, None)] {
            assert_eq!(row_limit(rows).ok(), expected, "{rows}");
        }
    }
}
