//! State of the fence devices, for heartbeat, metrics and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metrics::gauge;
use tachi_domain::Timestamp;
use tachi_domain::situation::DeviceTest;
use tachi_engine::ports::device_report::{Alarm, Report};
use tachi_engine::watcher::Tests;
use tokio::sync::Notify;

use super::Pauses;

/// Metric: 1 unless a host's self-test of the device has failed twice in a row.
pub const UP: &str = "tachi_fence_device_up";
/// Metric: hosts whose last self-test of the device failed.
pub const FAULTS: &str = "tachi_fence_device_faults";
/// Metric: devices that read their host off while it is up in Nova.
pub const OFF_WHILE_UP: &str = "tachi_fence_off_while_heard";

/// Number of failed self-tests in a row that raise an alarm: a single failure may be a busy device.
const FAILURES: u32 = 2;

/// Limit of the failing devices that are named in a line.
const NAMED: usize = 3;

/// The results of the tests, shared by those who make and those who read them.
#[derive(Clone, Default)]
pub struct FencingState(Arc<SharedState>);

#[derive(Default)]
struct SharedState {
    state: Mutex<State>,
    /// Notified when a test has another result than before.
    changed: Notify,
}

/// A host, and its device with the plug; without a device, a number.
type Key = (String, String);

#[derive(Default)]
struct State {
    /// The reason why the current file is not in force.
    file: Option<String>,
    /// The intervals of tests, if devices are tested.
    pauses: Option<Pauses>,
    /// True if this engine watches for all engines.
    watching: bool,
    /// The last self-test of each device of each host; `None` before the first.
    tests: Option<BTreeMap<Key, DeviceTest>>,
    /// Hosts that cannot be tested as configured: the reason, and the number of failures in a row.
    wrong: BTreeMap<Key, (String, u32)>,
    /// Devices that read off for a host that is up in Nova.
    off_devices_of_up_hosts: BTreeSet<Key>,
    /// Devices with published metrics.
    measured: BTreeSet<String>,
}

/// A device of a host that has failed its last tests.
struct FailingDevice<'a> {
    host: &'a str,
    device: &'a str,
    times: u32,
    why: &'a str,
}

impl State {
    fn failing(&self) -> impl Iterator<Item = FailingDevice<'_>> {
        let wrong = self.wrong.iter().map(|((host, _), (why, times))| FailingDevice {
            host,
            device: "",
            times: *times,
            why,
        });
        let tests = self.tests.iter().flat_map(BTreeMap::values);
        wrong.chain(tests.filter_map(|test| {
            Some(FailingDevice {
                host: &test.host,
                device: &test.device,
                times: test.failures,
                why: test.fault.as_deref()?,
            })
        }))
    }

    fn counts_for(&self) -> u32 {
        counts_for(self.pauses.map_or(Duration::ZERO, |pauses| pauses.beside))
    }

    /// Stores a test; true if its result differs from the one before.
    fn keep(&mut self, report: &Report, at: Timestamp) -> bool {
        let key = (report.host.clone(), target(report));
        if report.device.is_empty() {
            let why = report.fault.clone().unwrap_or_default();
            let times = self.wrong.get(&key).map_or(0, |one| one.1).saturating_add(1);
            self.wrong.insert(key, (why, times));
            return times <= FAILURES;
        }
        if report.alarm == Some(Alarm::OffWhileUp) {
            self.off_devices_of_up_hosts.insert(key.clone());
        } else {
            self.off_devices_of_up_hosts.remove(&key);
        }
        let counts_for = self.counts_for();
        let tests = self.tests.get_or_insert_default();
        let before = tests.get(&key);
        let was = before.map_or(0, |test| test.failures);
        let failures = match &report.fault {
            None => 0,
            Some(_) if report.alarm.is_some() => was.saturating_add(1).max(FAILURES),
            Some(_) => was.saturating_add(1),
        };
        let (host, device) = (&report.host, &report.device);
        if failures == 0 && was >= FAILURES {
            tracing::info!(host, device, "fence device works again");
        }
        if let Some(why) = report
            .fault
            .as_ref()
            .filter(|_| failures >= FAILURES && was < FAILURES)
        {
            let level = report.level;
            tracing::warn!(
                host,
                device,
                level,
                %why,
                "fence device failed its self-test"
            );
        }
        let failed_before = before.is_some_and(|test| test.fault.is_some());
        let differs = failed_before != report.fault.is_some() || (failures >= FAILURES) != (was >= FAILURES);
        let test = DeviceTest {
            host: report.host.clone(),
            level: report.level,
            device: report.device.clone(),
            target: key.1.clone(),
            as_of: at,
            counts_for,
            power: report.power,
            fault: report.fault.clone(),
            failures,
        };
        let is_new = tests.insert(key, test).is_none();
        differs || is_new
    }
}

/// Returns for how many seconds a test counts. Tests have long intervals, and may have to wait for a device that many hosts share.
fn counts_for(interval: Duration) -> u32 {
    let counts = interval.saturating_mul(2).saturating_add(Duration::from_mins(1));
    u32::try_from(counts.as_secs()).unwrap_or(u32::MAX)
}

/// Time for which a test by command counts where engines run no tests: operators test by hand then, or from a daily job.
const BY_HAND_ALONE: Duration = Duration::from_hours(24);

