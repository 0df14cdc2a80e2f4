//! The bridge: polls the cluster, judges, and reports each change once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_instance_ha::Notification;
use tachi_pacemaker::{
    Cib, CrmMon, FenceStatus, Judgement, Kind, Names, Node, Pace, PlanTime, Rules, Snapshot, Streaks, Time,
    Verdict, is_unknown_agent, plan, verdict,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claims::{Claims, is_spare};
use super::detection;
use super::ipmi::PowerCheck;
use super::notify::AlertSocket;
use super::state::{File, Memory};
use super::tools::{Cluster, ToolError};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::monitor::Monitor;
use crate::reporter::{ReportError, Reporter};

/// Maximum age of the CIB while `crm_mon` shows no change and there is no problem.
const MAX_CIB_AGE: Duration = Duration::from_secs(10);
/// Poll interval of the cluster while a fencing is expected.
const FENCING_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time for polling at this interval.
const MAX_FENCING_POLL: Duration = Duration::from_secs(120);
/// Interval of writing the last time a node was up to the disk; every other change is written at once.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// Interval of checking for the API's answer. Other bridges report too if this bridge can no longer announce the
/// answer, because it dies or its next poll of the cluster hangs.
const ANSWER_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time within which several pokes cause one poll.
const WAKEUP_WINDOW: Duration = Duration::from_millis(50);

/// The destination of reports.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    /// Stores a report on disk before it returns, and drops undelivered reports about the same host.
    async fn report(&self, report: &Notification, why: &str) -> Result<(), ReportError>;
    /// True if a report with this subject is not delivered yet.
    async fn waits(&self, subject: &str) -> bool;
}

#[async_trait]
impl Sink for Reporter {
    async fn report(&self, report: &Notification, why: &str) -> Result<(), ReportError> {
        self.report_replacing(report, why).await.map(|_| ())
    }

    async fn waits(&self, subject: &str) -> bool {
        self.waiting(subject).await.is_ok_and(|reports| reports > 0)
    }
}

/// The bridge's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// This machine's name as a host.
    pub(crate) hostname: String,
    /// True if only remotes are hosts.
    pub(crate) restrict_to_remotes: bool,
    pub(crate) poll: Duration,
    /// Poll interval while the bridge stands by on a remote.
    pub(crate) standby: Duration,
    pub(crate) turn: Duration,
    pub(crate) pace: Pace,
    pub(crate) rules: Rules,
    pub(crate) names: Names,
    pub(crate) cluster: Option<String>,
}

impl Setup {
    /// True if nodes of this kind are hosts.
    pub(crate) fn watches(&self, kind: Kind) -> bool {
        match kind {
            Kind::Remote => true,
            Kind::Member => !self.restrict_to_remotes,
            Kind::Guest | Kind::Other => false,
        }
    }
}

/// The bridge.
pub(crate) struct Bridge {
    setup: Setup,
    cluster: Arc<dyn Cluster>,
    /// The socket for wake-ups, which is taken when the bridge runs.
    socket: PathBuf,
    alert_socket: Option<AlertSocket>,
    power: Option<PowerCheck>,
    clock: Clock,
    file: File,
    /// True if the file has to be moved aside before it is written.
    damaged: bool,
    memory: Memory,
    saved: (Memory, Option<Instant>),
    streaks: Streaks,
    claims: Claims,
    cib: Option<(CrmMon, Cib, Instant)>,
    fast_poll_since: Option<Instant>,
    /// True if every verdict is one that may last for days.
    is_steady: bool,
    role: BridgeRole,
    /// True if enough bridges are before this one in line, with the time of this check.
    spare: Option<(bool, Instant)>,
    unmapped_nodes: BTreeSet<String>,
    /// Unknown fence agents of this cluster that were logged.
    agents: BTreeSet<String>,
    resumed: bool,
    started: Instant,
    /// Time until the loss of a member is detected.
    corosync: Option<Duration>,
}

/// The current role of this bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BridgeRole {
    /// The bridge reports.
    First,
    /// A report is pending, and it is not decided yet which bridge sends it.
    Undecided,
    /// The bridge waits until it is needed; see [`Bridge::may_stand_by`].
    Standby,
}

