//! State of a region.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{Aspect, Counts, Severity, replaces};
use tachi_domain::wait::WaitsFor;
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::engine_registry::EngineRow;
use tachi_engine::ports::operator::{self, MoveLine, RecoverySummary};
use tachi_engine::situation::is_healthy;
use utoipa::ToSchema;

use crate::finding::FindingView;
use crate::host_instances::EvidenceView;
use crate::host_view::HostView;
use crate::maintenance::ReporterView;
use crate::monitor::MonitorView;
use crate::plain::without_repeats;
use crate::recovery::MovesView;
use crate::schema;
use crate::snapshot::{Age, RegionSnapshot, is_alive};
use crate::waits::{self, WaitView};
use crate::when::Time;

/// The state of a region: which instances are protected now, why others are not, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Situation)]
pub struct SituationView {
    /// When the state was assessed.
    pub at: Time,
    /// A sentence on how hosts are fenced and confirmed off, for people.
    pub fencing: String,
    /// `engine`, `dryrun` or `external`.
    pub fencing_mode: String,
    /// The region's name; null if the configuration of the process that answers names none.
    #[serde(default)]
    #[schema(required)]
    pub region: Option<String>,
    /// The database that was read, without its password.
    pub database: String,
    /// The engines in the registry, except dead ones that a newer engine has replaced.
    pub engines: Vec<EngineView>,
    /// Reporters that Nova has contradicted: they are muted, unless too many are already.
    pub reporters_set_aside: Vec<ReporterView>,
    /// The notifications that no engine has started on.
    pub queue: QueueView,
    /// The segments with their registered hosts.
    pub segments: Vec<SegmentView>,
    /// The registered hosts and the hosts in Nova.
    pub hosts: Vec<HostView>,
    /// The monitors that have ever sent a heartbeat, worst first.
    pub monitors: Vec<MonitorView>,
    /// The recoveries that are open or watch for their host's return.
    pub recoveries: Vec<UnderwayView>,
    /// The recoveries and instances that need an operator.
    pub needs_person: NeedsPersonView,
    /// The worst grade of the findings.
    #[schema(schema_with = schema::grade)]
    pub grade: Severity,
    /// When an engine last read Nova's compute services; null if none has.
    #[schema(required)]
    pub looked_at: Option<Time>,
    /// The age of each kind of data from the cloud. Stale data never counts as evidence that something is protected.
    pub facts: Vec<FactView>,
    /// The findings, most severe first.
    pub findings: Vec<FindingView>,
    /// The number of instances by what would become of them; null if no engine has listed them yet.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// The aspects that were not assessed, because their data is not collected.
    #[schema(schema_with = schema::aspects)]
    pub not_assessed: Vec<Aspect>,
}

/// An engine in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Engine)]
pub struct EngineView {
    /// The engine's name.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// When the engine started, by its own clock.
    pub started_at: Time,
    /// The time of the engine's last heartbeat, by its own clock.
    pub signed_at: Time,
    /// True if that heartbeat is recent enough for the engine to count as running.
    pub alive: bool,
    /// The state of each part of the engine, by the part's name; a value that starts with `ok` is healthy.
    pub facts: BTreeMap<String, String>,
}

/// The notifications that no engine has started on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    /// The number of these notifications.
    pub new: u64,
    /// When the oldest of them was accepted; null if there are none.
    #[schema(required)]
    pub oldest_new: Option<Time>,
}

/// A segment and its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SegmentSeen)]
pub struct SegmentView {
    /// The segment's id.
    pub id: String,
    /// The segment's name.
    pub name: String,
    /// False if recovery is disabled for the whole segment.
    pub enabled: bool,
    /// The recovery method for the segment's instances.
    #[schema(schema_with = schema::method)]
    pub recovery_method: RecoveryMethod,
    /// The number of hosts in service: not in maintenance, and not down in Nova as far as is known.
    pub working: u64,
    /// The number of hosts that may fail together, whichever they are, without a shortage of capacity and without a hold by the guards;
    /// null if unknown.
    #[schema(required)]
    pub headroom: Option<u64>,
    /// True if `headroom` is the exact limit. False if the forecast could not rule out that more hosts may fail.
    pub headroom_exact: bool,
    /// The number of the segment's instances by what would become of them; null if no engine has listed them yet.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// The segment's registered hosts.
    pub hosts: Vec<RegisteredView>,
    /// The number of hosts that may fail together without a shortage of capacity, guards aside; null if unknown.
    #[serde(default)]
    #[schema(required)]
    pub room_headroom: Option<u64>,
}

