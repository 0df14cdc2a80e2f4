//! The work of the jobs, and its results.

use async_trait::async_trait;
use tachi_domain::situation::Severity;

use crate::Job;

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOutcome {
    /// The grade of the result.
    pub grade: Severity,
    /// Description of the result in a line, for people.
    pub details: String,
}

/// Executor of jobs.
#[async_trait]
pub trait JobRunner: Send + Sync {
    /// Runs a job; `run` is the number of the run. The future may be dropped at any time.
    async fn run(&self, job: Job, run: u64) -> JobOutcome;
}
