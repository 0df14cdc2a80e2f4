//! Is every instance protected now, and if not, why and what is to be done: one pure assessment of what is known. Whatever shows
//! the state of a region to people, or counts it, is a rendering of [`assess`].
//!
//! Two rules hold everywhere. What is good counts only while it is young: a fact older than [`FRESH`] says nothing good any more.
//! What is bad counts until something newer says otherwise. What nobody has gathered is unknown or said to be not assessed, and
//! never good.

mod code;
mod counts;
mod engines;
mod explain;
mod facts;
mod fencing;
mod findings;
mod freezes;
mod hosts;
mod instances;
mod monitors;
mod room;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::timestamp::Timestamp;

pub use code::Code;
pub use counts::Counts;
pub use engines::{is_alive, replaces};
pub use explain::{Explanation, HostOrInstance, Need, SHORTEST_ID};
pub use facts::{
    ComputeService, DeviceTest, Doubt, Engine, Facts, Fencing, Foreign, Host, Ice, Instance, Instances,
    Known, Monitor, Part, Queue, Recovery, Rooms, RoomsState, Segment, Waiting,
};
pub use findings::Finding;
pub use hosts::HostSituation;
pub use instances::InstanceSituation;
pub use monitors::MonitorSituation;
pub use room::{
    Fit, Forecast, ForecastTrouble, ROOM_COUNTS_FOR, TroubleKind, fit, forecast_loss, forecast_region,
    is_fresh_for_room, landings,
};
pub use segments::SegmentSituation;

use crate::words::words;
use findings::Findings;
use hosts::Assessed;

/// How old a fact may be that says something good.
pub const FRESH: Duration = Duration::from_secs(45);

words! {
    /// How bad a finding is, and the whole: the later, the worse.
    Grade {
        /// Nothing to say.
        Ok = "ok",
        /// Worth knowing, and no reason to act.
        Info = "info",
        /// Protection has lost a leg, or somebody has taken it away on purpose.
        Warn = "warn",
        /// It is not known how things are.
        Unknown = "unknown",
        /// Instances are down, or would stay down.
        Err = "err",
    }
}

words! {
    /// What would become of an instance if its host died now: the later, the worse, but for the last.
    Protection {
        /// It would be recovered.
        Protected = "protected",
        /// It would be recovered, with a caveat.
        Degraded = "degraded",
        /// Too little is known.
        Unknown = "unknown",
        /// It would stay down.
        Unprotected = "unprotected",
        /// It is down, or may be.
        Down = "down",
        /// Policy leaves it where it is.
        NotMeant = "not-meant",
    }
}

words! {
    /// What an assessment cannot judge yet, because nobody gathers it.
    Aspect {
        /// Whether other hosts have room for what would move.
        Room = "room",
        /// Whether a monitor watches each host.
        Monitors = "monitors",
    }
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Situation {
    /// The worst of the findings.
    pub grade: Grade,
    /// What there is to say, worst first.
    pub findings: Vec<Finding>,
    /// The registered hosts and those of Nova, by name.
    pub hosts: Vec<HostSituation>,
    /// The segments, by name.
    pub segments: Vec<SegmentSituation>,
    /// The monitors that have ever signed, worst first.
    pub monitors: Vec<MonitorSituation>,
    /// Every instance that is known; `None` while nobody has listed them.
    #[serde(skip)]
    pub instances: Option<Vec<InstanceSituation>>,
    /// How many of them there are of each kind.
    pub counts: Option<Counts>,
    /// What is not judged.
    pub not_assessed: Vec<Aspect>,
}

/// What is the matter with a host, or with everything, as far as its instances are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    protection: Protection,
    /// Why, weightiest first; empty only if protected. What only limits what is known may be among them.
    reasons: BTreeSet<Code>,
}

impl Standing {
    const fn good() -> Self {
        Self {
            protection: Protection::Protected,
            reasons: BTreeSet::new(),
        }
    }

    /// It is no better than `protection`, because of `code`.
    fn worsen(&mut self, protection: Protection, code: Code) {
        self.protection = self.protection.max(protection);
        self.reasons.insert(code);
    }

    fn and(&mut self, other: &Self) {
        self.protection = self.protection.max(other.protection);
        self.reasons.extend(other.reasons.iter().copied());
    }
}

/// Judges what is known at `now`.
pub fn assess(facts: &Facts, now: Timestamp) -> Situation {
    assess_with(facts, &forecast_region(facts, now), now)
}