/// The reason why there is no snapshot.
#[derive(Debug, thiserror::Error)]
enum NoSnapshot {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("reading the cluster's state: {}", chain(.0))]
    Read(#[from] tachi_pacemaker::Error),
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}

impl Bridge {
    /// Creates a bridge that continues from the state of the process before it. Changes nothing on this machine, so that
    /// `check` can do the same beside a running bridge.
    pub(crate) fn new(
        setup: Setup,
        cluster: Arc<dyn Cluster>,
        socket: PathBuf,
        power: Option<PowerCheck>,
        clock: Clock,
        file: File,
    ) -> Result<Self, Failure> {
        let loaded = file.load()?;
        let damaged = loaded.is_none();
        let memory = loaded.unwrap_or_default();
        let claims = Claims::new(setup.turn);
        Ok(Self {
            setup,
            cluster,
            socket,
            alert_socket: None,
            power,
            clock,
            file,
            damaged,
            saved: (memory.clone(), None),
            memory,
            streaks: Streaks::default(),
            claims,
            cib: None,
            fast_poll_since: None,
            is_steady: false,
            role: BridgeRole::First,
            spare: None,
            unmapped_nodes: BTreeSet::new(),
            agents: BTreeSet::new(),
            resumed: false,
            started: Instant::now(),
            corosync: detection::corosync(),
        })
    }

