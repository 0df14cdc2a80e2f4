//! What is done by the clock, or was begun by a person, and what came of it.

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::situation::Grade;

use super::JournalError;

/// How a run of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// When.
    pub at: Timestamp,
    /// How good what came of it is.
    pub grade: Grade,
    /// What came of it, for people.
    pub details: String,
}

/// A job as it was begun last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    /// Its name.
    pub name: String,
    /// How often it was begun.
    pub run: u64,
    /// For which time it was begun last by the clock; `None` if only persons have.
    pub due: Option<Timestamp>,
    /// When it was begun last.
    pub begun_at: Timestamp,
    /// By whom.
    pub by: String,
    /// How that ended; `None` while it runs, or if who has begun it has gone.
    pub end: Option<JobEnd>,
    /// When it last ended with nothing worse than a warning.
    pub good_at: Option<Timestamp>,
}

/// Keeps them, a line for each job.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// All of them, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn jobs(&self) -> Result<Vec<JobLine>, JournalError>;

    /// Begins a job that has been begun `seen` times, for the time `due` or without one; `false` if somebody else has begun it
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// The database failed; it may have been written all the same.
    async fn begin_job(
        &self,
        name: &str,
        seen: u64,
        due: Option<Timestamp>,
        by: &str,
    ) -> Result<bool, JournalError>;

    /// Writes how the run of this number ended; `false` if a younger one was begun meanwhile, or it has ended already.
    ///
    /// # Errors
    ///
    /// The database failed; it may have been written all the same.
    async fn end_job(&self, name: &str, run: u64, grade: Grade, details: &str) -> Result<bool, JournalError>;
}
