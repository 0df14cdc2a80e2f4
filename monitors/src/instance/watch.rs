//! Subscribes to libvirtd, passes events to [`Judge`], and carries out its decisions.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::join_all;
use tachi_instance_ha::{GeneratedTime, Notification};
use tachi_libvirt::{
    Address, CallError, Connection, Domain, DomainFilter, DomainState, Event, EventKind, Events, Keepalive,
    Options,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::instance::inventory::{Found, Inventory};
use crate::instance::judge::{Decision, GuestEvent, GuestListing, Judge, Report, Rules};
use crate::instance::local_disk::DiskReading;
use crate::libvirt::{Backoff, chain, ended, is_nova};
use crate::monitor::Monitor;
use crate::reporter::{ReportError, Reporter};

/// Subsystem of the health: the connection to libvirt.
pub(super) const LIBVIRT: &str = "libvirt";
/// Subsystem of the health: the inventory on disk.
const INVENTORY: &str = "inventory";
/// Interval of the loop without events.
const LOOP_INTERVAL: Duration = Duration::from_secs(1);
/// Limit of events for which the inventory is written once.
const BATCH: usize = 64;
/// Timeout of a call: longer than a busy libvirtd needs, shorter than the loop may block.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before retrying a report that could not be stored.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The instance monitor.
#[derive(Debug)]
pub(crate) struct InstanceMonitor {
    pub(crate) hostname: String,
    pub(crate) address: Address,
    pub(crate) rules: Rules,
    pub(crate) folder: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) keepalive: Keepalive,
}

#[async_trait]
impl Monitor for InstanceMonitor {
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let judge = self.judge()?;
        let mut watch = Watch {
            monitor: *self,
            judge,
            reporter,
            health,
            stop,
            disks: DiskReading::default(),
        };
        watch.run().await;
        Ok(())
    }
}

impl InstanceMonitor {
    fn judge(&self) -> Result<Judge, Failure> {
        let boot = self.clock.stamp().boot;
        let found = Inventory::read(&self.folder, &boot)
            .map_err(|error| Failure::new("reading the observations of the previous process", error))?;
        Ok(match found {
            Found::Loaded(inventory) => Judge::new(self.rules.clone(), inventory, false),
            Found::Nothing(why) => {
                tracing::info!(%why, "starting without saved state; guests that are already stopped will not be reported");
                Judge::new(self.rules.clone(), Inventory::new(&boot), true)
            }
        })
    }

    fn options(&self) -> Options {
        Options {
            call_timeout: CALL_TIMEOUT,
            keepalive: Some(self.keepalive),
            ..Options::default()
        }
    }

    /// Returns the events to subscribe to. Events that are never reported are omitted.
    fn kinds(&self) -> Vec<EventKind> {
        let mut kinds = vec![EventKind::Lifecycle, EventKind::IoError];
        if self.rules.all_events {
            kinds.extend([
                EventKind::Reboot,
                EventKind::IoErrorReason,
                EventKind::ControlError,
            ]);
        }
        if self.rules.all_events || self.rules.watchdog_pause {
            kinds.push(EventKind::Watchdog);
        }
        kinds
    }
}

struct Watch {
    monitor: InstanceMonitor,
    judge: Judge,
    reporter: Reporter,
    health: Health,
    stop: CancellationToken,
    disks: DiskReading,
}