/// The same with a forecast that was made of these facts: whoever judges often need not make it each time.
pub fn assess_with(facts: &Facts, forecast: &Forecast, now: Timestamp) -> Situation {
    let mut found = Findings::default();
    let mut all = Standing::good();
    engines::assess(facts, now, &mut all, &mut found);
    fencing::assess_region(facts, &mut all, &mut found);
    let computes: BTreeMap<&str, &ComputeService> = facts
        .computes
        .iter()
        .flat_map(|known| &known.value)
        .map(|one| (one.host.as_str(), one))
        .collect();
    let look = Look {
        facts,
        now,
        fresh: facts.computes.as_ref().is_some_and(|known| known.is_fresh(now)),
        computes,
        tests: fencing::by_host(facts),
        numbers: instances::numbers(facts),
        ice: freezes::by_what(facts),
        watchers: monitors::watchers(facts, now),
        holds: facts
            .holds
            .iter()
            .flat_map(|known| &known.value)
            .map(|one| (one.host.as_str(), one.why.as_slice()))
            .collect(),
    };
    freezes::assess(&look, &mut all, &mut found);
    let is_looked = look.fresh && facts.engines.iter().any(|one| is_alive(one.seen_at, now));
    let room = room::assess(forecast, is_looked, &mut all, &mut found);
    let mut hosts: Vec<Assessed> = Vec::new();
    let mut segments = Vec::new();
    for segment in &facts.segments {
        let of_segment = segments::assess(segment, &look, &mut found);
        let first = hosts.len();
        hosts.extend(segment.hosts.iter().map(|host| {
            let mut assessed = hosts::registered(host, segment, &look, &mut found);
            // Without a reserved host, where there has to be one, there is no room for anything, and that is said.
            if !of_segment.reasons.contains(&Code::NoReservedHost) {
                room.of_host(&host.name, &look, &mut assessed.standing, &mut found);
            }
            assessed.standing.and(&of_segment);
            assessed
        }));
        segments.push((segment, first..hosts.len()));
    }
    hosts.extend(hosts::strangers(&look, &mut found));
    if facts.segments.iter().all(|segment| segment.hosts.is_empty()) {
        let text = "no host is registered, so no failure can be reported";
        found.note(Finding::new(Code::NoHosts, text).fix("tachi setup import"));
    }
    for assessed in &mut hosts {
        assessed.standing.and(&all);
    }
    let instances = instances::assess(&look, &hosts, &mut found);
    let segments = segments
        .into_iter()
        .map(|(segment, range)| {
            let headroom = room.headroom(&segment.name);
            segments::summary(segment, &look, &hosts[range], instances.as_deref(), headroom)
        })
        .collect();
    let counts = instances.as_deref().map(Counts::of);
    let mut hosts: Vec<HostSituation> = hosts
        .into_iter()
        .map(|assessed| assessed.summary(instances.as_deref()))
        .collect();
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    let findings = found.sorted();
    Situation {
        grade: findings
            .iter()
            .map(|finding| finding.grade)
            .max()
            .unwrap_or(Grade::Ok),
        findings,
        hosts,
        segments,
        counts,
        instances,
        not_assessed: not_assessed(&look, &room),
        monitors: monitors::situations(&look),
    }
}

/// What nobody gathers, or may.
fn not_assessed(look: &Look<'_>, room: &room::Judged<'_>) -> Vec<Aspect> {
    let is_missing = |aspect: &&Aspect| match aspect {
        Aspect::Room => !room.is_assessed(),
        Aspect::Monitors => !monitors::are_known(look),
    };
    Aspect::ALL.iter().filter(is_missing).copied().collect()
}

/// What the parts of an assessment look at.
struct Look<'a> {
    facts: &'a Facts,
    now: Timestamp,
    /// What Nova says of its services is young enough to be good news.
    fresh: bool,
    computes: BTreeMap<&'a str, &'a ComputeService>,
    /// The last tests of the devices of each host.
    tests: BTreeMap<&'a str, Vec<&'a DeviceTest>>,
    /// Instances by host, as listed last.
    numbers: BTreeMap<&'a str, u64>,
    /// What is frozen.
    ice: freezes::Frozen<'a>,
    /// Who watches which host.
    watchers: monitors::Watchers<'a>,
    /// Why the guards would hold the recovery of a host.
    holds: BTreeMap<&'a str, &'a [String]>,
}

impl Look<'_> {
    /// How many instances are on a host; 0 if that is not known.
    fn instances_on(&self, host: &str) -> u64 {
        self.numbers.get(host).copied().unwrap_or(0)
    }

    /// Whether Nova hears a host; `None` if it is not known.
    fn is_up(&self, host: &str) -> Option<bool> {
        let compute = self.computes.get(host).filter(|one| !one.cell_down)?;
        (self.fresh || !compute.up).then_some(compute.up)
    }
}

/// Words for a number of things.
fn number(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
