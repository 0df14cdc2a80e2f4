//! States of hosts that are sampled: Consul and Kubernetes. They know which hosts answer, and prove nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tachi_instance_ha::{HostStatus, Notification};
use tachi_pacemaker::Brake;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::health::Health;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::reporter::Reporter;
use crate::saved;
use crate::settings::Settings;

/// Subsystem of the health: too many hosts are gone at once.
pub(super) const STORM: &str = "storm";
/// Subsystem of the health: the state is saved for the next start.
const MEMORY: &str = "memory";

/// A host's state at one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Up,
    Down,
    /// The host lost a network that does not decide: neither up nor down.
    Other,
    /// Unknown: the sample does not count.
    Unknown,
}

/// A change of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    Started,
    Stopped,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Host {
    /// Number of consecutive equal states.
    #[serde(skip)]
    run: Option<(State, usize)>,
    /// The stable state: the last one that was equal for all samples.
    stable: Option<State>,
    /// The last reported change.
    reported: Option<Change>,
    /// True if it was seen running since it was reported as stopped.
    #[serde(skip)]
    runs: bool,
    /// Time of the report as stopped.
    #[serde(skip)]
    stopped: Option<Instant>,
}

/// The states of all hosts.
#[derive(Debug)]
pub(crate) struct Hosts {
    samples: usize,
    all: BTreeMap<String, Host>,
    changed: bool,
}

impl Hosts {
    /// Creates an empty set. A state is trusted after `samples` equal observations in a row.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            samples: samples.max(1),
            all: BTreeMap::new(),
            changed: false,
        }
    }

    /// Returns the reports to send after a poll. One that is not [`reported`](Self::reported) is returned again at the next
    /// one.
    pub(crate) fn observe(&mut self, states: &BTreeMap<String, State>) -> Vec<(String, Change)> {
        let mut changes = Vec::new();
        for (name, state) in states {
            let host = self.all.entry(name.clone()).or_default();
            if *state == State::Unknown {
                continue;
            }
            let run = match host.run {
                Some((same, run)) if same == *state => run.saturating_add(1),
                _ => 1,
            };
            host.run = Some((*state, run));
            if run < self.samples {
                continue;
            }
            // The first known state is a host's initial state, not a change. A host that is down already looks like
            // one that never existed.
            let is_initial = host.stable.is_none();
            self.changed |= host.stable != Some(*state);
            host.stable = Some(*state);
            if is_initial {
                host.reported = match state {
                    State::Down => Some(Change::Stopped),
                    State::Up | State::Other | State::Unknown => Some(Change::Started),
                };
            }
            match (state, host.reported) {
                (State::Down, Some(Change::Started)) => changes.push((name.clone(), Change::Stopped)),
                // It was seen running since its report, so this is another loss.
                (State::Down, Some(Change::Stopped)) if host.runs => {
                    changes.push((name.clone(), Change::Stopped));
                }
                (State::Other, Some(Change::Stopped)) => host.runs = true,
                (State::Up, Some(Change::Stopped)) => changes.push((name.clone(), Change::Started)),
                _ => {}
            }
        }
        changes
    }

    /// Returns the number of hosts that are gone at once, including those in `changes`, if there are too many to
    /// trust.
    fn storm(&self, changes: &[(String, Change)], brake: &Brake) -> Option<usize> {
        let fresh = changes
            .iter()
            .filter(|(_, change)| *change == Change::Stopped)
            .count();
        let is_recent = |host: &&Host| host.stopped.is_some_and(|at| at.elapsed() <= brake.window);
        let gone = self.all.values().filter(is_recent).count() + fresh;
        (fresh > 0 && brake.holds(gone, self.all.len())).then_some(gone)
    }

    /// Removes hosts that no longer exist.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let before = self.all.len();
        self.all.retain(|name, _| keep(name));
        self.changed |= self.all.len() != before;
    }

    /// Records a sent report.
    pub(crate) fn reported(&mut self, name: &str, change: Change) {
        if let Some(host) = self.all.get_mut(name) {
            host.reported = Some(change);
            host.runs = false;
            host.stopped = (change == Change::Stopped).then(Instant::now);
            self.changed = true;
        }
    }
}