/// A host that is registered in a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostRegistered)]
pub struct RegisteredView {
    /// The host's id.
    pub id: String,
    /// The host's name.
    pub name: String,
    /// True if the host is kept empty for the instances of another host.
    pub reserved: bool,
    /// True if the host is in maintenance.
    pub on_maintenance: bool,
    /// The reason for the maintenance; null if the host is not in maintenance.
    #[schema(required, schema_with = schema::why)]
    pub why: Option<MaintenanceReason>,
    /// The id of the host's open or watching recovery; null if there is none.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
    /// The life-cycle state of that recovery; null if there is none.
    #[schema(required, schema_with = schema::life_or_null)]
    pub life: Option<Life>,
}

/// A recovery that is open or watches for its host's return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryUnderway)]
pub struct UnderwayView {
    /// The recovery's id.
    #[schema(value_type = String)]
    pub id: RecoveryId,
    /// The name of the recovery's host.
    pub host: String,
    /// The kind of recovery.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// The life-cycle state: `open`, or `watching` for the host's return.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// The status of the recovery's notification.
    pub status: String,
    /// The wait that the recovery is in; null if no engine has decided on one yet.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The reason for a hold, or the result; for people. Null if there is neither.
    #[schema(required)]
    pub message: Option<String>,
    /// The engine that owns the recovery; null if none does.
    #[schema(required)]
    pub owner: Option<String>,
    /// The total number of its instances.
    pub instances: u64,
    /// The number of instances that are running again.
    pub back: u64,
    /// The number of instances that Nova was asked to move and that are not back yet.
    pub in_flight: u64,
    /// The number of instances by the status of their moves.
    pub moves: MovesView,
}

/// The recoveries and instances that need an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NeedsPerson)]
pub struct NeedsPersonView {
    /// The recoveries that are on hold.
    pub recoveries: Vec<WaitingRecoveryView>,
    /// The instances that are down, or may be.
    pub instances: Vec<WaitingInstanceView>,
}

/// A recovery that is on hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryWaiting)]
pub struct WaitingRecoveryView {
    /// The recovery's id.
    #[schema(value_type = String)]
    pub recovery: RecoveryId,
    /// The name of the recovery's host.
    pub host: String,
    /// The reason for the hold.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The commands that end the hold, for an operator to type.
    pub commands: Vec<String>,
    /// The evidence that the host is off, or is not.
    #[serde(default)]
    #[schema(required)]
    pub evidence: EvidenceView,
}

/// An instance that needs an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceWaiting)]
pub struct WaitingInstanceView {
    /// The instance's id in Nova.
    pub instance: String,
    /// The instance's name.
    pub name: String,
    /// The host that failed.
    pub host: String,
    /// The id of the instance's recovery.
    #[schema(value_type = String)]
    pub recovery: RecoveryId,
    /// The life-cycle state of that recovery.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// The wait that the instance is in; null if no engine has decided on one yet.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The commands that end the wait, for an operator to type.
    pub commands: Vec<String>,
}

/// The age of one kind of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FactAge)]
pub struct FactView {
    /// `computes`: Nova's compute services. `instances`: Nova's instances. `tests`: the fence device test that expires first. `rooms`: the
    /// capacity of hosts in Placement.
    pub kind: String,
    /// When the data was read; null if it was never read.
    #[schema(required)]
    pub as_of: Option<Time>,
    /// The age in seconds; null if it was never read.
    #[schema(required)]
    pub age_seconds: Option<u64>,
    /// True if the data is recent enough to count.
    pub fresh: bool,
}

/// The number of instances by what would become of them if their hosts failed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceCounts)]
pub struct CountsView {
    /// Instances that would be recovered.
    pub protected: u64,
    /// Instances that would be recovered, with a caveat.
    pub degraded: u64,
    /// Instances about which too little is known.
    pub unknown: u64,
    /// Instances that would stay down.
    pub unprotected: u64,
    /// Instances that are down, or may be.
    pub down: u64,
    /// Instances that policy excludes from recovery.
    pub not_meant: u64,
}

impl CountsView {
    /// Returns the number of instances that policy includes in recovery.
    pub fn included(self) -> u64 {
        self.protected + self.degraded + self.unknown + self.unprotected + self.down
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            protected: counts.protected,
            degraded: counts.degraded,
            unknown: counts.unknown,
            unprotected: counts.unprotected,
            down: counts.down,
            not_meant: counts.not_meant,
        }
    }
}

