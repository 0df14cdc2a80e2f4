//! The work of the jobs.

use async_trait::async_trait;
use tachi_cli::arguments::ConfigArgs;
use tachi_cli::db;
use tachi_domain::count;
use tachi_domain::situation::Severity;
use tachi_operator::drill;
use tachi_operator::schedule::{JobOutcome, JobRunner};
use tachi_operator::{Failure, Job};

use super::super::doctor;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// Runs each job as the command of that name does, with the configuration as it is now, read again for each run.
pub(super) struct Worker(pub(super) ConfigArgs);

#[async_trait]
impl JobRunner for Worker {
    async fn run(&self, job: Job, run: u64) -> JobOutcome {
        let done = match job {
            Job::Doctor => Ok(Box::pin(doctor::job(&self.0)).await),
            Job::Purge => Box::pin(self.purge()).await,
            Job::Drill => Box::pin(self.drill(run)).await,
        };
        done.unwrap_or_else(|error| JobOutcome {
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

    async fn drill(&self, run: u64) -> Result<JobOutcome, Failure> {
        let (settings, base) = self.open().await?;
        let open = wiring::drill::ports(&settings, &base);
        let by = wiring::own_name(&settings);
        Box::pin(drill::job(base.store.operator_journal(), run, &by, open)).await
    }

    async fn purge(&self) -> Result<JobOutcome, Failure> {
        let (settings, base) = self.open().await?;
        let before = db::cutoff(settings.schedule.purge_age_in_days, base.clock.wall())?;
        let purged = base
            .store
            .purge(&tachi_store::PurgeOptions::before(before), |_| {})
            .await;
        let purged = purged.map_err(|error| Failure::new("purging", error))?;
        Ok(JobOutcome {
            grade: Severity::Ok,
            details: count(purged.total(), "row", "rows"),
        })
    }
}