/// Returns the test that an operator has run by command; `None` for a host that cannot be tested as configured.
pub fn by_command(report: &Report, pauses: Option<Pauses>, at: Timestamp) -> Option<DeviceTest> {
    if report.device.is_empty() {
        return None;
    }
    Some(DeviceTest {
        host: report.host.clone(),
        level: report.level,
        device: report.device.clone(),
        target: target(report),
        as_of: at,
        counts_for: pauses.map_or_else(
            || u32::try_from(BY_HAND_ALONE.as_secs()).unwrap_or(u32::MAX),
            |pauses| counts_for(pauses.beside),
        ),
        power: report.power,
        fault: report.fault.clone(),
        failures: match &report.fault {
            None => 0,
            // No engine tests it again.
            Some(_) if pauses.is_none() || report.alarm.is_some() => FAILURES,
            Some(_) => 1,
        },
    })
}

/// Returns the device of a report with its plug.
pub(super) fn target(report: &Report) -> String {
    let target = report.target.as_ref();
    target.map_or_else(
        || match report.device.as_str() {
            "" => report.level.to_string(),
            device => device.to_owned(),
        },
        ToString::to_string,
    )
}

impl FencingState {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the reason why the current file is not in force, if it is not.
    pub fn file(&self, why: Option<String>) {
        self.state().file = why;
    }

    /// Sets the intervals of the tests.
    pub fn tests_every(&self, pauses: Pauses) {
        self.state().pauses = Some(pauses);
    }

    /// Sets whether this engine watches for all engines.
    pub fn watches(&self, watching: bool) {
        self.state().watching = watching;
    }

    pub(super) fn is_watching(&self) -> bool {
        self.state().watching
    }

    /// Describes what is wrong, if anything is.
    pub fn problem(&self) -> Option<String> {
        let state = self.state();
        if let Some(why) = &state.file {
            return Some(format!(
                "the devices' file has problems, and its previous content is in force: {why}"
            ));
        }
        let failing: Vec<FailingDevice<'_>> = state.failing().filter(|one| one.times >= FAILURES).collect();
        let named = failing.iter().take(NAMED);
        let first: Vec<String> = named
            .map(|one| match one.device {
                "" => format!("{} ({})", one.host, one.why),
                device => format!("{} by {device} ({})", one.host, one.why),
            })
            .collect();
        let more = failing.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        (!failing.is_empty()).then(|| format!("failing its self-test: {}{more}", first.join(", ")))
    }

    /// Returns the hosts with a device that has failed its last self-test.
    pub(super) fn failing_hosts(&self) -> BTreeSet<String> {
        self.state().failing().map(|one| one.host.to_owned()).collect()
    }

    /// Stores the results of tests.
    pub(super) fn keep(&self, reports: &[Report], at: Timestamp) {
        let mut state = self.state();
        let mut differs = false;
        for report in reports {
            differs |= state.keep(report, at);
        }
        if differs {
            self.0.changed.notify_one();
        }
    }

    /// Stores that a device has not answered for `patience`. Until the result is known, it counts as one failure.
    pub(super) fn late(&self, report: &Report, at: Timestamp, patience: Duration) {
        let mut state = self.state();
        let key = (report.host.clone(), target(report));
        let before = state.tests.as_ref().and_then(|tests| tests.get(&key));
        if before.is_some_and(|test| test.fault.is_some()) {
            return;
        }
        let test = DeviceTest {
            host: report.host.clone(),
            level: report.level,
            device: report.device.clone(),
            target: key.1.clone(),
            as_of: at,
            counts_for: state.counts_for(),
            power: None,
            fault: Some(format!(
                "the device has not answered for {} s",
                patience.as_secs()
            )),
            failures: 0,
        };
        state.tests.get_or_insert_default().insert(key, test);
        self.0.changed.notify_one();
    }

    /// Removes everything that is not among these reports; returns the keys of the reports.
    pub(super) fn only<'a>(&self, all: impl Iterator<Item = &'a Report>) -> BTreeSet<Key> {
        let known: BTreeSet<Key> = all.map(|report| (report.host.clone(), target(report))).collect();
        let mut state = self.state();
        let is_known = |key: &Key| known.contains(key);
        if let Some(tests) = &mut state.tests {
            tests.retain(|key, _| is_known(key));
        }
        state.wrong.retain(|key, _| is_known(key));
        state.off_devices_of_up_hosts.retain(is_known);
        drop(state);
        known
    }

    /// Publishes the metrics.
    pub(super) fn measure(&self) {
        let mut state = self.state();
        let mut faults: BTreeMap<String, (u32, bool)> = BTreeMap::new();
        for name in &state.measured {
            faults.insert(name.clone(), (0, false));
        }
        for test in state.tests.iter().flat_map(BTreeMap::values) {
            let one = faults.entry(test.device.clone()).or_default();
            one.0 = one.0.saturating_add(u32::from(test.fault.is_some()));
            one.1 |= test.failures >= FAILURES;
        }
        let off_while_up = u32::try_from(state.off_devices_of_up_hosts.len()).unwrap_or(u32::MAX);
        gauge!(OFF_WHILE_UP).set(f64::from(off_while_up));
        for (device, (count, down)) in faults {
            gauge!(FAULTS, "device" => device.clone()).set(f64::from(count));
            gauge!(UP, "device" => device.clone()).set(if down { 0.0 } else { 1.0 });
            state.measured.insert(device);
        }
    }
}

#[async_trait]
impl Tests for FencingState {
    fn last(&self) -> Option<Vec<DeviceTest>> {
        Some(self.state().tests.as_ref()?.values().cloned().collect())
    }

    fn resume(&self, stored: Vec<DeviceTest>) {
        let mut state = self.state();
        if state.pauses.is_none() {
            return;
        }
        let tests = state.tests.get_or_insert_default();
        for test in stored {
            let key = (test.host.clone(), test.target.clone());
            if tests.get(&key).is_none_or(|ours| ours.as_of < test.as_of) {
                tests.insert(key, test);
            }
        }
    }

    async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