impl FactView {
    fn at(now: Timestamp, reading_age: Age) -> Self {
        let age = reading_age
            .as_of
            .map(|at| now.micros_since(at).unsigned_abs() / 1_000_000);
        Self {
            kind: reading_age.kind.to_owned(),
            as_of: reading_age.as_of.map(Time),
            age_seconds: age,
            fresh: age.is_some_and(|age| age <= reading_age.counts_for),
        }
    }
}

impl EngineView {
    /// Returns the parts that are not healthy, each with its state.
    pub fn unhealthy_parts(&self) -> impl Iterator<Item = (&String, &String)> {
        self.facts.iter().filter(|(_, how)| !is_healthy(how))
    }
}

impl WaitingRecoveryView {
    /// Returns the cause of the hold: the event, and the guards or hosts that it is about.
    pub fn cause(&self) -> Option<(WaitsFor, &BTreeSet<String>)> {
        self.waits.as_ref().map(|wait| (wait.what, &wait.on))
    }

    /// Describes the evidence about the host in one line.
    pub fn summary(&self, now: Timestamp) -> String {
        let since = self.waits.as_ref().map(|wait| wait.since.0);
        self.evidence.summary(now, since)
    }

    /// True if the operator decides by what is known of the host.
    pub fn is_about_host(&self) -> bool {
        let about = [WaitsFor::Approval, WaitsFor::Fence, WaitsFor::Alive];
        self.waits.as_ref().is_some_and(|wait| about.contains(&wait.what))
    }
}

impl SituationView {
    /// Returns what is known of a host, if its recovery is on hold because of that.
    pub fn evidence(&self, host: &str) -> Option<String> {
        let waiting = self
            .needs_person
            .recoveries
            .iter()
            .find(|recovery| recovery.host == host);
        let waiting = waiting.filter(|recovery| recovery.is_about_host())?;
        Some(waiting.summary(self.at.0))
    }

    /// Returns the reason for which a recovery is on hold.
    pub fn reason(&self, recovery: &WaitingRecoveryView) -> String {
        let row = self.recoveries.iter().find(|row| row.id == recovery.recovery);
        let message = row.and_then(|row| row.message.clone());
        let about = || recovery.waits.as_ref().map_or_else(String::new, WaitView::about);
        message.unwrap_or_else(about)
    }

    /// Returns each part with true if it is healthy in every running engine.
    pub fn parts(&self) -> BTreeMap<&str, bool> {
        let mut parts: BTreeMap<&str, bool> = BTreeMap::new();
        for (part, how) in self
            .engines
            .iter()
            .filter(|engine| engine.alive)
            .flat_map(|engine| &engine.facts)
        {
            *parts.entry(part).or_insert(true) &= is_healthy(how);
        }
        parts
    }

    /// Returns the headroom of a segment as a table cell; `None` if the segment's headroom is not assessed.
    pub fn headroom_of(&self, segment: &SegmentView) -> Option<String> {
        let is_assessed = segment.enabled && !self.not_assessed.contains(&Aspect::Room);
        is_assessed.then(|| crate::headroom(segment.headroom, segment.headroom_exact, segment.room_headroom))
    }
}

/// True if the engine is dead and a newer one runs in its place: the dead one will not come back.
fn is_replaced(line: &EngineRow, snapshot: &RegionSnapshot) -> bool {
    let begun = |line: &EngineRow| (line.heartbeat.name.clone(), line.heartbeat.started_at);
    let mut others = snapshot.tables.engines.iter();
    !is_alive(line, snapshot.now)
        && others.any(|other| is_alive(other, snapshot.now) && replaces(&begun(other), &begun(line)))
}

impl EngineView {
    fn at(now: Timestamp, line: &EngineRow) -> Self {
        Self {
            name: line.heartbeat.name.clone(),
            version: line.heartbeat.version.clone(),
            started_at: Time(line.heartbeat.started_at),
            signed_at: Time(line.seen_at),
            alive: is_alive(line, now),
            facts: line.heartbeat.facts.clone().into_iter().collect(),
        }
    }
}

