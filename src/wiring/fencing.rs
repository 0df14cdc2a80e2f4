//! The fence devices: read, read again when their file changes, and tested before they are needed.

pub(crate) mod machines;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use tachi_domain::Timestamp;
use tachi_domain::policy::FencingMode;
use tachi_domain::situation::DeviceTest;
use tachi_engine::ports::operator::SegmentView;
use tachi_engine::ports::{Clock, OperatorDesk as _};
use tachi_engine::{CloudCache, Identified};
use tachi_fence::{Alarm, Fencers, Report};
use tachi_store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use rounds::{Round, Rounds};

use super::Base;
use super::roll::Fact;
use super::watched::{self, Watched};
use crate::cmd::Failure;
use crate::settings::{Fencing, Settings};

/// So many failed self-tests in a row are told: one may be a device that is busy.
const FAILURES: u32 = 2;

/// How many of what fails is named in a line.
const NAMED: usize = 3;

const UP: &str = "tachi_fence_device_up";
const FAULTS: &str = "tachi_fence_device_faults";
const FILE_OK: &str = "tachi_fence_file_ok";
const OFF_WHILE_HEARD: &str = "tachi_fence_off_while_heard";

/// How long the self-test listens for heartbeats at Nova, which come every 10 s unless Nova is told otherwise.
const LISTENS: Duration = Duration::from_secs(75);

/// What tells one state of the file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The devices of this process.
pub(crate) struct Devices {
    settings: Fencing,
    fencers: Arc<Fencers>,
    seen: Option<Print>,
    how: How,
    identified: OnceLock<Arc<Identified>>,
}

/// How the devices are, for those who ask.
#[derive(Clone, Default)]
pub(crate) struct How(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Why the file as it is now is not in force.
    file: Option<String>,
    /// What has failed its self-test twice, by host and device.
    failing: BTreeMap<(String, String), Failing>,
    /// The last self-test of each device of each host; `None` before the first.
    tests: Option<BTreeMap<(String, String), DeviceTest>>,
}

#[derive(Clone, Debug)]
struct Failing {
    times: u32,
    why: String,
}

