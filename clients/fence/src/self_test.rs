//! Self-test of every device of every registered host, round-robin, all the time. Nothing is switched.

mod fencing_state;
mod machines;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::operator::SegmentView;
use tachi_engine::ports::{Clock, Machines, OperatorJournal};
use tachi_engine::{CloudCache, MachineCheckedFencer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::router::Fencers;
use rounds::Rounds;

pub use fencing_state::{FAULTS, FencingState, OFF_WHILE_UP, UP, by_command};
pub use machines::{DirectQueries, HostLiveness, Services, examine};

/// Time after which a device without an answer is reported; the test still waits for its full timeout.
const REPORT_DELAY: Duration = Duration::from_secs(10);

/// Multiple of its last duration that a slow device may take before it is reported.
const USUAL: u32 = 3;

/// Interval at which new hosts are read: errors of their devices are reported while the operator who registered them is still there.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Time that answers are collected, so that the known machines are read once for all of them.
const GATHERED: Duration = Duration::from_secs(5);

/// Time that the self-test waits for heartbeats in Nova, which come every 10 s by default.
const LISTENS: Duration = Duration::from_secs(75);

/// Intervals of the self-tests of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// Interval of the engine that watches, which tests for all engines.
    pub watching: Duration,
    /// Interval of each other engine, which tests for itself: it may be the one that has to reach the device.
    pub beside: Duration,
}

/// Configuration of the self-test.
pub struct SelfTest {
    /// The devices.
    pub fencers: Arc<Fencers>,
    /// The devices with the machine of each, which recoveries use too.
    pub identified: Arc<MachineCheckedFencer>,
    /// The results, which others read.
    pub how: FencingState,
    /// The registered hosts.
    pub operator_journal: Arc<dyn OperatorJournal>,
    /// The known machines.
    pub machines: Arc<dyn Machines>,
    /// The heartbeats in Nova.
    pub cloud: CloudCache,
    /// The clock of the results.
    pub clock: Arc<dyn Clock>,
    /// The intervals.
    pub pauses: Pauses,
}

/// Events of a test.
enum PollResult {
    /// No answer yet, after this time.
    Late(Report, Duration),
    /// The device's answer, or its failure.
    Tested(Report),
    /// Reports with compared machines.
    Judged(Vec<Report>),
}

/// The hosts to test.
#[derive(Default)]
struct Region {
    read: Option<Instant>,
    hosts: Vec<String>,
    busy: Arc<BTreeSet<String>>,
    /// For each host the reports of errors that need no test, and the tests to be made.
    plan: BTreeMap<String, (Vec<Report>, Vec<Report>)>,
}

/// Runs the self-test until it is stopped. A test that is dropped has switched nothing.
pub async fn self_test(test: SelfTest, stop: CancellationToken) {
    let (results_tx, mut results) = mpsc::unbounded_channel();
    let mut running = RunningTests {
        rounds: Rounds::new(test.pauses, u64::from(std::process::id())),
        test,
        region: Region::default(),
        tasks: JoinSet::new(),
        usual: BTreeMap::new(),
        answers: Vec::new(),
        judged: Instant::now(),
        results_tx,
    };
    loop {
        // Both branches only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(running.rounds.step()) => {}
        }
        while let Ok(results) = results.try_recv() {
            running.note(results);
        }
        // A dropped read is repeated the next time.
        tokio::select! {
            () = stop.cancelled() => return,
            () = running.read_hosts() => {}
        }
        running.begin();
        running.judge();
        running.test.how.measure();
        while running.tasks.try_join_next().is_some() {}
    }
}

struct RunningTests {
    test: SelfTest,
    rounds: Rounds,
    region: Region,
    tasks: JoinSet<()>,
    /// Last duration of each device's test.
    usual: BTreeMap<(String, String), Duration>,
    /// Answers whose machines are to be compared.
    answers: Vec<Report>,
    judged: Instant,
    results_tx: mpsc::UnboundedSender<PollResult>,
}

