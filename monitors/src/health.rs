//! Health of a monitor, for `/healthz`, systemd and its log.
//!
//! The loop that watches feeds systemd's watchdog, and only while the delivery's loop runs as well: a stuck loop gets
//! the process restarted, which loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_spool::Stamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::planes::Planes;

/// Time without progress after which a loop is stuck.
const STUCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The name of the monitor's own loop.
const WATCH_LOOP: &str = "watching";

/// Health of a monitor. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    loops: BTreeMap<&'static str, Instant>,
    /// Problems by subsystem; `None` for a healthy one.
    parts: BTreeMap<&'static str, Option<String>>,
    /// Interval of systemd's watchdog.
    watchdog: Option<Duration>,
    fed: Instant,
    status: String,
    watch: Watch,
    detection_time: Option<Duration>,
    planes: Planes,
    /// The processes that could not be restarted, each with the time since when.
    processes_down: BTreeMap<String, Stamp>,
    /// The guests whose disk is on this host alone; `None` before the first reading.
    local_disks: Option<BTreeSet<Uuid>>,
    /// The guests that have shut themselves down; empty while that is not known.
    shut_down: BTreeSet<Uuid>,
}

/// The hosts that a host monitor watches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The hosts, by their names in Nova, as of the last time they could be judged.
    pub(crate) hosts: BTreeSet<String>,
    /// True if the monitor can judge them now.
    pub(crate) now: bool,
}

/// A snapshot of the health.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Condition {
    /// True if there is no problem.
    pub(crate) healthy: bool,
    /// Problems by subsystem.
    pub(crate) parts: BTreeMap<&'static str, String>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Health {
    /// Creates the health of a starting monitor, with systemd's watchdog interval.
    pub(crate) fn new(watchdog: Option<Duration>) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            loops: BTreeMap::from([(WATCH_LOOP, now)]),
            parts: BTreeMap::new(),
            watchdog,
            fed: now,
            status: String::new(),
            watch: Watch::default(),
            detection_time: None,
            planes: Planes::default(),
            processes_down: BTreeMap::new(),
            local_disks: None,
            shut_down: BTreeSet::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a turn of the watching loop.
    pub fn tick(&self) {
        self.tick_of(WATCH_LOOP);
    }

    /// Records a turn of this loop.
    pub(crate) fn tick_of(&self, name: &'static str) {
        let now = Instant::now();
        let mut state = self.state();
        state.loops.insert(name, now);
        let Some(within) = state.watchdog else {
            return;
        };
        let all = state.loops.values().all(|tick| now - *tick < within);
        if all && now - state.fed >= within / 4 {
            state.fed = now;
            drop(state);
            if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
                tracing::warn!(%error, "failed to feed systemd's watchdog");
            }
        }
    }

    /// Marks a subsystem as working: a connection, a tool, the API. Logged on a change only.
    pub fn good(&self, part: &'static str) {
        let before = self.state().parts.insert(part, None);
        gauge(part, true);
        if let Some(Some(_)) = before {
            tracing::info!(part, "part of the monitor works again");
            self.notify();
        }
    }

    /// Marks a subsystem as failed. Logged on a change of the state or the reason only.
    pub fn bad(&self, part: &'static str, why: impl Into<String>) {
        let why = why.into();
        let before = self.state().parts.insert(part, Some(why.clone()));
        gauge(part, false);
        if before.flatten().as_ref() != Some(&why) {
            tracing::error!(part, %why, "part of the monitor failed");
            self.notify();
        }
    }

    /// Records that a host monitor can judge these hosts now. A monitor that can judge none is blind.
    pub(crate) fn watches(&self, hosts: impl IntoIterator<Item = String>) {
        let hosts: BTreeSet<String> = hosts.into_iter().collect();
        if hosts.is_empty() {
            self.is_blind();
        } else {
            self.state().watch = Watch { hosts, now: true };
        }
    }

    /// Records that a host monitor can judge no host now.
    pub(crate) fn is_blind(&self) {
        self.state().watch.now = false;
    }

    /// Sets the longest time until the cluster detects the loss of a host; `None` if unknown.
    pub(crate) fn detection_time(&self, time: Option<Duration>) {
        self.state().detection_time = time;
    }

    /// Returns the last value of [`Self::misses_within`].
    pub(crate) fn last_detection_time(&self) -> Option<Duration> {
        self.state().detection_time
    }

    /// Returns the watched hosts. A monitor with a stuck loop judges none.
    pub(crate) fn watch(&self) -> Watch {
        let now = Instant::now();
        let state = self.state();
        let stuck = state
            .loops
            .get(WATCH_LOOP)
            .is_some_and(|tick| now - *tick > STUCK_TIMEOUT);
        Watch {
            now: state.watch.now && !stuck,
            ..state.watch.clone()
        }
    }

    /// Reads or changes the lost planes.
    pub(crate) fn planes<T>(&self, update: impl FnOnce(&mut Planes) -> T) -> T {
        update(&mut self.state().planes)
    }

    /// Sets the processes that could not be restarted.
    pub(crate) fn processes_down(&self, processes: BTreeMap<String, Stamp>) {
        self.state().processes_down = processes;
    }

    /// Returns the last value of [`Self::processes_down`].
    pub(crate) fn down_processes(&self) -> BTreeMap<String, Stamp> {
        self.state().processes_down.clone()
    }

    /// Sets the guests whose disk is on this host alone.
    pub(crate) fn set_local_disks(&self, guests: BTreeSet<Uuid>) {
        self.state().local_disks = Some(guests);
    }

    /// Returns the last value of [`Self::set_local_disks`]; `None` if there was no reading.
    pub(crate) fn local_disks(&self) -> Option<BTreeSet<Uuid>> {
        self.state().local_disks.clone()
    }

    /// Sets the guests that have shut themselves down, and were not started since.
    pub(crate) fn set_shut_down(&self, guests: BTreeSet<Uuid>) {
        self.state().shut_down = guests;
    }

    /// Returns the last value of [`Self::set_shut_down`].
    pub(crate) fn shut_down(&self) -> BTreeSet<Uuid> {
        self.state().shut_down.clone()
    }

    /// Returns the problem of a subsystem.
    pub(crate) fn problem(&self, part: &str) -> Option<String> {
        self.state().parts.get(part).cloned().flatten()
    }

    /// Sets the status that the service manager shows while there is no problem.
    pub fn status(&self, status: impl Into<String>) {
        let status = status.into();
        let mut state = self.state();
        if state.status == status {
            return;
        }
        state.status = status;
        drop(state);
        self.notify();
    }

    fn notify(&self) {
        let condition = self.condition();
        let text = if condition.healthy {
            self.state().status.clone()
        } else {
            condition.line()
        };
        // Without systemd this does nothing.
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Status(&text)]) {
            tracing::debug!(%error, "failed to send the status to systemd");
        }
    }

    /// Returns the current health.
    pub(crate) fn condition(&self) -> Condition {
        let now = Instant::now();
        let state = self.state();
        let mut parts: BTreeMap<&'static str, String> = BTreeMap::new();
        for (part, wrong) in &state.parts {
            if let Some(why) = wrong {
                parts.insert(part, why.clone());
            }
        }
        for (name, tick) in &state.loops {
            let silent = now - *tick;
            if silent > STUCK_TIMEOUT {
                parts.insert(name, format!("has made no progress for {} s", silent.as_secs()));
            }
        }
        Condition {
            healthy: parts.is_empty(),
            parts,
        }
    }
}