/// A driver: polls the hosts, and renders the reports.
#[async_trait]
pub(crate) trait HostSampler: Send {
    /// Returns every host's state except this machine's; `None` if unknown, with the reason in the health.
    async fn sample(&mut self, health: &Health) -> Option<BTreeMap<String, State>>;
    /// Renders the report about a change; `None` if there is nothing to report.
    fn report(&self, host: &str, change: Change) -> Option<Notification>;
    /// True if a host that is no longer listed is gone, not merely unseen.
    fn lists_all(&self) -> bool;
    /// Returns the limitation that operators should know.
    fn warning(&self) -> &'static str;
}

/// A monitor that samples hosts.
pub(crate) struct Sampler<E> {
    pub(super) driver: E,
    hosts: Hosts,
    brake: Brake,
    interval: Duration,
    file: PathBuf,
}

impl<E: HostSampler> Sampler<E> {
    /// Creates a monitor that continues from the state of the process before it: a host that died meanwhile is
    /// reported.
    pub(crate) fn new(driver: E, settings: &Settings) -> Result<Self, Failure> {
        let file = settings
            .folder(Kind::Host)
            .join(format!("{}.json", settings.host.driver));
        let stored = saved::read(&file)
            .map_err(|error| Failure::new("reading the observations of the previous process", error))?;
        let mut hosts = Hosts::new(settings.host.samples);
        hosts.all = stored.unwrap_or_default();
        let bridge = &settings.bridge;
        Ok(Self {
            driver,
            hosts,
            brake: Brake {
                percent: bridge.storm_percent,
                floor: bridge.storm_floor,
                window: bridge.storm_window.max(settings.host.interval * 2),
                hold: bridge.storm_hold,
            },
            interval: settings.host.interval,
            file,
        })
    }

    /// Polls once and returns the reports to send. Without proof a storm is never reported: more probably this
    /// machine is isolated, and remaining failures are returned after it.
    pub(crate) async fn round(&mut self, health: &Health) -> Vec<(String, Change)> {
        let Some(states) = self.driver.sample(health).await else {
            health.is_blind();
            return Vec::new();
        };
        let judged = states.iter().filter(|(_, state)| **state != State::Unknown);
        health.watches(judged.map(|(name, _)| name.clone()));
        if self.driver.lists_all() {
            self.hosts.retain(|name| states.contains_key(name));
        }
        let mut changes = self.hosts.observe(&states);
        match self.hosts.storm(&changes, &self.brake) {
            Some(gone) => {
                health.bad(
                    STORM,
                    format!(
                        "{gone} of {} hosts are lost at the same time, so this machine is probably isolated: not reporting them",
                        self.hosts.all.len()
                    ),
                );
                changes.retain(|(_, change)| *change == Change::Started);
            }
            None => health.good(STORM),
        }
        changes
    }

    #[cfg(test)]
    pub(super) fn set_brake(&mut self, percent: u8, floor: usize) {
        self.brake.percent = percent;
        self.brake.floor = floor;
    }

    pub(super) fn reported(&mut self, host: &str, change: Change) {
        self.hosts.reported(host, change);
    }

    /// Saves the state for the next start.
    pub(super) async fn save(&mut self, health: &Health) {
        if !std::mem::take(&mut self.hosts.changed) {
            return;
        }
        let (file, hosts) = (self.file.clone(), self.hosts.all.clone());
        let why = match tokio::task::spawn_blocking(move || saved::write(&file, &hosts)).await {
            Ok(Ok(())) => return health.good(MEMORY),
            Ok(Err(error)) => Failure::new("failed to store the observations", error).chain(),
            Err(error) => error.to_string(),
        };
        self.hosts.changed = true;
        health.bad(MEMORY, why);
    }

    async fn report(&mut self, changes: Vec<(String, Change)>, reporter: &Reporter) {
        for (host, change) in changes {
            let Some(report) = self.driver.report(&host, change) else {
                self.reported(&host, change);
                continue;
            };
            match reporter
                .report_replacing(&report, "the host's state has changed again")
                .await
            {
                Ok(_) => self.reported(&host, change),
                // The report is not recorded: the next poll returns the change again.
                Err(error) => tracing::error!(%error, %host, "failed to store a report"),
            }
        }
    }
}

