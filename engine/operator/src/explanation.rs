//! Reasons why a host or an instance is protected or not, the work in progress on it, and the commands to type.

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_domain::situation::{
    Aspect, Counts, Explanation, Finding, HostOrInstance, Need, Protection, Severity, fit,
};
use tachi_engine::ports::operator::{MoveLine, RecoverySummary};
use utoipa::ToSchema;

use crate::finding::FindingView;
use crate::forecast::{GuardAnswers, OutcomeView};
use crate::host_instances::{DiskView, HostedView, LevelView};
use crate::monitor::MonitorView;
use crate::plain::without_repeats;
use crate::schema;
use crate::situation::CountsView;
use crate::snapshot::RegionSnapshot;
use crate::waits::{self, WaitView};
use crate::when::Time;

/// The work in progress on a host or an instance, or the operator's decision that it waits for.
struct Underway<'a> {
    /// The instance's own move, if that waits for an operator.
    waiting: Option<&'a MoveLine>,
    /// The recovery of that move, else the recovery of the host.
    recovery: Option<&'a RecoverySummary>,
}

impl<'a> Underway<'a> {
    /// Finds the work on `subject`.
    fn of(snapshot: &'a RegionSnapshot, subject: HostOrInstance<'_>) -> Self {
        let waiting = match subject {
            HostOrInstance::Instance(instance) => snapshot.waiting().find(|line| line.server == instance.id),
            HostOrInstance::Host(_) => None,
        };
        let recovery = snapshot.tables.recoveries.iter().find(|row| match waiting {
            Some(line) => row.id == line.recovery,
            None => row.host == subject.host(),
        });
        Self { waiting, recovery }
    }

    /// Returns the message of the instance's move that waits for an operator, or is not done.
    fn known(&self, snapshot: &RegionSnapshot, subject: HostOrInstance<'_>) -> Option<String> {
        if let Some(line) = self.waiting {
            return line.message.clone();
        }
        let HostOrInstance::Instance(instance) = subject else {
            return None;
        };
        let recovery = self.recovery.filter(|row| row.life == Life::Open)?;
        let server = instance.id.to_string();
        let mut moves = snapshot.tables.moves.iter();
        let own =
            moves.find(|own| own.notification == recovery.notification && own.instance_uuid == server)?;
        own.message.clone()
    }

    /// Returns the commands that end the wait, or show the recovery.
    fn commands(&self, snapshot: &RegionSnapshot) -> Vec<String> {
        match (self.waiting, self.recovery) {
            (Some(line), _) => snapshot.commands_of(line),
            (None, Some(row)) if waits::what(row.wait.as_ref()).is_on_hold() => waits::to_end_recovery(row),
            (None, Some(row)) => vec![format!("tachi recovery show {}", row.id)],
            (None, None) => Vec::new(),
        }
    }
}

/// The reasons why a host or an instance is protected or not, and the work in progress on it. Only a host has `segment`, `reserved`,
/// `instances`, `up`, `levels`, `monitors` and `hosted`; only an instance has `id`, `host`, `left` and `disk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationView {
    /// `host` or `instance`.
    pub kind: String,
    /// The name of the host or instance.
    pub name: String,
    /// The name of the host's segment; null if it is in none, and for an instance.
    #[schema(required)]
    pub segment: Option<String>,
    /// True if the host is kept empty for the instances of another host; null for an instance.
    #[schema(required)]
    pub reserved: Option<bool>,
    /// The number of the host's instances by what would become of them; null if no engine has listed them yet, and for an instance.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// True if the host is up in Nova; null if unknown, and for an instance.
    #[schema(required)]
    pub up: Option<bool>,
    /// The host's fence devices with their last test; empty if no test is known, and for an instance.
    pub levels: Vec<LevelView>,
    /// The monitors on the host that have sent a heartbeat; empty for an instance.
    #[serde(default)]
    pub monitors: Vec<MonitorView>,
    /// The instances on the host; null if no engine has listed them yet, and for an instance.
    #[schema(required)]
    pub hosted: Option<Vec<HostedView>>,
    /// The instance's id in Nova; null for a host.
    #[schema(required)]
    pub id: Option<String>,
    /// The instance's host; null for a host.
    #[schema(required)]
    pub host: Option<String>,
    /// The reason why policy excludes the instance from recovery; null if it is included, and for a host.
    #[schema(required)]
    pub left: Option<String>,
    /// The instance's disk; null if it is not listed, and for a host.
    #[serde(default)]
    #[schema(required)]
    pub disk: Option<DiskView>,
    /// The fate of the host's instances, or of the instance, if the host failed now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// The wait that the instance is in; null if it does not wait for an operator, and for a host.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// A message about the instance while its recovery is open or it waits, for people; null if there is none.
    #[schema(required)]
    pub known: Option<String>,
    /// The id of the recovery in progress; null if there is none.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
    /// The life-cycle state of that recovery; null if there is none.
    #[schema(required, schema_with = schema::life_or_null)]
    pub life: Option<Life>,
    /// The message of that recovery, for people; null if there is none.
    #[schema(required)]
    pub message: Option<String>,
    /// The commands for an operator to type.
    pub commands: Vec<String>,
    /// The conditions that a recovery needs.
    pub needs: Vec<NeedView>,
    /// The capacity on other hosts; null if it is unknown.
    #[schema(required)]
    pub room: Option<RoomView>,
}

