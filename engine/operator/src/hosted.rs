//! What a host has: its fence devices, the instances on it, and what is known of it while its recovery is on hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tachi_domain::power::Power;
use tachi_domain::situation::{Code, Protection};
use utoipa::ToSchema;

use crate::schema;
use crate::seen::Seen;
use crate::situation::CountsView;
use crate::waits::WaitView;
use crate::when::Time;

/// A fence device of a host, as it was tested last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FenceLevel)]
pub struct LevelView {
    /// The level's number: the lowest is tried first.
    pub level: u32,
    /// The device, with its plug.
    pub device: String,
    /// When it was tested.
    pub tested_at: Time,
    /// Whether it works, and was tested lately enough to count.
    pub good: bool,
    /// The power that it read then; null if it read none.
    #[serde(default)]
    #[schema(required, schema_with = schema::power)]
    pub power: Option<Power>,
    /// Why it cannot be counted on.
    #[schema(required)]
    pub fault: Option<String>,
}

impl LevelView {
    /// Those of one host, in the order in which they are tried.
    pub(crate) fn of(seen: &Seen, host: &str) -> Vec<Self> {
        let mut all: Vec<_> = seen.tests.iter().filter(|test| test.host == host).collect();
        all.sort_by_key(|test| (test.level, &test.target));
        all.into_iter()
            .map(|test| Self {
                level: test.level,
                device: test.target.clone(),
                tested_at: Time(test.as_of),
                good: test.is_good(seen.now),
                power: test.power,
                fault: test.fault.clone(),
            })
            .collect()
    }
}

/// The evidence that a host is off, or not: for who decides about its recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostEvidence)]
pub struct EvidenceView {
    /// True if the host is up in Nova; null if that is not known.
    #[schema(required)]
    pub up: Option<bool>,
    /// Since when Nova shows it so, as far as an engine has seen.
    #[schema(required)]
    pub since: Option<Time>,
    /// The number of its instances; null while they are not listed.
    #[schema(required)]
    pub instances: Option<u64>,
    /// Its fence devices with their last readings, in the order in which they are tried.
    pub levels: Vec<LevelView>,
}

impl EvidenceView {
    /// Gathers what is known of one host.
    pub(crate) fn of(seen: &Seen, host: &str) -> Self {
        let judged = seen.situation.hosts.iter().find(|one| one.name == host);
        let mut services = seen.facts.computes.iter().flat_map(|known| &known.value);
        let counts = judged.and_then(|one| one.counts).map(CountsView::from);
        Self {
            up: judged.and_then(|one| one.up),
            since: services.find(|one| one.host == host).map(|one| Time(one.since)),
            instances: counts.map(|counts| counts.meant() + counts.not_meant),
            levels: LevelView::of(seen, host),
        }
    }
}

/// An instance on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostedInstance)]
pub struct HostedView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What would become of it if its host died now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// Why, beside what is so of its host.
    #[schema(schema_with = schema::codes)]
    pub reasons: Vec<Code>,
    /// Why policy leaves it where it is.
    #[schema(required)]
    pub left: Option<String>,
    /// For what it waits.
    #[schema(required)]
    pub waits: Option<WaitView>,
}

impl HostedView {
    /// Those on one host; `None` while nobody has listed them.
    pub(crate) fn on(seen: &Seen, host: &str) -> Option<Vec<Self>> {
        let all = seen.situation.instances.as_ref()?;
        let of_host: BTreeSet<Code> = seen
            .situation
            .hosts
            .iter()
            .filter(|one| one.name == host)
            .flat_map(|one| one.reasons.iter().copied())
            .collect();
        let here = all.iter().filter(|one| *one.host == *host);
        let view = here.map(|one| {
            let waiting = seen.tables.waiting.iter().find(|line| line.server == one.id);
            Self {
                id: one.id.to_string(),
                name: one.name.to_string(),
                protection: one.protection,
                reasons: one.reasons.difference(&of_host).copied().collect(),
                left: one.left.clone(),
                waits: waiting.and_then(|line| line.wait.as_ref()).map(WaitView::from),
            }
        });
        Some(view.collect())
    }
}
