//! `tachi db`.

mod grants;

use std::time::Duration;

use serde_json::json;
use tachi_cli::arguments::{ConfigArgs, DbCommand, DbVersionArgs, PurgeArgs};
use tachi_cli::out::{self, Cell, Column, TextTable, answer, waiting};
use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;
use tachi_store::{MigrationReport, PurgeCounts, PurgeOptions, Store, StoreOptions};
use tokio::time::Instant;

use super::command_settings;
use crate::settings::Database;
use crate::{logging, wiring};

const DAY_SECONDS: i64 = 86_400;

/// Interval of the progress lines of a long purge.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Runs a command on the database.
pub(crate) async fn run(command: DbCommand) -> Result<u8, Failure> {
    match command {
        DbCommand::Sync(args) => sync(&args.config, args.wait).await?,
        DbCommand::Version(args) => version(&args).await?,
        DbCommand::Purge(args) => {
            let options = purge_options(&args)?;
            let sheet = purge(&args, &options).await?;
            answer::list(&args.shape, SystemClock.wall(), &sheet, "there is no table")?;
        }
        DbCommand::Grants(args) => grants::run(&args).await?,
    }
    Ok(crate::DONE)
}

/// Brings the schema up to date. With `wait`, waits for a server that does not answer.
pub(super) async fn sync(args: &ConfigArgs, wait: bool) -> Result<(), Failure> {
    logging::start_with_warnings();
    let settings = command_settings(args)?;
    let options = options(&settings.database, wait);
    let work = Box::pin(wiring::migrated(&settings, &options));
    let (base, schema) = waiting(&format!("the database {}", settings.database), work).await?;
    for line in render(&schema) {
        out::line(line);
    }
    let open = base
        .store
        .count_left_open()
        .await
        .map_err(|error| Failure::new("listing open notifications", error))?;
    if open > 0 {
        out::line(format!(
            "{} up when it starts; stop Masakari's engine first",
            count(
                open,
                "notification is open and without a recovery: `tachi engine` takes it",
                "notifications are open and without a recovery: `tachi engine` takes them",
            )
        ));
    }
    let version = base
        .store
        .version()
        .await
        .map_err(|error| Failure::new("reading the version", error))?;
    out::line(format!(
        "the database is at {}",
        version.as_deref().unwrap_or("no version")
    ));
    Ok(())
}

/// Renders the result of the migration as lines.
fn render(report: &MigrationReport) -> Vec<String> {
    let mut lines = Vec::new();
    let row_counts = &report.row_counts;
    match (&report.origin.masakari, &report.origin.tachi) {
        (Some(revision), None) => lines.push(format!(
            "took over a Masakari database at {revision}: {}, {}, {}, {}, deleted ones included",
            count(row_counts.segments, "segment", "segments"),
            count(row_counts.hosts, "host", "hosts"),
            count(row_counts.notifications, "notification", "notifications"),
            count(row_counts.vmoves, "vmove", "vmoves")
        )),
        (None, None) => lines.push("created the schema in an empty database".into()),
        (_, Some(_)) if report.applied.is_empty() => lines.push("nothing to do".into()),
        (_, Some(from)) => lines.push(format!("migrated from {from}")),
    }
    for name in &report.applied {
        lines.push(format!("applied {name}"));
    }
    let filled = &report.filled;
    for (rows, what) in [
        (
            filled.notification_segments,
            "notifications: their segment, from their host",
        ),
        (filled.segments_enabled, "segments: enabled"),
        (filled.hosts_reserved, "hosts: not reserved"),
        (filled.hosts_on_maintenance, "hosts: not in maintenance"),
        (filled.deleted, "rows: not deleted"),
    ] {
        if rows > 0 {
            lines.push(format!("filled in what was NULL in {rows} {what}"));
        }
    }
    if filled.hosts_recovered > 0 {
        lines.push(format!(
            "{}, not by an operator",
            count(
                filled.hosts_recovered,
                "host is in maintenance because Masakari has recovered it",
                "hosts are in maintenance because Masakari has recovered them",
            )
        ));
    }
    lines
}

fn options(database: &Database, wait: bool) -> StoreOptions {
    if wait {
        database.options().clone()
    } else {
        database.once()
    }
}

/// Version shown for a database without our schema.
const NO_VERSION: &str = "no version yet: run `tachi db sync`";

