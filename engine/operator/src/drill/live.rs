//! A live drill: it powers off a host that holds only instances of the drill, and measures the recovery.
//!
//! The recovery is the ordinary one. The drill builds its canaries, closes the host to all others, checks twice that nothing else is on
//! it, and then does what `tachi fence off` does. From there on it only polls: if the process is killed after that, it leaves a failed host
//! with a recovery, like any other failure. A drill is never resumed.

mod admission;
pub mod canaries;
mod host_contents;
mod measured;
mod region;
mod service;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::count;
use tachi_domain::nova::Service;
use tachi_domain::recovery::planned_mark;
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::compute::ServiceChange;
use tachi_engine::ports::{JobLine, Jobs};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::canaries::Make;
use self::region::Region;
use self::service::Made;
use super::DrillPorts;
use crate::failure::Failure;
use crate::forecast::ForecastView;
use crate::history::RecoveryHistoryView;
use crate::plain::plain;
use crate::prediction::Prediction;
use crate::schedule::{JobOutcome, is_under_way, manual};

pub use admission::{AdmittedHost, validate};
pub use measured::Live;
pub use region::CanaryPorts;

/// Timeout for building the canaries.
const BUILD_TIMEOUT: Duration = Duration::from_mins(10);

/// Timeout for deleting the canaries.
const DELETE_TIMEOUT: Duration = Duration::from_mins(2);

/// Time that the recovery may take before the drill stops polling.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(20);

/// Interval between two polls of the recovery.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Limit of failed polls in a row before the drill stops polling.
const MAX_ATTEMPTS: u32 = 120;

/// Calls of a live drill to the controller, besides the ports of a drill.
#[async_trait]
pub trait LiveController: Send + Sync {
    /// Returns the forecast for the loss of the host.
    async fn forecast(&self, host: &str) -> Result<ForecastView, Failure>;

    /// Returns one recovery; `None` if it does not exist.
    async fn recovery(&self, id: RecoveryId) -> Result<Option<RecoveryHistoryView>, Failure>;

    /// Returns the prediction of a recovery's duration; `None` if no host has been recovered yet.
    async fn predicted(&self) -> Result<Option<Prediction>, Failure>;

    /// Reports the host as down.
    async fn report_down(&self, host: &str, reason: &str) -> Result<(), Failure>;

    /// Powers the host off through its fence levels; returns the proof.
    async fn power_off(&self, host: &str, reason: &str) -> Result<String, Failure>;
}

/// The ports of a live drill.
pub struct LivePorts<'a> {
    pub drill: &'a DrillPorts,
    pub canaries: CanaryPorts<'a>,
    pub controller: &'a dyn LiveController,
}

/// Parameters of a live drill.
pub struct DrillRequest {
    pub make: Make,
    /// Time that monitors have to report the host before the drill does.
    pub notice: Duration,
}

/// Prefix of the row of a live drill.
const ROW: &str = "live drill ";

/// Returns the name of the row that marks a live drill of the host as running.
fn row(host: &str) -> String {
    format!("{ROW}{host}").chars().take(super::MAX_ROW_NAME).collect()
}

/// The host, and everything that a drill of it needs.
struct Drill<'a> {
    ports: &'a DrillPorts,
    controller: &'a dyn LiveController,
    region: Region<'a>,
    id: Uuid,
    /// The host as it was when the drill was admitted.
    host: &'a AdmittedHost,
    wish: &'a DrillRequest,
}

/// The host, ready to be switched off.
struct Ready {
    canaries: BTreeSet<ServerId>,
    /// The reason for which the host is disabled now.
    reason: String,
}

/// Runs the drill. If `stop` ends before the host is switched off, everything is restored; after that, only the polling ends.
///
/// # Errors
///
/// The host was not powered off, or the recovery could not be followed to its end.
pub async fn live(
    ports: LivePorts<'_>,
    host: &AdmittedHost,
    wish: &DrillRequest,
    by: &str,
    stop: impl Future<Output = ()>,
) -> Result<Live, Failure> {
    let LivePorts {
        drill: ports,
        canaries,
        controller,
    } = ports;
    let drill = Drill {
        ports,
        controller,
        region: Region::new(canaries, &host.name, by),
        id: Uuid::new_v4(),
        host,
        wish,
    };
    let row = row(&host.name);
    let jobs = ports.jobs.as_ref();
    let run = manual::begin(jobs, ports.engine.clock.wall(), &row, by).await?;
    // Our own row is written by now: if two drills start at the same moment, at least one sees the other.
    let done = match alone_in_region(ports, &row).await {
        Ok(()) => drill.run(stop).await,
        Err(error) => Err(error),
    };
    let outcome = match &done {
        Ok(live) => JobOutcome {
            grade: live.grade(),
            details: live.sentence(),
        },
        Err(error) => JobOutcome {
            grade: tachi_domain::situation::Severity::Err,
            details: error.chain(),
        },
    };
    manual::end(jobs, &row, run, &outcome).await?;
    done
}