impl SegmentView {
    fn of(snapshot: &RegionSnapshot, view: &operator::SegmentView) -> Self {
        let name = &view.segment.name;
        let judged = snapshot
            .situation
            .segments
            .iter()
            .find(|segment_situation| segment_situation.name == *name);
        let headroom = judged.and_then(|segment_situation| segment_situation.headroom);
        let room = judged.and_then(|segment_situation| segment_situation.room);
        Self {
            id: view.segment.id.to_string(),
            name: name.clone(),
            enabled: view.segment.enabled,
            recovery_method: view.segment.recovery_method,
            working: judged.map_or(0, |segment_situation| segment_situation.working as u64),
            headroom: headroom.map(|headroom_view| headroom_view.hosts as u64),
            headroom_exact: headroom.is_none_or(|headroom_view| headroom_view.exact),
            instances: judged
                .and_then(|segment_situation| segment_situation.counts)
                .map(CountsView::from),
            hosts: view.hosts.iter().map(RegisteredView::from).collect(),
            room_headroom: room.map(|room| room.hosts as u64),
        }
    }
}

impl From<&operator::HostView> for RegisteredView {
    fn from(view: &operator::HostView) -> Self {
        Self {
            id: view.host.id.to_string(),
            name: view.host.name.clone(),
            reserved: view.host.reserved,
            on_maintenance: view.host.on_maintenance,
            why: view.why,
            recovery: view.recovery.map(|(id, _)| id),
            life: view.recovery.map(|(_, life)| life),
        }
    }
}

impl From<&RecoverySummary> for UnderwayView {
    fn from(row: &RecoverySummary) -> Self {
        Self {
            id: row.id,
            host: row.host.clone(),
            kind: row.kind,
            life: row.life,
            status: row.status.clone(),
            waits: row.wait.as_ref().map(WaitView::from),
            message: row.message.as_deref().map(without_repeats),
            owner: row.owner.clone(),
            instances: row.moves.total(),
            back: row.moves.succeeded,
            in_flight: row.moves.ongoing,
            moves: row.moves.into(),
        }
    }
}

impl WaitingRecoveryView {
    fn of(snapshot: &RegionSnapshot, row: &RecoverySummary) -> Self {
        Self {
            recovery: row.id,
            host: row.host.clone(),
            waits: row.wait.as_ref().map(WaitView::from),
            commands: waits::to_end_recovery(row),
            evidence: EvidenceView::of(snapshot, &row.host),
        }
    }
}

impl WaitingInstanceView {
    fn of(snapshot: &RegionSnapshot, line: &MoveLine) -> Self {
        Self {
            instance: line.server.to_string(),
            name: line.name.clone(),
            host: line.host.clone(),
            recovery: line.recovery,
            life: line.life,
            waits: line.wait.as_ref().map(WaitView::from),
            commands: snapshot.commands_of(line),
        }
    }
}

impl From<&RegionSnapshot> for SituationView {
    fn from(snapshot: &RegionSnapshot) -> Self {
        let tables = &snapshot.tables;
        Self {
            at: Time(snapshot.now),
            fencing: snapshot.fencing.line(),
            fencing_mode: format!("{:?}", snapshot.fencing.mode).to_ascii_lowercase(),
            region: snapshot.place.region.clone(),
            database: snapshot.place.database.clone(),
            engines: tables
                .engines
                .iter()
                .filter(|line| !is_replaced(line, snapshot))
                .map(|line| EngineView::at(snapshot.now, line))
                .collect(),
            reporters_set_aside: tables.muted_reporters.iter().map(ReporterView::from).collect(),
            queue: QueueView {
                new: tables.backlog.new,
                oldest_new: tables.backlog.oldest_new.map(Time),
            },
            segments: tables
                .segments
                .iter()
                .map(|view| SegmentView::of(snapshot, view))
                .collect(),
            hosts: HostView::all(snapshot),
            monitors: snapshot
                .situation
                .monitors
                .iter()
                .map(MonitorView::from)
                .collect(),
            recoveries: tables.recoveries.iter().map(UnderwayView::from).collect(),
            needs_person: NeedsPersonView {
                recoveries: snapshot
                    .on_hold()
                    .map(|row| WaitingRecoveryView::of(snapshot, row))
                    .collect(),
                instances: snapshot
                    .waiting()
                    .map(|line| WaitingInstanceView::of(snapshot, line))
                    .collect(),
            },
            grade: snapshot.situation.grade,
            looked_at: snapshot.looked_at.map(Time),
            facts: snapshot
                .ages
                .iter()
                .map(|age| FactView::at(snapshot.now, *age))
                .collect(),
            findings: snapshot
                .situation
                .findings
                .iter()
                .map(|finding| FindingView::of(snapshot, finding))
                .collect(),
            instances: snapshot.situation.counts.map(CountsView::from),
            not_assessed: snapshot.situation.not_assessed.clone(),
        }
    }
}