async fn version(args: &DbVersionArgs) -> Result<(), Failure> {
    let settings = command_settings(&args.db.config)?;
    if !settings.database.exists() {
        return answer::object(
            &args.shape,
            SystemClock.wall(),
            || json!({"version": null, "masakari": null, "pending": null}),
            |_| vec![NO_VERSION.to_owned()],
        );
    }
    let clock = std::sync::Arc::new(SystemClock);
    let options = options(&settings.database, args.db.wait);
    let store = waiting(
        &format!("the database {}", settings.database),
        Box::pin(Store::connect(&options, clock)),
    )
    .await
    .map_err(|error| Failure::new("opening the database", error))?;
    let wrong = |error| Failure::new("reading the version", error);
    let origin = store.origin().await.map_err(wrong)?;
    let pending = store.pending().await.map_err(wrong)?;
    let masakari = origin.masakari.map(tachi_store::Revision::id);
    answer::object(
        &args.shape,
        SystemClock.wall(),
        || json!({"version": origin.tachi, "masakari": masakari, "pending": pending}),
        |_| {
            // The first line holds the whole version, for scripts that read one line.
            let mut lines = vec![
                origin.tachi.as_deref().unwrap_or(NO_VERSION).to_owned(),
                format!("masakari {}", masakari.unwrap_or("None")),
            ];
            lines.extend(pending.iter().map(|name| format!("pending {name}")));
            lines
        },
    )
}

/// Returns Masakari's revision of the schema; "None" without one.
pub(super) async fn masakari_revision(args: &ConfigArgs) -> Result<&'static str, Failure> {
    const NONE: &str = "None";
    let settings = command_settings(args)?;
    if !settings.database.exists() {
        return Ok(NONE);
    }
    let clock = std::sync::Arc::new(SystemClock);
    let store = Store::connect(&settings.database.once(), clock)
        .await
        .map_err(|error| Failure::new("opening the database", error))?;
    let origin = store.origin().await;
    let origin = origin.map_err(|error| Failure::new("reading the version", error))?;
    Ok(origin.masakari.map_or(NONE, tachi_store::Revision::id))
}

/// Returns the limits of the purge.
pub(super) fn purge_options(args: &PurgeArgs) -> Result<PurgeOptions, Failure> {
    let now = SystemClock.wall();
    let mut options = PurgeOptions::before(cutoff(args.age_in_days, now)?);
    options.max_rows = row_limit(args.max_rows)?;
    options.dry_run = args.dry_run;
    Ok(options)
}

/// Purges the database; returns the counts of removed rows.
pub(super) async fn purge(args: &PurgeArgs, options: &PurgeOptions) -> Result<TextTable<2>, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let mut last = Instant::now();
    let purged = base
        .store
        .purge(options, |so_far| {
            if last.elapsed() >= PROGRESS_EVERY {
                last = Instant::now();
                out::note(format!("{} so far", count(so_far.total(), "row", "rows")));
            }
        })
        .await
        .map_err(|error| Failure::new("purging", error))?;
    Ok(sheet(&purged, args.dry_run))
}

/// Returns the time limit of a purge: rows older than this are removed.
pub(crate) fn cutoff(age_in_days: i64, now: Timestamp) -> Result<Timestamp, Failure> {
    if age_in_days < 0 {
        return Err(Failure::usage("Must supply a non-negative value for age."));
    }
    match age_in_days.checked_mul(DAY_SECONDS) {
        Some(seconds) if seconds <= now.micros() / 1_000_000 => Ok(now.minus_seconds(seconds)),
        _ => Err(Failure::usage("Maximal age is count of days since epoch.")),
    }
}

/// Returns the limit of rows; -1 is no limit, as in `masakari-manage`.
fn row_limit(max_rows: i64) -> Result<Option<u64>, Failure> {
    match max_rows {
        -1 => Ok(None),
        rows => match u64::try_from(rows) {
            Ok(rows) if rows > 0 => Ok(Some(rows)),
            _ => Err(Failure::usage("Must supply value greater than 0 for max_rows.")),
        },
    }
}

fn sheet(purged: &PurgeCounts, dry_run: bool) -> TextTable<2> {
    let count = if dry_run { "would be removed" } else { "removed" };
    let columns = [Column::new("table"), Column::of(count, "rows")];
    let all = [("all", purged.total())];
    TextTable::new(columns, purged.tables().chain(all), |(name, rows)| {
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