/// Checks that no live drill of another host is running.
async fn alone_in_region(ports: &DrillPorts, row: &str) -> Result<(), Failure> {
    let lines = ports.jobs.jobs().await;
    let lines = lines.map_err(|error| Failure::new("reading which drills are under way", error))?;
    let now = ports.engine.clock.wall();
    let of_others =
        |line: &&JobLine| line.name != row && line.name.starts_with(ROW) && is_under_way(line, now);
    match lines.iter().find(of_others) {
        None => Ok(()),
        Some(line) => Err(Failure::from_text(format!(
            "nothing was done: {} is running, started by {}",
            plain(&line.name),
            plain(&line.by)
        ))),
    }
}

impl Drill<'_> {
    async fn run(&self, stop: impl Future<Output = ()>) -> Result<Live, Failure> {
        let mut stop = std::pin::pin!(stop);
        let before = self.known().await?;
        let mut made = Made::default();
        let prepared = manual::unless_stopped(self.prepare(&mut made), &mut stop).await;
        let ready = match prepared {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => return Err(self.undo(error, &made, &before).await),
            Err(stopped) => {
                let stopped = Failure::from_text(stopped.to_string());
                return Err(self.undo(stopped, &made, &before).await);
            }
        };
        let (known, predicted) = match self.final_check(&ready).await {
            Ok(known) => known,
            Err(error) => return Err(self.undo(error, &made, &before).await),
        };
        // This part cannot be stopped: an operator who has ordered a power-off has to know the result.
        let killed = self.ports.engine.clock.wall();
        self.region
            .note(&format!("switching {} off", plain(&self.host.name)));
        let reason = format!("live drill {}", self.id);
        let off = self.controller.power_off(&self.host.name, &reason).await;
        let off = off.map_err(|error| {
            error.below(&format!(
                "{} may be off; its canaries and its service stay as they are: find out its power state, then `tachi drill {} --clean-up`",
                plain(&self.host.name),
                plain(&self.host.name)
            ))
        })?;
        self.region
            .note(&format!("{} is off: {off}", plain(&self.host.name)));
        let looked = manual::unless_stopped(self.watch(&known, killed, predicted, &ready), &mut stop).await;
        let live = match looked {
            Ok(live) => live?,
            Err(stopped) => {
                return Err(Failure::from_text(format!(
                    "{stopped}; {} is off and is recovered like any other host: `tachi recovery list --host {}`; afterwards `tachi drill \
                     {} --clean-up`",
                    plain(&self.host.name),
                    plain(&self.host.name),
                    plain(&self.host.name)
                )));
            }
        };
        if live.all_back() {
            self.delete(&ready.canaries.iter().copied().collect::<Vec<_>>())
                .await?;
        }
        Ok(live)
    }

    /// Builds the canaries, and closes the host to all others.
    async fn prepare(&self, made: &mut Made) -> Result<Ready, Failure> {
        let (nova, host) = (self.region.compute(), self.host.name.as_str());
        self.open(made).await?;
        self.region.note(&format!(
            "building {} on {}",
            count(self.wish.make.count, "canary", "canaries"),
            plain(host)
        ));
        let mut ids = BTreeSet::new();
        for number in 1..=self.wish.make.count {
            ids.insert(
                self.region
                    .build(&canaries::order(&self.wish.make, self.id, host, number))
                    .await?,
            );
        }
        canaries::until_active(nova, host, &ids, BUILD_TIMEOUT).await?;
        // This reason marks an operator's planned work: recoveries do not touch it, and `tachi host return` clears it.
        let reason = format!("live drill [{}]", planned_mark(RecoveryId(self.id)));
        self.close(made, &reason).await?;
        let ready = Ready {
            canaries: ids,
            reason,
        };
        self.alone(&ready).await?;
        // After this time an instance that was being scheduled while the host was closed is visible.
        let late_effects = self.ports.policy.late_effect_window();
        self.region.note(&format!(
            "{} on {} are built, and Nova places nothing else there; waiting {} s for instances that were already being scheduled",
            count(self.wish.make.count, "canary", "canaries"),
            plain(host),
            late_effects.as_secs()
        ));
        sleep(late_effects).await;
        Ok(ready)
    }

    /// Checks again right before the power-off. Returns the host's earlier recoveries, and how long recoveries took before.
    async fn final_check(
        &self,
        ready: &Ready,
    ) -> Result<(BTreeSet<RecoveryId>, Option<Prediction>), Failure> {
        let known = self.known().await?;
        let predicted = self.controller.predicted().await?;
        admission::still(self.ports, self.host).await?;
        self.alone(ready).await?;
        Ok((known, predicted))
    }

    /// Checks that only canaries are on the host.
    async fn alone(&self, ready: &Ready) -> Result<(), Failure> {
        let shown =
            host_contents::shown(self.region.compute(), self.region.canaries(), &self.host.name).await;
        let shown = shown.map_err(|error| Failure::new("checking that only canaries are on it", error))?;
        match host_contents::blocker(&shown, &ready.canaries, &ready.reason) {
            None => Ok(()),
            Some(why) => Err(Failure::from_text(why)),
        }
    }

    /// Returns the ids of the host's recoveries.
    async fn known(&self) -> Result<BTreeSet<RecoveryId>, Failure> {
        let rows = admission::recoveries(self.ports.operator_journal.as_ref(), self.host).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Deletes the drill's canaries by their metadata: the id of a canary whose answer was lost is unknown.
    async fn delete_own(&self) -> Result<(), Failure> {
        let found = canaries::found(self.region.canaries(), &self.host.name, Some(self.id)).await?;
        let ids: Vec<ServerId> = found.iter().map(|one| one.id).collect();
        self.delete(&ids).await
    }

    async fn delete(&self, ids: &[ServerId]) -> Result<(), Failure> {
        self.region.delete(ids, DELETE_TIMEOUT).await
    }

    /// Polls until the recovery is done, and measures.
    async fn watch(
        &self,
        known: &BTreeSet<RecoveryId>,
        killed: Timestamp,
        predicted: Option<Prediction>,
        ready: &Ready,
    ) -> Result<Live, Failure> {
        let (recovery, by_us) = self.noticed(known).await?;
        let history = self.over(recovery).await?;
        let mut shown = Vec::new();
        for id in &ready.canaries {
            let server = self.region.compute().server(*id).await;
            shown.push((
                *id,
                server.map_err(|error| Failure::new("reading a canary", error))?,
            ));
        }
        Ok(measured::measured(
            &self.host.name,
            killed,
            by_us.then_some(self.wish.notice),
            &history,
            &shown,
            predicted,
        ))
    }

    /// Waits for the recovery; true if the drill had to report the host itself.
    async fn noticed(&self, known: &BTreeSet<RecoveryId>) -> Result<(RecoveryId, bool), Failure> {
        let ends = Instant::now() + self.wish.notice;
        let mut by_us = false;
        loop {
            let found = self.known().await;
            match found {
                Ok(rows) => {
                    if let Some(new) = rows.difference(known).next() {
                        return Ok((*new, by_us));
                    }
                }
                Err(error) => self
                    .region
                    .note(&format!("tachi: {}; trying again", error.chain())),
            }
            if !by_us && Instant::now() >= ends {
                by_us = true;
                self.region.note(&format!(
                    "no monitor has reported {} within {} s: the drill reports it",
                    plain(&self.host.name),
                    self.wish.notice.as_secs()
                ));
                let reason = format!("live drill {}", self.id);
                // The recovery of this report is found in the list, like that of any other report.
                self.controller.report_down(&self.host.name, &reason).await?;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the recovery is done, and shows what it waits for.
    async fn over(&self, id: RecoveryId) -> Result<RecoveryHistoryView, Failure> {
        let ends = Instant::now() + RECOVERY_TIMEOUT;
        let (mut failures, mut printed_wait) = (0, String::new());
        loop {
            match self.controller.recovery(id).await {
                Ok(Some(history)) => {
                    failures = 0;
                    if history.summary.life != tachi_domain::recovery::Life::Open {
                        return Ok(history);
                    }
                    if printed_wait != history.waits_for {
                        printed_wait.clone_from(&history.waits_for);
                        self.region
                            .note(&format!("recovery {id} waits for {}", plain(&printed_wait)));
                    }
                }
                Ok(None) => {
                    return Err(Failure::from_text(format!(
                        "recovery {id} does not exist any more"
                    )));
                }
                Err(error) if failures >= MAX_ATTEMPTS => return Err(error),
                Err(_) => failures += 1,
            }
            if Instant::now() >= ends {
                return Err(Failure::from_text(format!(
                    "recovery {id} has not ended after {} min: `tachi recovery show {id}`; afterwards `tachi drill {} --clean-up`",
                    RECOVERY_TIMEOUT.as_secs() / 60,
                    plain(&self.host.name)
                )));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Deletes the canaries that earlier drills of the host have left, and ends their row.
///
/// # Errors
///
/// A canary is left, or the database failed.
pub async fn clean_up(
    jobs: &dyn Jobs,
    canaries: CanaryPorts<'_>,
    host: &str,
    found: &[ServerId],
    by: &str,
) -> Result<(), Failure> {
    let region = Region::new(canaries, host, by);
    region.delete(found, DELETE_TIMEOUT).await?;
    let lines = jobs.jobs().await;
    let lines = lines.map_err(|error| Failure::new("reading the row of the drill", error))?;
    let row = row(host);
    let Some(line) = lines
        .into_iter()
        .find(|line| line.name == row && line.end.is_none())
    else {
        return Ok(());
    };
    let outcome = JobOutcome {
        grade: tachi_domain::situation::Severity::Unknown,
        details: format!("not finished: cleaned up by {by}"),
    };
    manual::end(jobs, &row, line.run, &outcome).await
}

/// True if a drill may disable and enable the host's service: it is enabled, or an operator's drain has disabled it.
fn is_ours_to_open(service: &Service) -> bool {
    let reason = service.disabled_reason.as_deref().unwrap_or_default();
    service.enabled || tachi_domain::recovery::is_drained(reason)
}

/// Returns the change of a service record.
fn change_to(reason: Option<&str>) -> ServiceChange {
    ServiceChange {
        disable: Some(reason.map(ToOwned::to_owned)),
        forced_down: None,
    }
}