impl RunningTests {
    /// Reads the registered hosts, if they are due.
    async fn read_hosts(&mut self) {
        let now = Instant::now();
        let every = POLL_INTERVAL.min(self.test.pauses.watching / 2);
        if self.region.read.is_some_and(|read| now < read + every) {
            return;
        }
        self.region.read = Some(now);
        let (hosts, busy) = match self.test.operator_journal.region().await {
            Ok(segments) => registered_hosts(segments),
            Err(error) => {
                tracing::debug!(%error, "failed to read the registered hosts; skipping self-tests of new hosts");
                return;
            }
        };
        let (wrong, pending) = self.test.fencers.plan(&hosts);
        let mut plan: BTreeMap<String, (Vec<Report>, Vec<Report>)> = BTreeMap::new();
        for report in wrong {
            plan.entry(report.host.clone()).or_default().0.push(report);
        }
        for report in pending {
            plan.entry(report.host.clone()).or_default().1.push(report);
        }
        let all = plan
            .values()
            .flat_map(|(wrong, pending)| wrong.iter().chain(pending));
        let known = self.test.how.only(all);
        self.usual.retain(|key, _| known.contains(key));
        self.region = Region {
            read: self.region.read,
            hosts,
            busy: Arc::new(busy),
            plan,
        };
    }

    /// Starts the tests of the hosts that are due.
    fn begin(&mut self) {
        let now = Instant::now();
        let how = &self.test.how;
        let due = self
            .rounds
            .due(&self.region.hosts, &how.failing_hosts(), how.is_watching(), now);
        for host in due {
            let (wrong, pending) = self.region.plan.get(&host).cloned().unwrap_or_default();
            self.rounds.begun(&host, pending.len(), now);
            how.keep(&wrong, self.test.clock.wall());
            for report in pending {
                let usual = self.usual.get(&key(&report)).copied().unwrap_or_default();
                let patience = usual.saturating_mul(USUAL).max(REPORT_DELAY);
                let (fencers, results_tx) = (Arc::clone(&self.test.fencers), self.results_tx.clone());
                self.tasks.spawn(async move {
                    let late = |report: &Report| {
                        // A closed receiver means that the self-test has stopped.
                        let _ = results_tx.send(PollResult::Late(report.clone(), patience));
                    };
                    let looked = fencers.test(report, patience, late).await;
                    let _ = results_tx.send(PollResult::Tested(looked));
                });
            }
        }
    }

    fn note(&mut self, result: PollResult) {
        let (how, now) = (&self.test.how, Instant::now());
        let at = self.test.clock.wall();
        match result {
            PollResult::Late(report, patience) => how.late(&report, at, patience),
            PollResult::Tested(report) => {
                self.usual.insert(key(&report), report.latency);
                if report.power.is_some() {
                    self.answers.push(report);
                } else {
                    self.rounds.ended(&report.host, now);
                    how.keep(&[report], at);
                }
            }
            PollResult::Judged(reports) => {
                for report in &reports {
                    self.rounds.ended(&report.host, now);
                }
                how.keep(&reports, at);
            }
        }
    }

    /// Compares the machines behind the answers, and waits for heartbeats in Nova, in parallel to further tests.
    fn judge(&mut self) {
        let now = Instant::now();
        if self.answers.is_empty() || now < self.judged + GATHERED.min(self.test.pauses.watching) {
            return;
        }
        self.judged = now;
        let mut reports = std::mem::take(&mut self.answers);
        let (identified, known) = (Arc::clone(&self.test.identified), Arc::clone(&self.test.machines));
        let (cloud, busy) = (self.test.cloud.clone(), Arc::clone(&self.region.busy));
        let results_tx = self.results_tx.clone();
        self.tasks.spawn(async move {
            let listens = (LISTENS, busy.as_ref());
            examine(&mut reports, &identified, known.as_ref(), &cloud, listens).await;
            let _ = results_tx.send(PollResult::Judged(reports));
        });
    }
}

/// Returns the host and the device of a report.
fn key(report: &Report) -> (String, String) {
    (report.host.clone(), fencing_state::target(report))
}

/// Returns the registered hosts, and those of them that are under recovery.
pub fn registered_hosts(segments: Vec<SegmentView>) -> (Vec<String>, BTreeSet<String>) {
    let (mut hosts, mut busy) = (Vec::new(), BTreeSet::new());
    for view in segments.into_iter().flat_map(|view| view.hosts) {
        if view.recovery.is_some() {
            busy.insert(view.host.name.clone());
        }
        hosts.push(view.host.name);
    }
    (hosts, busy)
}

#[cfg(test)]
mod tests;