/// The capacity on other hosts for an instance, or for all instances of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RoomSeen)]
pub struct RoomView {
    /// When capacity was read from Placement.
    pub as_of: Time,
    /// The number of hosts that the instance would fit on if nothing else moved. Null for a host, if unknown, and if the instance requests
    /// something that the forecast does not model.
    #[schema(required)]
    pub hosts: Option<u64>,
    /// The number of hosts that Nova may choose from; null whenever `hosts` is.
    #[schema(required)]
    pub of: Option<u64>,
    /// The forecast for all instances of the host if it failed. Null if the host is in no enabled segment, is reserved, or is out already.
    #[schema(required)]
    pub outcome: Option<OutcomeView>,
}

impl RoomView {
    fn of(snapshot: &RegionSnapshot, subject: HostOrInstance<'_>) -> Option<Self> {
        let rooms = snapshot.facts.rooms.as_ref()?;
        if snapshot.forecast.trouble.is_some() {
            return None;
        }
        let fit = match subject {
            HostOrInstance::Instance(instance) => {
                fit(&snapshot.facts, snapshot.now, &instance.host, instance.id)
            }
            HostOrInstance::Host(_) => None,
        };
        let all = snapshot.forecast.segments.iter().flat_map(|one| &one.hosts);
        let mut own = all.filter(|one| one.lost.iter().any(|name| name == subject.host()));
        Some(Self {
            as_of: Time(rooms.as_of),
            hosts: fit.map(|fit| fit.hosts as u64),
            of: fit.map(|fit| fit.of as u64),
            outcome: own
                .next()
                .map(|one| GuardAnswers::of(&snapshot.facts).of_outcome(one)),
        })
    }
}

/// A condition that a recovery needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Need)]
pub struct NeedView {
    /// `meant`: policy includes the instance. `heard`: its host is up in Nova. `runs`: it is running, or was stopped on purpose.
    /// `provable`: its host can be confirmed off. `room`: another host has capacity. `movable`: nothing blocks its move. `watched`:
    /// monitors watch it. `engine`: an engine is running. `known`: the data is current.
    #[schema(schema_with = schema::need)]
    pub need: Need,
    /// True if the condition holds; null if unknown.
    #[schema(required)]
    pub holds: Option<bool>,
    /// True if all data about the condition is collected.
    pub assessed: bool,
    /// The findings that block it, or leave it unknown.
    pub findings: Vec<FindingView>,
}

impl ExplanationView {
    /// Describes one condition for people; `None` if its findings describe it already.
    pub fn told_of(&self, view: &NeedView) -> Option<(Severity, String)> {
        let need = view.need;
        // The reason for the exclusion is more specific than any other finding.
        if let (Need::Meant, Some(left)) = (need, &self.left) {
            return Some((Severity::Info, left.clone()));
        }
        if !view.findings.is_empty() {
            return None;
        }
        let missing = need.not_assessed().filter(|_| !view.assessed);
        Some(match (missing, view.holds) {
            (None, Some(true)) => (Severity::Ok, need.good().to_owned()),
            (None, Some(false)) => (Severity::Err, need.bad().to_owned()),
            (None, None) => (Severity::Unknown, format!("unknown if {}", need.good())),
            (Some(Aspect::Room), _) => (Severity::Info, "room on other hosts is not assessed".to_owned()),
            (Some(Aspect::Monitors), _) => (
                Severity::Info,
                "no reporter is muted; running monitors are not assessed".to_owned(),
            ),
        })
    }

