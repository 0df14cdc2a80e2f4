//! How a region is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{Aspect, Counts, Grade, replaces};
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::{self, MoveLine, RecoverySummary};
use tachi_engine::ports::roll::EngineLine;
use tachi_engine::situation::is_well;
use utoipa::ToSchema;

use crate::finding::FindingView;
use crate::hosted::EvidenceView;
use crate::judged::HostView;
use crate::monitor::MonitorView;
use crate::recovery::MovesView;
use crate::schema;
use crate::seen::{Age, Seen, is_alive};
use crate::waits::{self, WaitView};
use crate::when::Time;

/// Is every instance protected now, and if not, why and what is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Situation)]
pub struct SituationView {
    /// When it was judged.
    pub at: Time,
    /// How hosts are proven off.
    pub fencing: String,
    /// `engine`, `dryrun` or `external`.
    pub fencing_mode: String,
    /// The region; null where no configuration names it.
    #[serde(default)]
    #[schema(required)]
    pub region: Option<String>,
    /// Where it was read.
    pub database: String,
    /// Who has signed the roll.
    pub engines: Vec<EngineView>,
    /// Reporters that are set aside, or should be.
    pub reporters_set_aside: Vec<AsideView>,
    /// What waits for an engine.
    pub queue: QueueView,
    /// The segments with their registered hosts.
    pub segments: Vec<SegmentView>,
    /// The registered hosts and those of Nova.
    pub hosts: Vec<HostView>,
    /// The monitors that have ever signed, worst first.
    pub monitors: Vec<MonitorView>,
    /// Open, and watching for their host's return.
    pub recoveries: Vec<UnderwayView>,
    /// What waits for an operator.
    pub needs_person: NeedsPersonView,
    /// The worst of the findings.
    #[schema(schema_with = schema::grade)]
    pub grade: Grade,
    /// When an engine looked at Nova last; null if none has.
    #[schema(required)]
    pub looked_at: Option<Time>,
    /// How old is what was seen of the cloud. What is not fresh says nothing good.
    pub facts: Vec<FactView>,
    /// What there is to say, worst first.
    pub findings: Vec<FindingView>,
    /// The instances by what would become of them; null while nobody has listed them.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// What nobody gathers.
    #[schema(schema_with = schema::aspects)]
    pub not_assessed: Vec<Aspect>,
}

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Engine)]
pub struct EngineView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it began.
    pub started_at: Time,
    /// When it signed last.
    pub signed_at: Time,
    /// Whether that is not long ago.
    pub alive: bool,
    /// How its parts are.
    pub facts: BTreeMap<String, String>,
}

/// A reporter whose claims Nova contradicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReporterSetAside)]
pub struct AsideView {
    /// Its number in the list.
    pub number: i64,
    /// Who.
    pub reporter: String,
    /// Whether what it says begins nothing.
    pub set_aside: bool,
    /// Since when.
    pub since: Time,
    /// In words.
    pub why: String,
    /// How many of its reports were kept since.
    pub kept: u64,
}

/// What waits for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    /// Notifications nobody has begun to work on.
    pub new: u64,
    /// When the oldest of them was accepted.
    #[schema(required)]
    pub oldest_new: Option<Time>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SegmentSeen)]
pub struct SegmentView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether anything of it is recovered.
    pub enabled: bool,
    /// How its instances are recovered.
    #[schema(schema_with = schema::method)]
    pub recovery_method: RecoveryMethod,
    /// How many of its hosts are at work.
    pub working: u64,
    /// So many of its hosts may be lost together, whichever they are; null if that is not known.
    #[schema(required)]
    pub headroom: Option<u64>,
    /// One more would be too many for the estimate. If false, more may be lost, which was not found out.
    pub headroom_exact: bool,
    /// Its instances; null while nobody has listed them.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// Its hosts.
    pub hosts: Vec<RegisteredView>,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostRegistered)]
pub struct RegisteredView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Kept empty for the instances of another.
    pub reserved: bool,
    /// Whether it is on maintenance.
    pub on_maintenance: bool,
    /// Why it is.
    #[schema(required, schema_with = schema::why)]
    pub why: Option<MaintenanceReason>,
    /// Its recovery that is open or watching.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
    /// Where that is in its life.
    #[schema(required, schema_with = schema::life_or_null)]
    pub life: Option<Life>,
}

