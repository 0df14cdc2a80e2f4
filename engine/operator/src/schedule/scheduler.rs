//! Scheduler of jobs: starts due jobs while the engine runs. Engines agree by the row of a job: the one that increments its run
//! number has started it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeZone;
use metrics::{describe_gauge, gauge};
use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;
use tachi_engine::ports::{Clock, JobLine, Jobs, JournalError};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{JobOutcome, JobRunner, MAX_RUN, Schedule, begins_at, is_under_way};
use crate::Job;

/// Interval at which each engine checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

const GOOD: &str = "tachi_job_last_success_timestamp_seconds";

pub struct Scheduler<Z> {
    jobs: Arc<dyn Jobs>,
    work: Arc<dyn JobRunner>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    zone: Z,
    name: String,
    started: Timestamp,
    /// Jobs that this engine may or may not have started: the database did not answer.
    uncertain: BTreeSet<&'static str>,
    is_failing: bool,
}

impl<Z: TimeZone> Scheduler<Z> {
    /// Creates a scheduler that starts checking now, under a unique name.
    pub fn new(
        jobs: Arc<dyn Jobs>,
        work: Arc<dyn JobRunner>,
        clock: Arc<dyn Clock>,
        schedule: Schedule,
        zone: Z,
        name: String,
    ) -> Self {
        describe_gauge!(
            GOOD,
            "When each job of [schedule] last ended without an error, on any engine"
        );
        Self {
            started: clock.wall(),
            jobs,
            work,
            clock,
            schedule,
            zone,
            name,
            uncertain: BTreeSet::new(),
            is_failing: false,
        }
    }

    /// Checks until `stop`. A job that is running then is dropped halfway: it can be repeated.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.schedule.jobs.is_empty() {
            return;
        }
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both branches only wait.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.poll(&stop).await {
                Ok(()) => self.is_failing = false,
                Err(error) => {
                    let source = error.source.to_string();
                    if self.is_failing {
                        tracing::debug!(%error, source, "failed to start scheduled jobs; retrying");
                    } else {
                        tracing::warn!(%error, source, "failed to start scheduled jobs; retrying");
                    }
                    self.is_failing = true;
                }
            }
        }
    }

    async fn poll(&mut self, stop: &CancellationToken) -> Result<(), JournalError> {
        for (job, when) in self.schedule.jobs.clone() {
            if stop.is_cancelled() {
                return Ok(());
            }
            let lines = self.jobs.jobs().await?;
            let line = lines.iter().find(|line| line.name == job.as_str());
            log(job, line);
            let now = self.clock.wall();
            if let Some(line) = line
                && is_under_way(line, now)
            {
                // The start was written, although the database had not answered.
                if self.uncertain.remove(job.as_str()) && line.by == self.name {
                    self.carry_out(job, line.run, stop).await;
                }
                continue;
            }
            let due = begins_at(when, line, self.started, now, &self.zone);
            if due > now {
                continue;
            }
            let last_run = line.map_or(0, |line| line.run);
            match self
                .jobs
                .begin_job(job.as_str(), last_run, Some(due), &self.name)
                .await
            {
                Ok(true) => self.carry_out(job, last_run.saturating_add(1), stop).await,
                Ok(false) => {}
                Err(error) => {
                    self.uncertain.insert(job.as_str());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn carry_out(&self, job: Job, run: u64, stop: &CancellationToken) {
        tracing::info!(%job, run, "job started");
        let outcome = tokio::select! {
            () = stop.cancelled() => JobOutcome {
                grade: Severity::Unknown,
                details: "not finished: its engine was stopped".to_owned(),
            },
            done = timeout(MAX_RUN, self.work.run(job, run)) => done.unwrap_or_else(|_| JobOutcome {
                grade: Severity::Err,
                details: format!("stopped: not finished after {} min", MAX_RUN.as_secs() / 60),
            }),
        };
        let JobOutcome { grade, details } = outcome;
        if matches!(grade, Severity::Err | Severity::Unknown) {
            tracing::warn!(%job, run, %grade, %details, "job finished");
        } else {
            tracing::info!(%job, run, %grade, %details, "job finished");
        }
        match self.jobs.end_job(job.as_str(), run, grade, &details).await {
            Ok(true) => {
                let line = self.jobs.jobs().await.ok();
                let lines = line.unwrap_or_default();
                log(job, lines.iter().find(|line| line.name == job.as_str()));
            }
            Ok(false) => tracing::warn!(%job, run, "result of a job is discarded; the job was started again"),
            Err(error) => {
                let source = error.source.to_string();
                tracing::warn!(%job, run, %error, source, "failed to store the result of a job");
            }
        }
    }
}

/// Sets the metric. A job that never succeeded has zero, which triggers the alarm on its age.
fn log(job: Job, line: Option<&JobLine>) {
    let at = line
        .and_then(|line| line.good_at)
        .map_or(0, |at| at.micros() / 1_000_000);
    // A float represents seconds since 1970 exactly.
    let at = f64::from(u32::try_from(at).unwrap_or_default());
    gauge!(GOOD, "job" => job.as_str()).set(at);
}

#[cfg(test)]
mod tests;
