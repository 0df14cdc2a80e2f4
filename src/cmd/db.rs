//! `tachi db`.

mod grants;

use std::time::Duration;

use tachi_cli::arguments::{ConfigArgs, DbCommand, DbVersionArgs, PurgeArgs};
use tachi_cli::db;
use tachi_cli::out::{self, TextTable, answer, waiting};
use tachi_domain::count;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;
use tachi_store::{MigrationReport, PurgeOptions, Store, StoreOptions};
use tokio::time::Instant;

use super::command_settings;
use crate::settings::Database;
use crate::{logging, wiring};

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

async fn version(args: &DbVersionArgs) -> Result<(), Failure> {
    let settings = command_settings(&args.db.config)?;
    if !settings.database.exists() {
        return db::show_no_version(&args.shape);
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
    db::show_version(&args.shape, origin.tachi.as_deref(), masakari, &pending)
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
    let mut options = PurgeOptions::before(db::cutoff(args.age_in_days, now)?);
    options.max_rows = db::row_limit(args.max_rows)?;
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
    Ok(db::purged(purged.tables(), args.dry_run))
}