/// A recovery that is under way, or watches for its host's return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryUnderway)]
pub struct UnderwayView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RecoveryId,
    /// Its host.
    pub host: String,
    /// What it is about.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// Where it is in its life.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// Its notification's status.
    pub status: String,
    /// What it waits for.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// For people.
    #[schema(required)]
    pub message: Option<String>,
    /// The engine that has it.
    #[schema(required)]
    pub owner: Option<String>,
    /// All its instances.
    pub instances: u64,
    /// Those that run again.
    pub back: u64,
    /// Those that Nova was asked for.
    pub in_flight: u64,
    /// How all of them fare.
    pub moves: MovesView,
}

/// What waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NeedsPerson)]
pub struct NeedsPersonView {
    /// Recoveries that are held.
    pub recoveries: Vec<WaitingRecoveryView>,
    /// Instances that are down, or may be.
    pub instances: Vec<WaitingInstanceView>,
}

/// A recovery that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryWaiting)]
pub struct WaitingRecoveryView {
    /// Its id.
    #[schema(value_type = String)]
    pub recovery: RecoveryId,
    /// Its host.
    pub host: String,
    /// For what.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// What to type.
    pub commands: Vec<String>,
    /// What is known of the host.
    #[serde(default)]
    #[schema(required)]
    pub evidence: EvidenceView,
}

/// An instance that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceWaiting)]
pub struct WaitingInstanceView {
    /// Its id.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// The host that failed.
    pub host: String,
    /// Its recovery.
    #[schema(value_type = String)]
    pub recovery: RecoveryId,
    /// Where that is in its life.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// For what it waits.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// What to type.
    pub commands: Vec<String>,
}

/// How old a kind of fact is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FactAge)]
pub struct FactView {
    /// `computes`: Nova's compute services. `instances`: Nova's instances. `tests`: the oldest test of a fence device.
    pub kind: String,
    /// When it was so; null if nobody has gathered it.
    #[schema(required)]
    pub as_of: Option<Time>,
    /// How long ago that is.
    #[schema(required)]
    pub age_seconds: Option<u64>,
    /// Whether it still says something good.
    pub fresh: bool,
}

/// Instances by what would become of them if their hosts died now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceCounts)]
pub struct CountsView {
    /// Would be recovered.
    pub protected: u64,
    /// With a caveat.
    pub degraded: u64,
    /// Too little is known.
    pub unknown: u64,
    /// Would stay down.
    pub unprotected: u64,
    /// Are down, or may be.
    pub down: u64,
    /// Are left where they are by policy.
    pub not_meant: u64,
}

impl CountsView {
    /// All of them that are meant to be recovered.
    pub fn meant(self) -> u64 {
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
    fn at(now: Timestamp, one: Age) -> Self {
        let age = one
            .as_of
            .map(|at| now.micros_since(at).unsigned_abs() / 1_000_000);
        Self {
            kind: one.kind.to_owned(),
            as_of: one.as_of.map(Time),
            age_seconds: age,
            fresh: age.is_some_and(|age| age <= one.counts_for),
        }
    }
}

impl EngineView {
    /// The parts that something is the matter with, and what.
    pub fn ill(&self) -> impl Iterator<Item = (&String, &String)> {
        self.facts.iter().filter(|(_, how)| !is_well(how))
    }
}

impl SituationView {
    /// Whether each part works, in every engine that is at work.
    pub fn parts(&self) -> BTreeMap<&str, bool> {
        let mut parts: BTreeMap<&str, bool> = BTreeMap::new();
        for (part, how) in self
            .engines
            .iter()
            .filter(|one| one.alive)
            .flat_map(|one| &one.facts)
        {
            *parts.entry(part).or_insert(true) &= is_well(how);
        }
        parts
    }