#[async_trait]
impl<E: HostSampler> Monitor for Sampler<E> {
    async fn run(
        mut self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        tracing::warn!(detail = %self.driver.warning(), "monitor cannot confirm that a host is off");
        loop {
            let changes = tokio::select! {
                changes = self.round(&health) => changes,
                () = stop.cancelled() => return Ok(()),
            };
            self.report(changes, &reporter).await;
            self.save(&health).await;
            if rest(self.interval, &health, &stop).await {
                return Ok(());
            }
        }
    }
}

/// Returns the status to report for a host that does not answer: it is not confirmed off.
pub(super) fn stopped_status(settings: &Settings) -> HostStatus {
    if settings.host.normal_without_proof {
        HostStatus::Normal
    } else {
        HostStatus::Unknown
    }
}

/// Waits until the next poll, with heartbeats meanwhile. True if the process stops.
async fn rest(interval: Duration, health: &Health, stop: &CancellationToken) -> bool {
    /// Interval of these heartbeats; a loop counts as stuck after 30 s without one.
    const TICK_INTERVAL: Duration = Duration::from_secs(5);
    let next = Instant::now() + interval;
    loop {
        health.tick();
        let now = Instant::now();
        if now >= next {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep((next - now).min(TICK_INTERVAL)) => {}
            () = stop.cancelled() => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the reports for one host's states, poll by poll.
    fn reports_of(samples: usize, states: &[State]) -> Vec<Option<Change>> {
        let mut hosts = Hosts::new(samples);
        states
            .iter()
            .map(|state| {
                let changes = hosts.observe(&BTreeMap::from([("cmp1".to_owned(), *state)]));
                for (host, change) in &changes {
                    hosts.reported(host, *change);
                }
                changes.first().map(|(_, change)| *change)
            })
            .collect()
    }

    /// Covers MW20.
    #[test]
    fn report_cases() {
        use State::{Down, Other, Unknown, Up};
        const NONE: Option<Change> = None;
        const STARTED: Option<Change> = Some(Change::Started);
        const STOPPED: Option<Change> = Some(Change::Stopped);
        for (name, samples, states, expected) in [
            (
                "dies and returns",
                1,
                vec![Up, Down, Down, Up],
                vec![NONE, STOPPED, NONE, STARTED],
            ),
            (
                "down from the beginning",
                1,
                vec![Down, Down, Up, Down],
                vec![NONE, NONE, STARTED, STOPPED],
            ),
            (
                "unknown samples do not count",
                1,
                vec![Up, Unknown, Up, Unknown, Down],
                vec![NONE, NONE, NONE, NONE, STOPPED],
            ),
            (
                "two samples",
                2,
                vec![Up, Up, Down, Down, Up, Up],
                vec![NONE, NONE, NONE, STOPPED, NONE, STARTED],
            ),
            (
                "a flicker with two samples",
                2,
                vec![Up, Up, Down, Up, Down, Up],
                vec![NONE; 6],
            ),
            (
                "no STARTED without a STOPPED",
                2,
                vec![Up, Up, Down, Up, Up],
                vec![NONE; 5],
            ),
            (
                "something is lost, then all",
                1,
                vec![Up, Other, Down, Other, Up],
                vec![NONE, NONE, STOPPED, NONE, STARTED],
            ),
            (
                "gone, running without a network, gone again",
                1,
                vec![Up, Down, Other, Down, Down],
                vec![NONE, STOPPED, NONE, STOPPED, NONE],
            ),
            (
                "something is lost and found",
                1,
                vec![Up, Other, Up],
                vec![NONE; 3],
            ),
            (
                "unknown for long",
                2,
                vec![Up, Up, Down, Unknown, Unknown, Down],
                vec![NONE, NONE, NONE, NONE, NONE, STOPPED],
            ),
        ] {
            assert_eq!(reports_of(samples, &states), expected, "{name}");
        }
    }

    #[test]
    fn what_was_not_told_is_named_again() {
        let mut hosts = Hosts::new(1);
        let at = |state| BTreeMap::from([("cmp1".to_owned(), state)]);
        assert!(hosts.observe(&at(State::Up)).is_empty());
        assert_eq!(hosts.observe(&at(State::Down)).len(), 1);
        assert_eq!(
            hosts.observe(&at(State::Down)).len(),
            1,
            "the report was not kept"
        );
        hosts.reported("cmp1", Change::Stopped);
        assert!(hosts.observe(&at(State::Down)).is_empty());
    }
}
