//! `tachi jobs`.

use clap::{Args, Subcommand, ValueEnum};

use super::{ConfigArgs, ShapeArgs, SourceArgs};
use tachi_operator::Job;

/// `tachi jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// List scheduled jobs: the last run, its result, the next run
    List(ScheduleListArgs),
    /// Run a job here and now; its result is kept as if an engine had run it
    Run(ScheduleRunArgs),
}

/// `tachi jobs list`.
#[derive(Debug, Args)]
pub(crate) struct ScheduleListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi jobs run`.
#[derive(Debug, Args)]
pub(crate) struct ScheduleRunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The job
    #[arg(value_enum)]
    pub(crate) job: JobWord,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A job.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum JobWord {
    /// Everything that `tachi doctor` checks
    Doctor,
    /// The rows that `tachi db purge` removes, by the age of `[schedule] purge_age_in_days`
    Purge,
    /// A shadow drill of one host of each segment, with each run the next
    Drill,
}

impl From<JobWord> for Job {
    fn from(word: JobWord) -> Self {
        match word {
            JobWord::Doctor => Self::Doctor,
            JobWord::Purge => Self::Purge,
            JobWord::Drill => Self::Drill,
        }
    }
}