impl Watch {
    /// Connects repeatedly. libvirtd may be stopped, restarted or frozen at any time, and the monitor continues.
    async fn run(&mut self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            self.health.tick();
            let started = Instant::now();
            let options = self.monitor.options();
            let opened = tokio::select! {
                () = self.stop.cancelled() => return,
                opened = Connection::open(&self.monitor.address, &options) => opened,
            };
            let why = match opened {
                Ok((connection, events)) => match self.session(connection, events).await {
                    Ok(()) => return,
                    Err(why) => why,
                },
                Err(error) => chain(&error),
            };
            metrics::counter!("tachi_monitor_libvirt_losses_total").increment(1);
            self.health.bad(LIBVIRT, why);
            // A guest may start unseen from now on.
            self.health.set_shut_down(BTreeSet::new());
            if started.elapsed() > Duration::from_secs(10) {
                backoff = Backoff::default();
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(backoff.next()) => {}
            }
        }
    }

    /// Runs until the connection ends (an error with the reason), or this process is stopped.
    async fn session(&mut self, connection: Connection, mut events: Events) -> Result<(), String> {
        // The subscription comes before the list, so that events between the two are received.
        for kind in self.monitor.kinds() {
            connection.register(kind).await.map_err(|error| chain(&error))?;
        }
        self.compare_all(&connection)
            .await
            .map_err(|error| chain(&error))?;
        self.health.good(LIBVIRT);
        loop {
            self.health.tick();
            // An event that is not taken now stays in its queue.
            let first = tokio::select! {
                () = self.stop.cancelled() => {
                    connection.close().await;
                    return Ok(());
                }
                event = timeout(LOOP_INTERVAL, events.next()) => event,
            };
            if let Ok(event) = first {
                let mut batch = vec![event.map_err(|reason| chain(&*reason))?];
                while batch.len() < BATCH
                    && let Some(event) = events.waiting()
                {
                    batch.push(event);
                }
                self.observe(&connection, &batch).await;
            }
            self.check_panicked(&connection)
                .await
                .map_err(|error| chain(&error))?;
            let disks = self.disks.turn(&connection, &self.health).await;
            disks.map_err(|error| chain(&error))?;
            self.write().await;
        }
    }

    /// Lists all guests and compares them with the earlier states.
    async fn compare_all(&mut self, connection: &Connection) -> Result<(), CallError> {
        let mut listed = Vec::new();
        for (listing, persistent) in [(DomainFilter::Persistent, true), (DomainFilter::Transient, false)] {
            for domain in connection.domains(listing).await? {
                self.health.tick();
                let state = match connection.state(&domain).await {
                    Ok(state) => state,
                    Err(error) if ended(&error) => return Err(error),
                    // An error of one guest must not hide the others.
                    Err(error) => {
                        tracing::warn!(instance = %domain.uuid, error = %chain(&error), "failed to read the state of a guest");
                        Some((DomainState::None, 0))
                    }
                };
                // A guest that ended between the two calls causes an event.
                let Some((state, reason)) = state else { continue };
                let nova = self.belongs(connection, &domain).await?;
                listed.push(GuestListing {
                    uuid: domain.uuid,
                    name: domain.name,
                    persistent,
                    nova,
                    state,
                    reason,
                });
            }
        }
        let micros = self.monitor.clock.generated().micros();
        let decisions = self.judge.compare(&listed, micros, Instant::now());
        tracing::info!(
            guests = listed.len(),
            "connected to libvirtd; all guests were compared"
        );
        self.execute(decisions).await;
        Ok(())
    }

    /// True if the guest is one of Nova's instances. If libvirt does not state it, the guest is reported rather than
    /// lost.
    async fn belongs(&self, connection: &Connection, domain: &Domain) -> Result<bool, CallError> {
        if let Some(nova) = self.judge.is_nova(domain.uuid) {
            return Ok(nova);
        }
        if !self.monitor.rules.nova_only {
            return Ok(true);
        }
        match is_nova(connection, domain).await {
            Err(error) if !ended(&error) => {
                tracing::warn!(instance = %domain.uuid, error = %chain(&error), "failed to read the owner of a guest; treating it as an \
                    instance of Nova");
                Ok(true)
            }
            nova => nova,
        }
    }

    async fn observe(&mut self, connection: &Connection, batch: &[Event]) {
        let mut decisions = Vec::new();
        for event in batch {
            let guest_event = GuestEvent {
                uuid: event.domain.uuid,
                name: &event.domain.name,
                what: &event.what,
                micros: micros(event.at),
            };
            tracing::debug!(instance = %guest_event.uuid, name = guest_event.name, what = ?guest_event.what, "libvirt event");
            if !self.judge.knows(guest_event.uuid) {
                let nova = self.belongs(connection, &event.domain).await.unwrap_or(true);
                self.judge.meet(&guest_event, nova);
            }
            decisions.extend(self.judge.event(&guest_event, Instant::now()));
        }
        self.execute(decisions).await;
    }

    /// Checks guests that panicked: libvirt ends or restarts them at once, or is configured to keep them.
    async fn check_panicked(&mut self, connection: &Connection) -> Result<(), CallError> {
        let mut decisions = Vec::new();
        for uuid in self.judge.panicked(Instant::now()) {
            match state_of(connection, uuid).await {
                Ok(Some(DomainState::Crashed)) => {
                    let micros = self.monitor.clock.generated().micros();
                    decisions.extend(self.judge.still_panicked(uuid, micros, Instant::now()));
                }
                Ok(_) => {}
                Err(error) if ended(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(instance = %uuid, error = %chain(&error), "failed to read the state of a guest");
                }
            }
        }
        self.execute(decisions).await;
        Ok(())
    }

    /// Writes the decisions, then sends the reports, then records them: whenever this process dies, each death is
    /// reported once, or twice as the same.
    async fn execute(&mut self, decisions: Vec<Decision>) {
        self.write().await;
        let mut reports = Vec::new();
        for decision in decisions {
            match decision {
                Decision::Send(report) => {
                    tracing::warn!(
                        instance = %report.uuid, event = report.event_names.event, detail = report.event_names.detail,
                        because = report.because, "reporting a guest"
                    );
                    reports.push(report);
                }
                Decision::Withdraw(uuid) => {
                    self.send(std::mem::take(&mut reports)).await;
                    self.overtake(uuid).await;
                }
                Decision::Skip(uuid, why) => {
                    metrics::counter!("tachi_monitor_skipped_total", "why" => why).increment(1);
                    if why == "unexplained" {
                        tracing::warn!(instance = %uuid, "domain stopped with unknown reason; not reporting it");
                    } else {
                        tracing::debug!(instance = %uuid, %why, "not reporting a guest");
                    }
                }
            }
        }
        self.send(reports).await;
        self.write().await;
    }

    async fn send(&mut self, reports: Vec<Report>) {
        let mut left: Vec<(Report, Notification)> = Vec::with_capacity(reports.len());
        for report in reports {
            let notification = self.notification(&report);
            left.push((report, notification));
        }
        while !left.is_empty() {
            let stored = join_all(
                left.iter()
                    .map(|(_, notification)| self.reporter.report(notification)),
            )
            .await;
            let mut retries = Vec::new();
            for ((report, notification), outcome) in left.into_iter().zip(stored) {
                match outcome {
                    Ok(()) => self.judge.done(report.uuid),
                    // The death is in the inventory: it is reported at the next start.
                    Err(ReportError::Stopping) => {}
                    Err(ReportError::NotStored(_)) => retries.push((report, notification)),
                }
            }
            left = retries;
            if !left.is_empty() {
                self.health.tick();
                let stopped = timeout(RETRY_PAUSE, self.stop.cancelled()).await.is_ok();
                if stopped {
                    return;
                }
            }
        }
    }

    async fn overtake(&self, uuid: Uuid) {
        let subject = Notification::vm_subject(&uuid.to_string());
        // If the disk does not accept it, the engine will find that the instance runs.
        if let Err(error) = self
            .reporter
            .withdraw(&subject, "the instance is running again")
            .await
        {
            tracing::warn!(instance = %uuid, error = %chain(&error), "failed to withdraw the report of a guest that runs again");
        }
    }

    fn notification(&self, report: &Report) -> Notification {
        let notification = Notification::vm(
            &self.monitor.hostname,
            report.event_names.event,
            &report.uuid.to_string(),
            report.event_names.detail,
            GeneratedTime::from_micros(report.micros),
        );
        if report.event_names.has_effect() {
            notification
        } else {
            notification.minor()
        }
    }

    async fn write(&mut self) {
        let Some(inventory) = self.judge.take_changed() else {
            return;
        };
        let (inventory, folder) = (inventory.clone(), self.monitor.folder.clone());
        self.health.set_shut_down(self.judge.shut_down());
        let written = tokio::task::spawn_blocking(move || inventory.write(&folder)).await;
        let error = match written {
            Ok(Ok(())) => {
                self.health.good(INVENTORY);
                return;
            }
            Ok(Err(error)) => chain(&error),
            Err(error) => error.to_string(),
        };
        // Reporting continues: a lost report is worse than a duplicate after a crash.
        self.judge.not_written();
        self.health.bad(INVENTORY, error);
    }
}

/// Returns a guest's state; `None` if it no longer exists.
async fn state_of(connection: &Connection, uuid: Uuid) -> Result<Option<DomainState>, CallError> {
    let Some(domain) = connection.lookup(uuid).await? else {
        return Ok(None);
    };
    Ok(connection.state(&domain).await?.map(|(state, _)| state))
}

/// Returns the time in microseconds since the epoch.
fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
