//! Why a host or an instance is protected or not, what is happening to it, and what to type.

use serde::{Deserialize, Serialize};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_domain::situation::{
    Aspect, Counts, Explanation, Finding, Grade, HostOrInstance, Need, Protection, fit,
};
use tachi_engine::ports::operator::{MoveLine, RecoverySummary};
use utoipa::ToSchema;

use crate::finding::FindingView;
use crate::forecast::OutcomeView;
use crate::hosted::{HostedView, LevelView};
use crate::monitor::MonitorView;
use crate::schema;
use crate::seen::Seen;
use crate::situation::CountsView;
use crate::waits::{self, WaitView};
use crate::when::Time;

/// What is under way with it, or waits for an operator.
struct Underway<'a> {
    /// Its own move that waits.
    waiting: Option<&'a MoveLine>,
    /// The recovery of that, or else of its host.
    recovery: Option<&'a RecoverySummary>,
}

impl<'a> Underway<'a> {
    /// As far as `seen` tells.
    fn of(seen: &'a Seen, subject: HostOrInstance<'_>) -> Self {
        let waiting = match subject {
            HostOrInstance::Instance(one) => seen.tables.waiting.iter().find(|line| line.server == one.id),
            HostOrInstance::Host(_) => None,
        };
        let recovery = seen.tables.recoveries.iter().find(|row| match waiting {
            Some(line) => row.id == line.recovery,
            None => row.host == subject.host(),
        });
        Self { waiting, recovery }
    }

    /// What to type to end it.
    fn ways(&self) -> Vec<String> {
        match (self.waiting, self.recovery) {
            (Some(line), _) => waits::to_end_move(line),
            (None, Some(row)) if waits::what(row.wait.as_ref()).is_held() => waits::to_end_recovery(row),
            (None, Some(row)) => vec![format!("tachi recovery show {}", row.id)],
            (None, None) => Vec::new(),
        }
    }
}

/// Why a host or an instance is protected or not, and what is under way with it. Of a host there is `segment`, `reserved`, `instances`, `up`, `levels`, `monitors` and `hosted`, of an instance `id`, `host` and `left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationView {
    /// `host` or `instance`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The host's segment.
    #[schema(required)]
    pub segment: Option<String>,
    /// Whether the host is kept empty for the instances of another.
    #[schema(required)]
    pub reserved: Option<bool>,
    /// The host's instances; null while nobody has listed them.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// Whether Nova hears the host.
    #[schema(required)]
    pub up: Option<bool>,
    /// The host's fence devices, as they were tested last; empty if none is known to have been.
    pub levels: Vec<LevelView>,
    /// The monitors that have signed on the host.
    #[serde(default)]
    pub monitors: Vec<MonitorView>,
    /// What runs on the host, by name; null while nobody has listed it, and for an instance.
    #[schema(required)]
    pub hosted: Option<Vec<HostedView>>,
    /// The instance's id.
    #[schema(required)]
    pub id: Option<String>,
    /// The instance's host.
    #[schema(required)]
    pub host: Option<String>,
    /// Why policy leaves the instance where it is.
    #[schema(required)]
    pub left: Option<String>,
    /// What would become of it if its host died now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// For what the instance waits.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// What is known of the instance that waits; for people.
    #[schema(required)]
    pub known: Option<String>,
    /// The recovery that is under way with it.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
    /// Where that is in its life.
    #[schema(required, schema_with = schema::life_or_null)]
    pub life: Option<Life>,
    /// What it says; for people.
    #[schema(required)]
    pub message: Option<String>,
    /// What to type.
    pub commands: Vec<String>,
    /// What has to hold for a recovery.
    pub needs: Vec<NeedView>,
    /// What is known of room for it; null where nothing is.
    #[schema(required)]
    pub room: Option<RoomView>,
}

/// Whether there is room on other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RoomSeen)]
pub struct RoomView {
    /// When Placement was asked.
    pub as_of: Time,
    /// An instance would fit on so many hosts, if nothing else moved; null of a host, and if it asks for what is not reckoned with.
    #[schema(required)]
    pub hosts: Option<u64>,
    /// Of so many that Nova may choose.
    #[schema(required)]
    pub of: Option<u64>,
    /// What becomes of all of the host's instances; null if it is in no enabled segment, or cannot be lost any more.
    #[schema(required)]
    pub outcome: Option<OutcomeView>,
}