    /// Builds the view of one explanation.
    pub fn of(snapshot: &RegionSnapshot, explanation: &Explanation<'_>) -> Self {
        let underway = Underway::of(snapshot, explanation.subject);
        let (mut segment, mut reserved, mut counts, mut up) = (None, None, None, None);
        let (mut id, mut on, mut left, mut disk) = (None, None, None, None);
        let (mut levels, mut monitors, mut hosted) = (Vec::new(), Vec::new(), None);
        let (kind, name) = match explanation.subject {
            HostOrInstance::Host(host) => {
                segment.clone_from(&host.segment);
                reserved = Some(host.reserved);
                counts = host.counts.map(CountsView::from);
                up = host.up;
                levels = LevelView::of(snapshot, &host.name);
                let signed = snapshot.situation.monitors.iter();
                monitors = signed
                    .filter(|recovery| recovery.host == host.name)
                    .map(MonitorView::from)
                    .collect();
                hosted = HostedView::on(snapshot, &host.name);
                ("host", host.name.as_str())
            }
            HostOrInstance::Instance(instance) => {
                id = Some(instance.id.to_string());
                on = Some(instance.host.to_string());
                left.clone_from(&instance.left);
                disk = DiskView::of(instance);
                ("instance", &*instance.name)
            }
        };
        // The commands are about this host or instance only, although a finding may cover several.
        let is_meant = |subject: &str| subject == explanation.subject.host() || subject == name;
        let hosts = &snapshot.situation.hosts;
        let own = |finding: &Finding| {
            let mut own = FindingView::of(snapshot, finding).about(is_meant);
            if own.subjects.len() < finding.subjects.len() {
                let host = hosts.iter().find(|host| own.subjects.contains(&host.name));
                own.instances = host.and_then(|host| host.counts).map_or(1, Counts::included);
            }
            own
        };
        let needs = explanation.needs.iter().map(|(need, blockers)| NeedView {
            need: *need,
            holds: explanation.holds(*need, blockers),
            assessed: need
                .not_assessed()
                .is_none_or(|aspect| !snapshot.situation.not_assessed.contains(&aspect)),
            findings: blockers.iter().map(|finding| own(finding)).collect(),
        });
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            segment,
            reserved,
            instances: counts,
            up,
            levels,
            monitors,
            hosted,
            id,
            host: on,
            left,
            disk,
            protection: explanation.subject.protection(),
            waits: underway
                .waiting
                .and_then(|line| line.wait.as_ref())
                .map(WaitView::from),
            known: underway.known(snapshot, explanation.subject),
            recovery: underway.recovery.map(|row| row.id),
            life: underway.recovery.map(|row| row.life),
            message: underway
                .recovery
                .and_then(|row| row.message.as_deref())
                .map(without_repeats),
            commands: underway.commands(snapshot),
            needs: needs.collect(),
            room: RoomView::of(snapshot, explanation.subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tachi_domain::guard::WouldHold;
    use tachi_domain::situation::{ComputeService, Instances, Rooms, TimedFact, assess, forecast_region};

    use super::*;
    use crate::freezes::tests::fine;

    /// A program that reads the outcome for a host must see the guards that the forecast names.
    /// Covers R24.
    #[test]
    fn the_outcome_for_a_host_names_the_guards_that_would_hold_its_recovery() {
        let mut snapshot = fine();
        let compute = |host: &str| ComputeService {
            host: host.to_owned(),
            up: true,
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: snapshot.now,
        };
        let as_of = snapshot.now;
        snapshot.facts.computes = Some(TimedFact {
            as_of,
            value: ["a", "b"].map(compute).into(),
        });
        snapshot.facts.instances = Some(TimedFact {
            as_of,
            value: Instances {
                complete: true,
                ..Instances::default()
            },
        });
        snapshot.facts.rooms = Some(TimedFact {
            as_of,
            value: Rooms::default(),
        });
        let why = "G11 protected: it is listed".to_owned();
        snapshot.facts.holds = Some(TimedFact {
            as_of,
            value: vec![WouldHold {
                host: "a".to_owned(),
                why: vec![why.clone()],
            }],
        });
        snapshot.forecast = Arc::new(forecast_region(&snapshot.facts, snapshot.now));
        snapshot.situation = assess(&snapshot.facts, snapshot.now);
        let is_on_hold = |host: &str| {
            let view = ExplanationView::of(&snapshot, &snapshot.situation.explain(host)[0]);
            view.room.unwrap().outcome.unwrap().held
        };
        assert_eq!(is_on_hold("a"), [why]);
        assert!(is_on_hold("b").is_empty());
    }
}
