//! Tests every device of every registered host, one after the other, all the time. Nothing is switched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_engine::ports::{Clock, OperatorDesk as _};
use tachi_engine::{CloudCache, Identified};
use tachi_fence::{Fencers, Report};
use tachi_store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::rounds::Rounds;
use super::{How, machines, named};
use crate::settings::Pauses;

/// A device that has not answered after this is told of, and waited for as long as it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A device that took long the last time may take so many times as long now before it is told of.
const USUAL: u32 = 3;

/// How often hosts are looked for that were registered since: what is wrong with their devices is told while whoever registered them still sits there.
const LOOK: Duration = Duration::from_secs(10);

/// How long answers are gathered: which machines are known is read once for them.
const GATHERED: Duration = Duration::from_secs(5);

/// How long the self-test listens for heartbeats at Nova, which come every 10 s unless Nova is told otherwise.
const LISTENS: Duration = Duration::from_secs(75);

/// What tests devices.
pub(crate) struct SelfTest {
    pub(crate) fencers: Arc<Fencers>,
    pub(crate) identified: Arc<Identified>,
    pub(crate) how: How,
    pub(crate) store: Arc<Store>,
    pub(crate) cloud: CloudCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pauses: Pauses,
}

/// What comes of a look.
enum Told {
    /// No answer yet, after so long.
    Late(Report, Duration),
    /// What the device has said, or that it says nothing.
    Looked(Report),
    /// The machines behind these are compared.
    Judged(Vec<Report>),
}

/// What there is to test.
#[derive(Default)]
struct Region {
    read: Option<Instant>,
    hosts: Vec<String>,
    busy: Arc<BTreeSet<String>>,
    /// By host: what is wrong without a look, and what is to be looked at.
    plan: BTreeMap<String, (Vec<Report>, Vec<Report>)>,
}

/// Tests until told to stop. A test that is dropped has switched nothing.
pub(crate) async fn self_test(test: SelfTest, stop: CancellationToken) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut running = Running {
        rounds: Rounds::new(test.pauses, u64::from(std::process::id())),
        test,
        region: Region::default(),
        tasks: JoinSet::new(),
        usual: BTreeMap::new(),
        answers: Vec::new(),
        judged: Instant::now(),
        tell,
    };
    loop {
        // Both branches only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(running.rounds.step()) => {}
        }
        while let Ok(told) = told.try_recv() {
            running.note(told);
        }
        // What was not read is read the next time.
        tokio::select! {
            () = stop.cancelled() => return,
            () = running.look() => {}
        }
        running.begin();
        running.judge();
        running.test.how.measure();
        while running.tasks.try_join_next().is_some() {}
    }
}

struct Running {
    test: SelfTest,
    rounds: Rounds,
    region: Region,
    tasks: JoinSet<()>,
    /// How long each device took the last time.
    usual: BTreeMap<(String, String), Duration>,
    /// Answers whose machines are to be compared.
    answers: Vec<Report>,
    judged: Instant,
    tell: mpsc::UnboundedSender<Told>,
}

impl Running {
    /// Which hosts there are.
    async fn look(&mut self) {
        let now = Instant::now();
        let every = LOOK.min(self.test.pauses.watching / 2);
        if self.region.read.is_some_and(|read| now < read + every) {
            return;
        }
        self.region.read = Some(now);
        let (hosts, busy) = match self.test.store.desk().region().await {
            Ok(segments) => named(segments),
            Err(error) => {
                tracing::debug!(%error, "no self-test of hosts that are new: which there are is not known");
                return;
            }
        };
        let (wrong, wanted) = self.test.fencers.plan(&hosts);
        let mut plan: BTreeMap<String, (Vec<Report>, Vec<Report>)> = BTreeMap::new();
        for report in wrong {
            plan.entry(report.host.clone()).or_default().0.push(report);
        }
        for report in wanted {
            plan.entry(report.host.clone()).or_default().1.push(report);
        }
        let all = plan
            .values()
            .flat_map(|(wrong, wanted)| wrong.iter().chain(wanted));
        let known = self.test.how.only(all);
        self.usual.retain(|key, _| known.contains(key));
        self.region = Region {
            read: self.region.read,
            hosts,
            busy: Arc::new(busy),
            plan,
        };
    }

    /// Asks the devices of the hosts that are due.
    fn begin(&mut self) {
        let now = Instant::now();
        let how = &self.test.how;
        let due = self
            .rounds
            .due(&self.region.hosts, &how.failing_hosts(), how.is_watching(), now);
        for host in due {
            let (wrong, wanted) = self.region.plan.get(&host).cloned().unwrap_or_default();
            self.rounds.begun(&host, wanted.len(), now);
            how.keep(&wrong, self.test.clock.wall());
            for report in wanted {
                let usual = self.usual.get(&key(&report)).copied().unwrap_or_default();
                let patience = usual.saturating_mul(USUAL).max(PATIENCE);
                let (fencers, tell) = (Arc::clone(&self.test.fencers), self.tell.clone());
                self.tasks.spawn(async move {
                    let late = |report: &Report| {
                        // Who does not listen any more has stopped.
                        let _ = tell.send(Told::Late(report.clone(), patience));
                    };
                    let looked = fencers.test(report, patience, late).await;
                    let _ = tell.send(Told::Looked(looked));
                });
            }
        }
    }

    fn note(&mut self, told: Told) {
        let (how, now) = (&self.test.how, Instant::now());
        let at = self.test.clock.wall();
        match told {
            Told::Late(report, patience) => how.late(&report, at, patience),
            Told::Looked(report) => {
                self.usual.insert(key(&report), report.latency);
                if report.power.is_some() {
                    self.answers.push(report);
                } else {
                    self.rounds.ended(&report.host, now);
                    how.keep(&[report], at);
                }
            }
            Told::Judged(reports) => {
                for report in &reports {
                    self.rounds.ended(&report.host, now);
                }
                how.keep(&reports, at);
            }
        }
    }

    /// Compares the machines behind what has answered, and listens at Nova, beside the further tests.
    fn judge(&mut self) {
        let now = Instant::now();
        if self.answers.is_empty() || now < self.judged + GATHERED.min(self.test.pauses.watching) {
            return;
        }
        self.judged = now;
        let mut reports = std::mem::take(&mut self.answers);
        let (identified, store) = (Arc::clone(&self.test.identified), Arc::clone(&self.test.store));
        let (cloud, busy) = (self.test.cloud.clone(), Arc::clone(&self.region.busy));
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            let listens = (LISTENS, busy.as_ref());
            machines::examine(&mut reports, &identified, store.machines(), &cloud, listens).await;
            let _ = tell.send(Told::Judged(reports));
        });
    }
}

/// Which device of which host.
fn key(report: &Report) -> (String, String) {
    (report.host.clone(), super::how::target(report))
}