    /// How many hosts of a segment may be lost, as it stands in a table; `None` where that is not looked at.
    pub fn headroom_of(&self, segment: &SegmentView) -> Option<String> {
        let is_assessed = segment.enabled && !self.not_assessed.contains(&Aspect::Room);
        is_assessed.then(|| crate::headroom(segment.headroom, segment.headroom_exact))
    }
}

/// Nobody waits for an engine that was killed once another runs in its place.
fn is_replaced(line: &EngineLine, seen: &Seen) -> bool {
    let begun = |line: &EngineLine| (line.signature.name.clone(), line.signature.started_at);
    let mut others = seen.tables.engines.iter();
    !is_alive(line, seen.now)
        && others.any(|other| is_alive(other, seen.now) && replaces(&begun(other), &begun(line)))
}

impl EngineView {
    fn at(now: Timestamp, line: &EngineLine) -> Self {
        Self {
            name: line.signature.name.clone(),
            version: line.signature.version.clone(),
            started_at: Time(line.signature.started_at),
            signed_at: Time(line.seen_at),
            alive: is_alive(line, now),
            facts: line.signature.facts.clone().into_iter().collect(),
        }
    }
}

impl SegmentView {
    fn of(seen: &Seen, view: &operator::SegmentView) -> Self {
        let name = &view.segment.name;
        let judged = seen.situation.segments.iter().find(|one| one.name == *name);
        let headroom = judged.and_then(|one| one.headroom);
        Self {
            id: view.segment.id.to_string(),
            name: name.clone(),
            enabled: view.segment.enabled,
            recovery_method: view.segment.recovery_method,
            working: judged.map_or(0, |one| one.working as u64),
            headroom: headroom.map(|one| one.hosts as u64),
            headroom_exact: headroom.is_none_or(|one| one.exact),
            instances: judged.and_then(|one| one.counts).map(CountsView::from),
            hosts: view.hosts.iter().map(RegisteredView::from).collect(),
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
            message: row.message.clone(),
            owner: row.owner.clone(),
            instances: row.moves.total(),
            back: row.moves.succeeded,
            in_flight: row.moves.ongoing,
            moves: row.moves.into(),
        }
    }
}

impl WaitingRecoveryView {
    fn of(seen: &Seen, row: &RecoverySummary) -> Self {
        Self {
            recovery: row.id,
            host: row.host.clone(),
            waits: row.wait.as_ref().map(WaitView::from),
            commands: waits::to_end_recovery(row),
            evidence: EvidenceView::of(seen, &row.host),
        }
    }
}

impl From<&MoveLine> for WaitingInstanceView {
    fn from(line: &MoveLine) -> Self {
        Self {
            instance: line.server.to_string(),
            name: line.name.clone(),
            host: line.host.clone(),
            recovery: line.recovery,
            life: line.life,
            waits: line.wait.as_ref().map(WaitView::from),
            commands: waits::to_end_move(line),
        }
    }
}

impl From<&Seen> for SituationView {
    fn from(seen: &Seen) -> Self {
        let tables = &seen.tables;
        Self {
            at: Time(seen.now),
            fencing: seen.fencing.line(),
            fencing_mode: format!("{:?}", seen.fencing.mode).to_ascii_lowercase(),
            region: seen.place.region.clone(),
            database: seen.place.database.clone(),
            engines: tables
                .engines
                .iter()
                .filter(|line| !is_replaced(line, seen))
                .map(|line| EngineView::at(seen.now, line))
                .collect(),
            reporters_set_aside: tables
                .doubted
                .iter()
                .map(|one| AsideView {
                    number: one.number,
                    reporter: one.reporter.to_string(),
                    set_aside: one.aside,
                    since: Time(one.since),
                    why: one.why.clone(),
                    kept: one.unheard,
                })
                .collect(),
            queue: QueueView {
                new: tables.backlog.new,
                oldest_new: tables.backlog.oldest_new.map(Time),
            },
            segments: tables
                .segments
                .iter()
                .map(|view| SegmentView::of(seen, view))
                .collect(),
            hosts: HostView::all(seen),
            monitors: seen.situation.monitors.iter().map(MonitorView::from).collect(),
            recoveries: tables.recoveries.iter().map(UnderwayView::from).collect(),
            needs_person: NeedsPersonView {
                recoveries: seen
                    .held()
                    .map(|row| WaitingRecoveryView::of(seen, row))
                    .collect(),
                instances: tables.waiting.iter().map(WaitingInstanceView::from).collect(),
            },
            grade: seen.situation.grade,
            looked_at: seen.looked_at.map(Time),
            facts: seen.ages.iter().map(|one| FactView::at(seen.now, *one)).collect(),
            findings: seen.situation.findings.iter().map(FindingView::from).collect(),
            instances: seen.situation.counts.map(CountsView::from),
            not_assessed: seen.situation.not_assessed.clone(),
        }
    }
}