fn gauge(part: &'static str, good: bool) {
    metrics::gauge!("tachi_monitor_part_up", "part" => part).set(if good { 1.0 } else { 0.0 });
}

impl Condition {
    /// Returns the condition on one line.
    pub(crate) fn line(&self) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|(part, why)| format!("{part}: {why}"))
            .collect();
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW25.
    #[tokio::test(start_paused = true)]
    async fn health_names_what_does_not_work_and_loops_that_are_stuck() {
        let health = Health::default();
        assert!(health.condition().healthy);
        health.good("libvirt");
        health.bad("api", "no answer");
        let condition = health.condition();
        assert!(!condition.healthy);
        assert_eq!(condition.line(), "api: no answer");
        health.good("api");
        assert!(health.condition().healthy);
        tokio::time::advance(STUCK_TIMEOUT + Duration::from_secs(1)).await;
        assert_eq!(
            health.condition().line(),
            "watching: has made no progress for 31 s"
        );
        health.tick();
        assert!(health.condition().healthy);
        health.tick_of("delivery");
        tokio::time::advance(STUCK_TIMEOUT + Duration::from_secs(1)).await;
        health.tick();
        assert_eq!(
            health.condition().line(),
            "delivery: has made no progress for 31 s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_monitor_watches_nothing_and_tells_what_it_watched() {
        let health = Health::default();
        assert_eq!(health.watch(), Watch::default());
        health.watches(["cmp1".to_owned()]);
        assert!(health.watch().now);
        tokio::time::advance(STUCK_TIMEOUT + Duration::from_secs(1)).await;
        assert!(!health.watch().now && health.watch().hosts.contains("cmp1"));
        health.tick();
        assert!(health.watch().now);
        health.is_blind();
        assert!(!health.watch().now && health.watch().hosts.contains("cmp1"));
        health.watches(["cmp2".to_owned()]);
        health.watches([]);
        assert!(
            !health.watch().now && health.watch().hosts.contains("cmp2"),
            "it judges none"
        );
    }

    /// A test of systemd's socket would need an environment variable, so this tests the decision.
    /// Covers MW25.
    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_not_fed_while_a_loop_is_stuck() {
        let health = Health::new(Some(Duration::from_secs(60)));
        let fed = |health: &Health| health.state().fed;
        let begin = fed(&health);
        health.tick_of("delivery");
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(15)).await;
            health.tick();
        }
        let last = fed(&health);
        assert!(last > begin);
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(15)).await;
            health.tick();
        }
        assert_eq!(fed(&health), last, "the delivery is stuck");
        health.tick_of("delivery");
        assert!(fed(&health) > last);
    }
}
