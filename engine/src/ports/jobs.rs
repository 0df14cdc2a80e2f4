//! Jobs that run on a schedule or are started by an operator, and their results.

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;

use super::JournalError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub at: Timestamp,
    /// The grade of the result.
    pub grade: Severity,
    /// The result, for people.
    pub details: String,
}

/// The latest run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    pub name: String,
    /// The number of runs so far.
    pub run: u64,
    /// The scheduled time of the last scheduled run; `None` if only operators have started it.
    pub due: Option<Timestamp>,
    /// The start of the last run.
    pub begun_at: Timestamp,
    /// The engine or operator that started it.
    pub by: String,
    /// The end of that run; `None` while it runs, or if the process that started it is gone.
    pub end: Option<JobEnd>,
    /// The time of the last run that ended with nothing worse than a warning.
    pub good_at: Option<Timestamp>,
}

/// The store of jobs, with a row for each job.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Returns all jobs, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn jobs(&self) -> Result<Vec<JobLine>, JournalError>;

    /// Starts a job that has been started `last_run` times, for the scheduled time `due` or without one; `false` if another
    /// process has started it meanwhile.
    ///
    /// # Errors
    ///
    /// The database failed; the start may have been written anyway.
    async fn begin_job(
        &self,
        name: &str,
        last_run: u64,
        due: Option<Timestamp>,
        by: &str,
    ) -> Result<bool, JournalError>;

    /// Writes how the run with this number ended; `false` if a later run was started meanwhile, or the run has ended
    /// already.
    ///
    /// # Errors
    ///
    /// The database failed; the end may have been written anyway.
    async fn end_job(
        &self,
        name: &str,
        run: u64,
        grade: Severity,
        details: &str,
    ) -> Result<bool, JournalError>;
}
