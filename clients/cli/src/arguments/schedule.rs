//! `tachi jobs`.

use clap::{Args, Subcommand, ValueEnum};
use tachi_operator::Job;

use super::{ConfigArgs, ShapeArgs, SourceArgs};

/// `tachi jobs`.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// List scheduled jobs: the last run, its result, the next run
    List(ScheduleListArgs),
    /// Run a job now, on this machine
    ///
    /// The result is stored as if an engine had run it.
    Run(ScheduleRunArgs),
}

/// `tachi jobs list`.
#[derive(Debug, Args)]
pub struct ScheduleListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi jobs run`.
#[derive(Debug, Args)]
pub struct ScheduleRunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The job
    #[arg(value_enum)]
    pub job: JobArg,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// A job.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum JobArg {
    /// Everything that `tachi doctor` checks
    Doctor,
    /// The rows that `tachi db purge` removes, by the age of `[schedule] purge_age_in_days`
    Purge,
    /// A shadow drill of one host of each segment; each run takes the next host
    Drill,
}

impl From<JobArg> for Job {
    fn from(arg: JobArg) -> Self {
        match arg {
            JobArg::Doctor => Self::Doctor,
            JobArg::Purge => Self::Purge,
            JobArg::Drill => Self::Drill,
        }
    }
}