impl RoomView {
    fn of(seen: &Seen, subject: HostOrInstance<'_>) -> Option<Self> {
        let rooms = seen.facts.rooms.as_ref()?;
        if seen.forecast.trouble.is_some() {
            return None;
        }
        let fit = match subject {
            HostOrInstance::Instance(one) => fit(&seen.facts, seen.now, &one.host, one.id),
            HostOrInstance::Host(_) => None,
        };
        let all = seen.forecast.segments.iter().flat_map(|one| &one.hosts);
        let mut own = all.filter(|one| one.lost.iter().any(|name| name == subject.host()));
        Some(Self {
            as_of: Time(rooms.as_of),
            hosts: fit.map(|fit| fit.hosts as u64),
            of: fit.map(|fit| fit.of as u64),
            outcome: own.next().map(OutcomeView::from),
        })
    }
}

/// Something that has to hold for a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Need)]
pub struct NeedView {
    /// Such as a power device that answers.
    #[schema(schema_with = schema::need)]
    pub need: Need,
    /// Whether nothing speaks against it; null if that is not known.
    #[schema(required)]
    pub holds: Option<bool>,
    /// Whether all of it is gathered.
    pub assessed: bool,
    /// What speaks against it.
    pub findings: Vec<FindingView>,
}

impl ExplanationView {
    /// For people: how it is with one of its needs; `None` where its findings say so.
    pub fn told_of(&self, view: &NeedView) -> Option<(Grade, String)> {
        let need = view.need;
        // What it is left for says more than what else speaks against it.
        if let (Need::Meant, Some(left)) = (need, &self.left) {
            return Some((Grade::Info, left.clone()));
        }
        if !view.findings.is_empty() {
            return None;
        }
        let missing = need.not_assessed().filter(|_| !view.assessed);
        Some(match (missing, view.holds) {
            (None, Some(true)) => (Grade::Ok, need.good().to_owned()),
            (None, Some(false)) => (Grade::Err, need.bad().to_owned()),
            (None, None) => (Grade::Unknown, format!("not known whether {}", need.good())),
            (Some(Aspect::Room), _) => (
                Grade::Info,
                "whether other hosts have room is not assessed".to_owned(),
            ),
            (Some(Aspect::Monitors), _) => (
                Grade::Info,
                "no reporter is doubted; which monitors are at work is not assessed".to_owned(),
            ),
        })
    }

    /// One of `seen`.
    pub fn of(seen: &Seen, one: &Explanation<'_>) -> Self {
        let underway = Underway::of(seen, one.subject);
        let (mut segment, mut reserved, mut counts, mut up) = (None, None, None, None);
        let (mut id, mut on, mut left) = (None, None, None);
        let (mut levels, mut monitors, mut hosted) = (Vec::new(), Vec::new(), None);
        let (kind, name) = match one.subject {
            HostOrInstance::Host(host) => {
                segment.clone_from(&host.segment);
                reserved = Some(host.reserved);
                counts = host.counts.map(CountsView::from);
                up = host.up;
                levels = LevelView::of(seen, &host.name);
                let signed = seen.situation.monitors.iter();
                monitors = signed
                    .filter(|one| one.host == host.name)
                    .map(MonitorView::from)
                    .collect();
                hosted = HostedView::on(seen, &host.name);
                ("host", host.name.as_str())
            }
            HostOrInstance::Instance(instance) => {
                id = Some(instance.id.to_string());
                on = Some(instance.host.to_string());
                left.clone_from(&instance.left);
                ("instance", &*instance.name)
            }
        };
        // What to type is about this one, although others have the same.
        let is_meant = |subject: &str| subject == one.subject.host() || subject == name;
        let hosts = &seen.situation.hosts;
        let own = |finding: &Finding| {
            let mut own = FindingView::from(finding).about(is_meant);
            if own.subjects.len() < finding.subjects.len() {
                let host = hosts.iter().find(|host| own.subjects.contains(&host.name));
                own.instances = host.and_then(|host| host.counts).map_or(1, Counts::meant);
            }
            own
        };
        let needs = one.needs.iter().map(|(need, against)| NeedView {
            need: *need,
            holds: one.holds(*need, against),
            assessed: need
                .not_assessed()
                .is_none_or(|aspect| !seen.situation.not_assessed.contains(&aspect)),
            findings: against.iter().map(|finding| own(finding)).collect(),
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
            protection: one.subject.protection(),
            waits: underway
                .waiting
                .and_then(|line| line.wait.as_ref())
                .map(WaitView::from),
            known: underway.waiting.and_then(|line| line.message.clone()),
            recovery: underway.recovery.map(|row| row.id),
            life: underway.recovery.map(|row| row.life),
            message: underway.recovery.and_then(|row| row.message.clone()),
            commands: underway.ways(),
            needs: needs.collect(),
            room: RoomView::of(seen, one.subject),
        }
    }
}