impl How {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, if something is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let state = self.state();
        if let Some(why) = &state.file {
            return Some(format!("not as the file says, which has problems: {why}"));
        }
        let failing: Vec<_> = state
            .failing
            .iter()
            .filter(|(_, one)| one.times >= FAILURES)
            .collect();
        let first: Vec<String> = failing
            .iter()
            .take(NAMED)
            .map(|((host, device), one)| match device.as_str() {
                "" => format!("{host} ({})", one.why),
                device => format!("{host} by {device} ({})", one.why),
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

    /// What an engine signs with.
    pub(crate) fn fact(&self, fencing: &Fencing, mode: FencingMode) -> Fact {
        let (how, well) = (self.clone(), fencing.fact(mode));
        Arc::new(move || how.trouble().unwrap_or_else(|| well.clone()))
    }

    /// The hosts one of whose devices has failed its last self-test.
    fn failing_hosts(&self) -> BTreeSet<String> {
        self.state()
            .failing
            .keys()
            .map(|(host, _)| host.clone())
            .collect()
    }

    /// The last self-tests, for whoever asks.
    pub(crate) fn tests(&self) -> Arc<dyn Fn() -> Option<Vec<DeviceTest>> + Send + Sync> {
        let how = self.clone();
        Arc::new(move || Some(how.state().tests.as_ref()?.values().cloned().collect()))
    }

    /// Keeps what a round of self-tests has said, until devices had time for two more.
    fn keep(&self, reports: &[Report], all: bool, at: Timestamp, every: Duration) {
        let counts_for = every.saturating_mul(2).saturating_add(Duration::from_mins(1));
        let mut state = self.state();
        let before = state.tests.take().unwrap_or_default();
        let tested: BTreeSet<&str> = reports.iter().map(|report| report.host.as_str()).collect();
        let mut tests: BTreeMap<_, _> = before
            .into_iter()
            .filter(|((host, _), _)| !all && !tested.contains(host.as_str()))
            .collect();
        for report in reports.iter().filter(|report| !report.device.is_empty()) {
            let target = report
                .target
                .as_ref()
                .map_or_else(|| report.device.clone(), ToString::to_string);
            let key = (report.host.clone(), report.device.clone());
            let test = DeviceTest {
                host: report.host.clone(),
                level: report.level,
                device: report.device.clone(),
                target: target.clone(),
                as_of: at,
                counts_for: u32::try_from(counts_for.as_secs()).unwrap_or(u32::MAX),
                fault: report.fault.clone(),
                failures: state.failing.get(&key).map_or(0, |one| one.times),
            };
            tests.insert((report.host.clone(), target), test);
        }
        state.tests = Some(tests);
    }

    /// Takes note of a round of self-tests, of `all` hosts or of those where something had failed, and tells what has changed for worse or better.
    fn tested(&self, reports: &[Report], all: bool) {
        let mut state = self.state();
        let tested: BTreeSet<&str> = reports.iter().map(|report| report.host.as_str()).collect();
        // Of the others nothing is known that was not known before, unless all were meant: then they are not there any more.
        let (before, rest) = std::mem::take(&mut state.failing)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|((host, _), _)| all || tested.contains(host.as_str()));
        state.failing = rest;
        for report in reports {
            let key = (report.host.clone(), report.device.clone());
            let Some(why) = &report.fault else {
                if before.get(&key).is_some_and(|one| one.times >= FAILURES) {
                    tracing::info!(
                        host = report.host,
                        device = report.device,
                        "the fence device works again"
                    );
                }
                continue;
            };
            let before = before.get(&key).map_or(0, |one| one.times);
            let mut times = before.saturating_add(1);
            if report.alarm.is_some() && before < FAILURES {
                times = FAILURES;
            }
            if times == FAILURES {
                tracing::warn!(
                    host = report.host,
                    device = report.device,
                    level = report.level,
                    "ALARM: the fence device has failed its self-test: {why}"
                );
            }
            state.failing.insert(
                key,
                Failing {
                    times,
                    why: why.clone(),
                },
            );
        }
    }
}

impl Devices {
    /// Reads the devices.
    ///
    /// # Errors
    ///
    /// The file cannot be used: a process does not start on half of its devices.
    pub(crate) fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let fencing = settings.fencing.clone();
        let seen = print(fencing.file.as_ref());
        let topology = fencing.topology()?;
        for (name, kind) in topology.devices() {
            tracing::info!(device = name, kind, "fence device");
            tachi_engine::device_known(name);
        }
        describe_gauge!(
            UP,
            "1 while no host's self-test of the device has failed twice in a row"
        );
        describe_gauge!(FAULTS, "Hosts whose last self-test of the device has failed");
        describe_gauge!(
            OFF_WHILE_HEARD,
            "Devices that say of their host that it is off while Nova hears it"
        );
        describe_gauge!(
            FILE_OK,
            "0 while the devices' file has problems and an older one is in force"
        );
        gauge!(FILE_OK).set(1.0);
        Ok(Self {
            fencers: Arc::new(Fencers::new(topology, Arc::clone(clock)).at_once(fencing.at_once)),
            settings: fencing,
            seen,
            how: How::default(),
            identified: OnceLock::new(),
        })
    }

    pub(crate) fn fencers(&self) -> Arc<Fencers> {
        Arc::clone(&self.fencers)
    }

    /// The devices with the machine of each, for recoveries and for the self-test: what one has told of a device, the other does
    /// not tell again, and takes back.
    pub(crate) fn identified(&self, base: &Base) -> Arc<Identified> {
        let new = || {
            Arc::new(Identified::new(
                self.fencers(),
                Arc::new(base.store.machines().clone()),
                base.clock.clone(),
            ))
        };
        Arc::clone(self.identified.get_or_init(new))
    }

    pub(crate) fn how(&self) -> How {
        self.how.clone()
    }

    /// Reads the file again if it has changed. What is wrong with it is told once, and the old one stays in force.
    fn look(&mut self) {
        let now = print(self.settings.file.as_ref());
        if self.seen == now {
            return;
        }
        self.seen = now;
        match self.settings.topology() {
            Ok(topology) => {
                let devices = topology.devices().count();
                for (name, _) in topology.devices() {
                    tachi_engine::device_known(name);
                }
                self.fencers.replace(topology);
                self.how.state().file = None;
                gauge!(FILE_OK).set(1.0);
                tracing::info!(
                    devices,
                    "the fence devices were read again; recoveries under way keep those they began with"
                );
            }
            Err(error) => {
                let why = error.chain();
                tracing::error!("the fence devices stay as they were: {why}");
                self.how.state().file = Some(why.lines().take(3).collect::<Vec<_>>().join(" "));
                gauge!(FILE_OK).set(0.0);
            }
        }
    }