    /// Moves a damaged state aside, and listens for wake-ups.
    fn take_over(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.damaged) {
            self.file.move_aside()?;
        }
        match AlertSocket::listen(&self.socket) {
            Ok(alert_socket) => self.alert_socket = Some(alert_socket),
            // The timer alone is enough, only slower.
            Err(failure) => {
                tracing::warn!(error = %failure.chain(), "failed to set up wake-ups by alert agents");
            }
        }
        Ok(())
    }

    fn wall(&self) -> Time {
        chrono::DateTime::from_timestamp_micros(self.clock.generated().micros()).unwrap_or_default()
    }

    /// Polls until cancelled.
    pub(crate) async fn watch(&mut self, sink: &dyn Sink, health: &Health, stop: &CancellationToken) {
        'watching: loop {
            let began = Instant::now();
            health.tick();
            // An interrupted poll has reported nothing.
            tokio::select! {
                () = self.poll(sink, health) => {}
                () = stop.cancelled() => break,
            }
            let next = began + self.pause(began);
            loop {
                let open = !self.claims.open().is_empty();
                let until = if open {
                    next.min(Instant::now() + ANSWER_POLL_INTERVAL)
                } else {
                    next
                };
                let next_alert = async {
                    match &self.alert_socket {
                        Some(alert_socket) => alert_socket.next().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = next_alert => {
                        tokio::time::sleep(WAKEUP_WINDOW).await;
                        break;
                    }
                    () = stop.cancelled() => break 'watching,
                }
                if until == next {
                    break;
                }
                self.follow(sink).await;
            }
        }
        self.follow(sink).await;
        self.claims.leave(self.cluster.as_ref()).await;
        self.save(health, true).await;
    }

    fn pause(&self, now: Instant) -> Duration {
        match self.fast_poll_since {
            _ if self.role == BridgeRole::Standby => self.setup.standby.max(self.setup.poll),
            Some(since) if now - since < MAX_FENCING_POLL => FENCING_POLL_INTERVAL.min(self.setup.poll),
            _ => self.setup.poll,
        }
    }

    /// Polls the cluster once and acts on the result.
    pub(crate) async fn poll(&mut self, sink: &dyn Sink, health: &Health) {
        match self.snapshot().await {
            Ok(snapshot) => {
                metrics::gauge!("tachi_monitor_host_last_look_timestamp_seconds").set(seconds(self.wall()));
                if let Some((mon, cib, _)) = &self.cib {
                    health.detection_time(detection::longest(&self.setup, self.corosync, mon, cib));
                }
                self.judge(&snapshot, sink, health).await;
            }
            Err(error) => {
                self.cib = None;
                self.role = BridgeRole::First;
                health.is_blind();
                health.bad("pacemaker", chain(&error));
            }
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, NoSnapshot> {
        let now = Instant::now();
        let usable = self
            .cib
            .take()
            .filter(|(_, _, at)| self.is_steady && now - *at < MAX_CIB_AGE);
        let (mon, cib, at) = if let Some((before, cib, at)) = usable {
            let mon = CrmMon::parse(&self.cluster.mon().await?)?;
            if same(&before, &mon) {
                (mon, cib, at)
            } else {
                (mon, Cib::parse(&self.cluster.cib().await?)?, now)
            }
        } else {
            let (mon, cib) = tokio::try_join!(self.cluster.mon(), self.cluster.cib())?;
            (CrmMon::parse(&mon)?, Cib::parse(&cib)?, now)
        };
        self.warn_about_unknown_agents(&cib);
        self.cib = Some((mon.clone(), cib.clone(), at));
        Ok(Snapshot::new(mon, Some(cib)).taken(self.wall()))
    }

    /// Logs each fence agent that is not known to switch power: a fencing by such an agent proves nothing.
    fn warn_about_unknown_agents(&mut self, cib: &Cib) {
        for agent in cib.devices.iter().map(|device| &device.agent) {
            if is_unknown_agent(agent, &self.setup.rules) && self.agents.insert(agent.clone()) {
                tracing::warn!(
                    %agent,
                    "unknown fence agent: its successes prove nothing; if it switches power, add it to [host] power_fence_agents"
                );
            }
        }
    }

    async fn judge(&mut self, snapshot: &Snapshot, sink: &dyn Sink, health: &Health) {
        let now = Instant::now();
        self.memory.history.notice(snapshot);
        let judged = verdict(&self.memory.history, snapshot, &self.setup.rules);
        self.memory.history.remember(snapshot, &judged);
        self.memory.history.remove_unlisted(snapshot);
        self.is_steady = self.fast_poll_since.is_none()
            && snapshot
                .mon
                .nodes
                .iter()
                .all(|node| lasts(node, judged.get(&node.name)));
        let nodes: Vec<&str> = snapshot.mon.nodes.iter().map(|node| node.name.as_str()).collect();
        let me = self
            .setup
            .names
            .node_of(&self.setup.hostname, &nodes)
            .unwrap_or(&self.setup.hostname)
            .to_owned();
        let hosts = self.hosts(snapshot, &judged, &me);
        Self::report_health(snapshot, &judged, &hosts, health);
        self.report_watched_hosts(&hosts, health);
        self.update_poll_rate(&hosts, snapshot, now);
        self.memory.ledger.observe(&hosts);
        let listed = |name: &str| snapshot.mon.nodes.iter().any(|node| node.name == name);
        self.memory
            .ledger
            .retain(|name| !snapshot.mon.quorate || listed(name));
        let plan_time = PlanTime {
            wall: self.wall(),
            steady: now - self.started,
        };
        let planned = plan(
            &self.memory.ledger,
            &hosts,
            &mut self.streaks,
            &self.setup.pace,
            plan_time,
        );
        self.report_storm(&planned, plan_time, health);
        self.resume(sink).await;
        self.send_planned(planned.changes, &me, snapshot, sink, health)
            .await;
        self.spool_pending(snapshot, &me, sink, health).await;
        self.follow(sink).await;
        if self.can_stand_by(snapshot, &me).await {
            self.role = BridgeRole::Standby;
        }
        self.save(health, false).await;
    }

    /// Returns true if this bridge may poll less often, because others can report and nothing is pending.
    ///
    /// A request from a remote uses the connection that a cluster node's controller keeps to it. If the remote dies
    /// during one, that controller waits for the dead connection and does nothing else; it may be considered failed,
    /// and its node fenced. A bridge on a remote therefore polls as seldom as possible.
    async fn can_stand_by(&mut self, snapshot: &Snapshot, me: &str) -> bool {
        let remote = |node: &Node| node.name == me && node.kind == Kind::Remote;
        let all_spooled = self.memory.ledger.nodes.values().all(|report| report.handed_over);
        if self.role == BridgeRole::Undecided
            || !all_spooled
            || !self.claims.open().is_empty()
            || !snapshot.mon.nodes.iter().any(remote)
        {
            return false;
        }
        // Reading the line is a request too, and the line changes seldom: a bridge that polls each second does not read
        // it each time.
        if let Some((spare, at)) = self.spare
            && at.elapsed() < self.setup.standby
        {
            return spare;
        }
        let claims = self.claims.read(self.cluster.as_ref()).await;
        let spare = claims.is_some_and(|claims| is_spare(me, &snapshot.mon, &claims));
        self.spare = Some((spare, Instant::now()));
        spare
    }

    /// Returns the verdicts on nodes that are hosts, except this machine.
    fn hosts(
        &mut self,
        snapshot: &Snapshot,
        judged: &BTreeMap<String, Judgement>,
        me: &str,
    ) -> BTreeMap<String, Judgement> {
        let mut hosts = BTreeMap::new();
        for node in &snapshot.mon.nodes {
            if !self.setup.watches(node.kind) || node.name == me {
                continue;
            }
            if let Err(error) = self.setup.names.host(&node.name) {
                if self.unmapped_nodes.insert(node.name.clone()) {
                    tracing::error!(%error, "a node of the cluster is not a host; not watching it");
                }
                continue;
            }
            self.unmapped_nodes.remove(&node.name);
            if let Some(judgement) = judged.get(&node.name) {
                hosts.insert(node.name.clone(), judgement.clone());
            }
        }
        hosts
    }

    /// Sets the watched hosts. A host that cannot be judged is not among them, because nothing would be reported about
    /// it.
    fn report_watched_hosts(&self, hosts: &BTreeMap<String, Judgement>, health: &Health) {
        let up_hosts = hosts
            .iter()
            .filter(|(_, judgement)| judgement.verdict != Verdict::Blind);
        health.watches(up_hosts.filter_map(|(node, _)| self.setup.names.host(node).ok()));
    }

    /// Polls more often while the end of a fencing is near.
    fn update_poll_rate(&mut self, hosts: &BTreeMap<String, Judgement>, snapshot: &Snapshot, now: Instant) {
        let pending = snapshot
            .mon
            .fences
            .iter()
            .any(|fence| fence.status == FenceStatus::Pending);
        let open = pending || hosts.values().any(|judgement| judgement.verdict == Verdict::Lost);
        self.fast_poll_since = open.then(|| self.fast_poll_since.unwrap_or(now));
    }

    /// Writes changes to the disk. A change of only the last time a node was up is written at intervals.
    async fn save(&mut self, health: &Health, now: bool) {
        let due = self.saved.1.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL);
        if self.memory == self.saved.0 || !(now || due || lasting(&self.memory) != lasting(&self.saved.0)) {
            return;
        }
        let (file, memory) = (self.file.clone(), self.memory.clone());
        let written = tokio::task::spawn_blocking(move || file.save(&memory).map(|()| memory)).await;
        match written {
            Ok(Ok(memory)) => {
                self.saved = (memory, Some(Instant::now()));
                health.good("memory");
            }
            Ok(Err(error)) => health.bad("memory", format!("failed to store the observations: {error}")),
            Err(error) => health.bad("memory", format!("failed to store the observations: {error}")),
        }
    }
}

