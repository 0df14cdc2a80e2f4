//! `tachi jobs`: the scheduled jobs of engines.

mod job_runner;

use std::sync::Arc;

use serde_json::json;
use tachi_cli::arguments::{ConfigArgs, ScheduleCommand, ScheduleRunArgs};
use tachi_cli::interruption::ctrl_c;
use tachi_cli::out::{answer, waiting};
use tachi_cli::process_owner::who;
use tachi_cli::source::Controller;
use tachi_cli::status::code;
use tachi_domain::situation::Severity;
use tachi_engine::ports::Jobs;
use tachi_operator::schedule::manual;
use tachi_operator::schedule::{JobOutcome, JobRunner as _, MAX_RUN, Scheduler};
use tachi_operator::{Failure, Job};

use super::command_settings;
use crate::settings::Settings;
use crate::wiring::{self, Base, Process};

use job_runner::Worker;

/// Runs the jobs of `[schedule]` until the process ends.
pub(super) fn keep(process: &Process, config: &ConfigArgs, settings: &Settings, base: &Base) {
    let jobs: Arc<dyn Jobs> = Arc::new(base.store.jobs().clone());
    let work = Arc::new(Worker(config.clone()));
    let (clock, schedule) = (base.clock.clone(), settings.schedule.clone());
    let keeper = Scheduler::new(
        jobs,
        work,
        clock,
        schedule,
        chrono::Local,
        wiring::own_name(settings),
    );
    process.task(|stop| keeper.run(stop));
}

pub(crate) async fn run(command: ScheduleCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        ScheduleCommand::List(args) => tachi_cli::schedule::list(args, controller).await,
        ScheduleCommand::Run(args) => now(args).await,
    }
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
    let stop = ctrl_c()?;
    let jobs = base.store.jobs();
    let run = manual::begin(jobs, base.clock.wall(), job.as_str(), &by).await?;
    let worker = Worker(args.config);
    let what = format!("the job {job}");
    let work = waiting(&what, tokio::time::timeout(MAX_RUN, worker.run(job, run)));
    let outcome = match manual::unless_stopped(work, stop).await {
        Ok(done) => done.unwrap_or_else(|_| JobOutcome {
            grade: Severity::Err,
            details: format!("stopped: not finished after {} min", MAX_RUN.as_secs() / 60),
        }),
        Err(stopped) => stopped.into(),
    };
    manual::end(jobs, job.as_str(), run, &outcome).await?;
    let JobOutcome { grade, details } = outcome;
    answer::object(
        &args.shape,
        base.clock.wall(),
        || json!({"job": job.as_str(), "run": run, "grade": grade, "result": details, "by": by}),
        |_| vec![format!("{job}: {grade}: {details}")],
    )?;
    Ok(code(grade))
}