    /// Looks every second, and reads at once on SIGHUP, until told to stop.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        if self.settings.file.is_some() {
            watched::watch(self, stop).await;
        }
    }
}

impl Watched for Devices {
    const NAME: &'static str = "the devices' file";

    fn forget(&mut self) {
        self.seen = None;
    }

    fn look_again(&mut self) {
        self.look();
    }
}

/// What tests devices.
pub(crate) struct SelfTest {
    pub(crate) fencers: Arc<Fencers>,
    pub(crate) identified: Arc<Identified>,
    pub(crate) how: How,
    pub(crate) store: Arc<Store>,
    pub(crate) cloud: CloudCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) every: Duration,
}

/// Tests every device of every registered host from time to time, until told to stop. Nothing is switched.
pub(crate) async fn self_test(test: SelfTest, stop: CancellationToken) {
    let SelfTest {
        fencers,
        identified,
        how,
        store,
        cloud,
        clock,
        every,
    } = test;
    let mut rounds = Rounds::new(every, u64::from(std::process::id()), Instant::now());
    loop {
        // Both branches only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(rounds.next(Instant::now())) => {}
        }
        let (registered, busy) = match store.desk().region().await {
            Ok(segments) => named(segments),
            Err(error) => {
                tracing::debug!(%error, "no self-test of fence devices: which hosts there are is not known");
                continue;
            }
        };
        let Round { hosts, all } = rounds.due(registered, &how.failing_hosts(), Instant::now());
        if hosts.is_empty() && !all {
            continue;
        }
        let mut ignore = |_: &Report, _: usize, _: usize| {};
        // A test that is dropped has switched nothing.
        let mut reports = tokio::select! {
            () = stop.cancelled() => return,
            reports = fencers.check(&hosts, &mut ignore) => reports,
        };
        let examined = machines::examine(
            &mut reports,
            &identified,
            store.machines(),
            &cloud,
            (LISTENS, &busy),
        );
        // What was not learnt is learnt the next time.
        tokio::select! {
            () = stop.cancelled() => return,
            () = examined => {}
        }
        how.tested(&reports, all);
        how.keep(&reports, all, clock.wall(), every);
        measure(&how, &reports, all);
    }
}

/// The hosts that are registered, and those of them that a recovery is busy with.
pub(crate) fn named(segments: Vec<SegmentView>) -> (Vec<String>, BTreeSet<String>) {
    let (mut hosts, mut busy) = (Vec::new(), BTreeSet::new());
    for view in segments.into_iter().flat_map(|view| view.hosts) {
        if view.recovery.is_some() {
            busy.insert(view.host.name.clone());
        }
        hosts.push(view.host.name);
    }
    (hosts, busy)
}

fn measure(how: &How, reports: &[Report], all: bool) {
    if all {
        let heard = |report: &&Report| report.alarm == Some(Alarm::OffWhileHeard);
        let heard = reports.iter().filter(heard).count();
        gauge!(OFF_WHILE_HEARD).set(f64::from(u32::try_from(heard).unwrap_or(u32::MAX)));
    }
    let mut faults: BTreeMap<&str, (u32, bool)> = BTreeMap::new();
    let state = how.state();
    for report in reports.iter().filter(|report| !report.device.is_empty()) {
        let one = faults.entry(&report.device).or_default();
        one.0 += u32::from(report.fault.is_some());
        let key = (report.host.clone(), report.device.clone());
        one.1 |= state.failing.get(&key).is_some_and(|one| one.times >= FAILURES);
    }
    for (device, (count, down)) in faults {
        gauge!(FAULTS, "device" => device.to_owned()).set(f64::from(count));
        gauge!(UP, "device" => device.to_owned()).set(if down { 0.0 } else { 1.0 });
    }
}

fn print(path: Option<&PathBuf>) -> Option<Print> {
    let file = std::fs::metadata(path?).ok()?;
    Some(Print {
        inode: (file.dev(), file.ino()),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests;
