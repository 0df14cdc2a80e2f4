//! Work that an operator starts: the row of a job or a drill records the start first, and the result last.

use std::fmt;
use std::future::Future;

use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;
use tachi_engine::ports::Jobs;

use super::{JobOutcome, is_under_way};
use crate::failure::Failure;
use crate::plain::plain;
use crate::when::Time;

/// Records that `row` starts; returns the number of the run. Refused while another run is in progress.
///
/// # Errors
///
/// Another run is in progress, or the database failed.
pub async fn begin(jobs: &dyn Jobs, now: Timestamp, row: &str, by: &str) -> Result<u64, Failure> {
    let wrong = |error| Failure::new("recording the start (nothing was done)", error);
    let lines = jobs.jobs().await.map_err(wrong)?;
    let line = lines.iter().find(|line| line.name == row);
    if let Some(line) = line.filter(|line| is_under_way(line, now)) {
        return Err(Failure::from_text(format!(
            "nothing was done: {} is running since {}, started by {}",
            plain(row),
            Time(line.begun_at),
            plain(&line.by)
        )));
    }
    let last_run = line.map_or(0, |line| line.run);
    if !jobs.begin_job(row, last_run, None, by).await.map_err(wrong)? {
        return Err(Failure::from_text(format!(
            "nothing was done: another run of {} has just started: see tachi jobs list",
            plain(row)
        )));
    }
    Ok(last_run.saturating_add(1))
}

/// Records the result.
///
/// # Errors
///
/// The database failed.
pub async fn end(jobs: &dyn Jobs, row: &str, run: u64, outcome: &JobOutcome) -> Result<(), Failure> {
    let stored = jobs.end_job(row, run, outcome.grade, &outcome.details).await;
    stored.map_err(|error| Failure::new("recording the result", error))?;
    Ok(())
}

/// The operator who started the work has stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interruption;

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not finished: stopped by Ctrl-C")
    }
}

impl From<Interruption> for JobOutcome {
    fn from(stopped: Interruption) -> Self {
        Self {
            grade: Severity::Unknown,
            details: stopped.to_string(),
        }
    }
}

/// Does the work, unless `stop` ends first.
///
/// # Errors
///
/// `stop` has ended.
pub async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    stop: impl Future<Output = ()>,
) -> Result<T, Interruption> {
    tokio::select! {
        done = work => Ok(done),
        () = stop => Err(Interruption),
    }
}