/// Returns the part that must be written at once: everything but the last times of nodes that are still up.
fn lasting(memory: &Memory) -> Memory {
    let mut memory = memory.clone();
    for past in memory.history.nodes.values_mut() {
        past.last_up = None;
    }
    memory
}

/// True unless the next read of the CIB may change the judgement: both programs agree. A node that is off by the CIB
/// alone may be back already: the CIB was read a moment before.
fn lasts(node: &Node, judgement: Option<&Judgement>) -> bool {
    match judgement.map(|judgement| judgement.verdict) {
        Some(Verdict::Up) => true,
        Some(Verdict::Fenced | Verdict::Planned) => !node.online,
        Some(Verdict::Lost | Verdict::Keep | Verdict::Blind) | None => false,
    }
}

/// True if nothing but the time has changed: the CIB's earlier records are still valid.
fn same(before: &CrmMon, now: &CrmMon) -> bool {
    let dated = CrmMon {
        at: before.at,
        ..now.clone()
    };
    dated == *before
}

fn seconds(time: Time) -> f64 {
    let whole = u32::try_from(time.timestamp()).unwrap_or(u32::MAX);
    f64::from(whole) + f64::from(time.timestamp_subsec_millis()) / 1000.0
}

#[async_trait]
impl Monitor for Bridge {
    async fn run(
        mut self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        self.take_over()?;
        self.watch(&reporter, &health, &stop).await;
        Ok(())
    }
}

mod health_report;
mod reports;
#[cfg(test)]
mod tests;
