//! The work of the jobs, and their results.

use async_trait::async_trait;
use tachi_cli::arguments::ConfigArgs;
use tachi_cli::failure::Failure;
use tachi_domain::count;
use tachi_domain::situation::Severity;

use super::Job;
use crate::cmd;
use crate::drill;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The grade of the result.
    pub(crate) grade: Severity,
    /// Description of the result in a line, for people.
    pub(crate) details: String,
}

/// Executor of jobs.
#[async_trait]
pub(crate) trait JobRunner: Send + Sync {
    /// Runs a job; `run` is the number of the run. The future may be dropped at any time.
    async fn run(&self, job: Job, run: u64) -> Outcome;
}

/// Runs each job as the command of that name does, with the configuration as it is now, read again for each run.
pub(crate) struct Worker(pub(crate) ConfigArgs);

#[async_trait]
impl JobRunner for Worker {
    async fn run(&self, job: Job, run: u64) -> Outcome {
        let done = match job {
            Job::Doctor => Ok(Box::pin(cmd::doctor::job(&self.0)).await),
            Job::Purge => Box::pin(self.purge()).await,
            Job::Drill => Box::pin(self.drill(run)).await,
        };
        done.unwrap_or_else(|error| Outcome {
            grade: Severity::Err,
            details: error.chain(),
        })
    }
}

impl Worker {
    async fn open(&self) -> Result<(Settings, Base), Failure> {
        let settings = Settings::load(&self.0).map_err(|errors| Failure::config(&errors))?;
        let base = wiring::existing(&settings).await?;
        Ok((settings, base))
    }

    async fn drill(&self, run: u64) -> Result<Outcome, Failure> {
        let (settings, base) = self.open().await?;
        drill::job(&settings, &base, run, &wiring::own_name(&settings)).await
    }

    async fn purge(&self) -> Result<Outcome, Failure> {
        let (settings, base) = self.open().await?;
        let before = cmd::purged_before(settings.schedule.purge_age_in_days, base.clock.wall())?;
        let purged = base
            .store
            .purge(&tachi_store::PurgeOptions::before(before), |_| {})
            .await;
        let purged = purged.map_err(|error| Failure::new("purging", error))?;
        Ok(Outcome {
            grade: Severity::Ok,
            details: count(purged.total(), "row", "rows"),
        })
    }
}
