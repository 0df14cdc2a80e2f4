//! `tachi jobs`: the scheduled jobs of engines.

use serde_json::json;
use tachi_domain::situation::Severity;
use tachi_operator::{Job, JobView, Time};

use super::command_settings;
use super::status::code;
use crate::cli::{ScheduleCommand, ScheduleListArgs, ScheduleRunArgs};
use crate::failure::Failure;
use crate::out::{Cell, Column, TextTable, answer, waiting};
use crate::process_owner::who;
use crate::schedule::{JobRunner as _, MAX_RUN, Outcome, Worker, manual};
use crate::source::{self, Controller};
use crate::wiring;

pub(crate) async fn run(command: ScheduleCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        ScheduleCommand::List(args) => list(args, controller).await,
        ScheduleCommand::Run(args) => now(args).await,
    }
}

async fn list(args: ScheduleListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let rows = source.schedule().await?;
    let none = "nothing is scheduled: write [schedule] doctor = daily 03:00 into the engines' configuration";
    answer::list(&args.shape, source.now(), &sheet(&rows), none)?;
    Ok(crate::DONE)
}

fn sheet(rows: &[JobView]) -> TextTable<7> {
    let columns = [
        Column::new("job"),
        Column::new("when"),
        Column::of("last", "last_at"),
        Column::of("took", "took_seconds"),
        Column::new("grade"),
        Column::new("result"),
        Column::of("next", "next_at"),
    ];
    TextTable::new(columns, rows, |row| {
        let time = |at: Option<Time>| at.map_or_else(|| Cell::text("-"), |Time(at)| Cell::Time(at));
        let took = row.took_seconds.map(|took| format!("{took:.1} s"));
        let cells = [
            Cell::text(&row.job),
            Cell::text(&row.when),
            time(row.last_at),
            Cell::text(took.unwrap_or_else(|| "-".to_owned())),
            Cell::text(row.grade.map_or("-", Severity::as_str)),
            Cell::prose(&row.result),
            time(row.next_at),
        ];
        (cells, json!(row))
    })
}

/// Output fields of a job that was run.
const RAN: [&str; 5] = ["job", "run", "grade", "result", "by"];

/// Runs a job now.
async fn now(args: ScheduleRunArgs) -> Result<u8, Failure> {
    answer::accepts(&args.shape, RAN)?;
    let job = Job::from(args.job);
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let stop = manual::ctrl_c()?;
    let run = manual::begin(&base, job.as_str(), &by).await?;
    let worker = Worker(args.config);
    let what = format!("the job {job}");
    let work = waiting(&what, tokio::time::timeout(MAX_RUN, worker.run(job, run)));
    let outcome = match manual::unless_stopped(work, stop).await {
        Ok(done) => done.unwrap_or_else(|_| Outcome {
            grade: Severity::Err,
            details: format!("stopped: not finished after {} min", MAX_RUN.as_secs() / 60),
        }),
        Err(stopped) => stopped.into(),
    };
    manual::end(&base, job.as_str(), run, &outcome).await?;
    let Outcome { grade, details } = outcome;
    answer::object(
        &args.shape,
        base.clock.wall(),
        || json!({"job": job.as_str(), "run": run, "grade": grade, "result": details, "by": by}),
        |_| vec![format!("{job}: {grade}: {details}")],
    )?;
    Ok(code(grade))
}
