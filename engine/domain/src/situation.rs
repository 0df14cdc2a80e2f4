//! Pure assessment of the gathered facts: the protection of every instance, the reasons and the remedies. Every display and every
//! count of a region's state is a rendering of [`assess`].
//!
//! Two rules apply everywhere. A fact improves the assessment only while it is current, at most [`MAX_FACT_AGE`] old. A fact that
//! worsens it counts until a later fact contradicts it. A fact that no engine has gathered is unknown or listed as not assessed.

mod acknowledgement;
mod code;
mod counts;
mod engines;
mod explain;
mod facts;
mod fencing;
mod findings;
mod first_listing;
mod freezes;
mod guard_limit;
mod host_faults;
mod hosts;
mod instances;
mod local_disk;
mod monitors;
mod room;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::timestamp::Timestamp;

pub use acknowledgement::Acknowledgement;
pub use code::FindingCode;
pub use counts::Counts;
pub use engines::{is_alive, replaces};
pub use explain::{Explanation, HostOrInstance, MIN_ID_PREFIX_LENGTH, Need};
pub use facts::{
    ActiveFreeze, ComputeService, DeviceTest, Engine, EnginePart, Facts, Fencing, Host, Instance, Instances,
    Monitor, MutedReporter, Queue, Recovery, ReportedFailure, Rooms, RoomsState, Segment, TimedFact,
    WaitingInstance, WrongMachine,
};
pub use findings::{Finding, name_in_command, position_in_command};
pub use hosts::HostSituation;
pub use instances::InstanceSituation;
pub use local_disk::{DiskPlace, InstanceDisk};
pub use monitors::MonitorSituation;
pub use room::{
    Fit, Forecast, ForecastFailure, ForecastFailureKind, MAX_ROOM_FACT_AGE, fit, forecast_loss,
    forecast_region, is_fresh_for_room, possible_destinations,
};
pub use segments::SegmentSituation;

use crate::id::ServerId;
use crate::nova::StopReason;
use crate::recovery::{Life, RecoveryKind};
use crate::string_enum::string_enum;
use findings::Findings;
use hosts::AssessedHost;

/// Maximum age of a fact that counts as good news.
pub const MAX_FACT_AGE: Duration = Duration::from_secs(45);

string_enum! {
    /// Severity of a finding, and of the whole situation, in ascending order.
    Severity {
        /// No problem.
        Ok = "ok",
        /// Useful to know; no action needed.
        Info = "info",
        /// Protection is weakened, or an operator has removed it on purpose.
        Warn = "warn",
        /// The state is not known.
        Unknown = "unknown",
        /// Instances are down, or would stay down.
        Err = "err",
    }
}

string_enum! {
    /// The fate of an instance if its host failed now, in ascending order of severity, except for the last one.
    Protection {
        /// The instance would be recovered.
        Protected = "protected",
        /// The instance would be recovered, with a caveat.
        Degraded = "degraded",
        /// Too little is known.
        Unknown = "unknown",
        /// The instance would stay down.
        Unprotected = "unprotected",
        /// The instance is down, or may be.
        Down = "down",
        /// Policy excludes the instance from recovery.
        NotMeant = "not-meant",
    }
}

impl Protection {
    /// Returns the word for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotMeant => "excluded",
            Self::Protected | Self::Degraded | Self::Unknown | Self::Unprotected | Self::Down => {
                self.as_str()
            }
        }
    }
}

string_enum! {
    /// A part of an assessment that is left out while no data for it is gathered.
    Aspect {
        /// Capacity of other hosts for the instances that would move.
        Room = "room",
        /// Coverage of each host by a monitor.
        Monitors = "monitors",
    }
}

/// The assessed state of a region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Situation {
    /// The highest severity of the findings.
    pub grade: Severity,
    /// The findings, most severe first.
    pub findings: Vec<Finding>,
    /// The registered hosts and the hosts that Nova knows, by name.
    pub hosts: Vec<HostSituation>,
    /// The segments, by name.
    pub segments: Vec<SegmentSituation>,
    /// The monitors that have ever sent a heartbeat, most severe first.
    pub monitors: Vec<MonitorSituation>,
    /// Every known instance; `None` until the instances have been listed.
    #[serde(skip)]
    pub instances: Option<Vec<InstanceSituation>>,
    /// The instances that were given up and need no operator any more: they were deleted, or run on another host.
    #[serde(skip)]
    pub resolved: BTreeSet<ServerId>,
    /// The number of instances by protection.
    pub counts: Option<Counts>,
    /// The parts that are not assessed.
    pub not_assessed: Vec<Aspect>,
}

/// Protection of the instances of a host, a segment or the whole region, with the reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ProtectionState {
    protection: Protection,
    /// The reasons, most severe first; empty only if protected. Some of them may only limit what is known.
    reasons: BTreeSet<FindingCode>,
}

impl ProtectionState {
    const fn good() -> Self {
        Self {
            protection: Protection::Protected,
            reasons: BTreeSet::new(),
        }
    }

    /// Lowers the protection to at most `protection`, because of `code`.
    fn worsen(&mut self, protection: Protection, code: FindingCode) {
        self.protection = self.protection.max(protection);
        self.reasons.insert(code);
    }

    fn and(&mut self, other: &Self) {
        self.protection = self.protection.max(other.protection);
        self.reasons.extend(other.reasons.iter().copied());
    }
}

/// Assesses the facts as of `now`.
pub fn assess(facts: &Facts, now: Timestamp) -> Situation {
    assess_with(facts, &forecast_region(facts, now), now)
}

/// Assesses the facts with a forecast that was made from them, so that frequent callers need not make it each time.
pub fn assess_with(facts: &Facts, forecast: &Forecast, now: Timestamp) -> Situation {
    let mut found = Findings::new(&facts.acknowledged, now);
    let mut all = ProtectionState::good();
    engines::assess(facts, now, &mut all, &mut found);
    fencing::assess_region(facts, &mut all, &mut found);
    let computes: BTreeMap<&str, &ComputeService> = facts
        .computes
        .iter()
        .flat_map(|known| &known.value)
        .map(|one| (one.host.as_str(), one))
        .collect();
    let ctx = AssessContext {
        facts,
        now,
        fresh: facts.computes.as_ref().is_some_and(|known| known.is_fresh(now)),
        computes,
        tests: fencing::by_host(facts),
        instance_counts: instances::instance_counts(facts),
        ice: freezes::direct_freezes(facts),
        watchers: monitors::watchers(facts, now),
        shutdowns: monitors::shutdowns(facts),
        holds: facts
            .holds
            .iter()
            .flat_map(|known| &known.value)
            .map(|one| (one.host.as_str(), one.why.as_slice()))
            .collect(),
    };
    freezes::assess(&ctx, &mut all, &mut found);
    hosts::guards(&ctx, &mut all, &mut found);
    let is_observed = ctx.fresh && facts.engines.iter().any(|engine| is_alive(engine.seen_at, now));
    let room = room::assess(forecast, is_observed, &mut all, &mut found);
    let mut hosts: Vec<AssessedHost> = Vec::new();
    let mut segments = Vec::new();
    for segment in &facts.segments {
        let of_segment = segments::assess(segment, &ctx, &mut found);
        let first = hosts.len();
        hosts.extend(segment.hosts.iter().map(|host| {
            let mut assessed = hosts::registered(host, segment, &ctx, &mut found);
            // NO_RESERVED_HOST already reports that a segment without a reserved host lacks capacity.
            if !of_segment.reasons.contains(&FindingCode::NoReservedHost) {
                room.of_host(&host.name, &ctx, &mut assessed.protection_state, &mut found);
            }
            assessed.protection_state.and(&of_segment);
            assessed
        }));
        segments.push((segment, first..hosts.len()));
    }
    hosts.extend(hosts::unregistered_hosts(&ctx, &mut found));
    if facts.segments.iter().all(|segment| segment.hosts.is_empty()) {
        let text = "no host is registered, so no failure can be reported";
        found.note(Finding::new(FindingCode::NoHosts, text).fix("tachi setup import --apply"));
    }
    for assessed in &mut hosts {
        assessed.protection_state.and(&all);
    }
    let resolved = instances::resolved(&ctx);
    let instances = instances::assess(&ctx, &hosts, &resolved, &mut found);
    let segments = segments
        .into_iter()
        .map(|(segment, range)| {
            let headroom = room.headroom(&segment.name);
            segments::summary(segment, &ctx, &hosts[range], instances.as_deref(), headroom)
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
            .unwrap_or(Severity::Ok),
        findings,
        hosts,
        segments,
        resolved,
        counts,
        instances,
        not_assessed: not_assessed(&ctx, &room),
        monitors: monitors::situations(&ctx),
    }
}

/// Returns the parts for which data is missing.
fn not_assessed(ctx: &AssessContext<'_>, room: &room::CapacityVerdict<'_>) -> Vec<Aspect> {
    let is_missing = |aspect: &&Aspect| match aspect {
        Aspect::Room => !room.is_assessed(),
        Aspect::Monitors => !monitors::are_known(ctx),
    };
    Aspect::ALL.iter().filter(is_missing).copied().collect()
}

/// Inputs that all parts of an assessment share.
struct AssessContext<'a> {
    facts: &'a Facts,
    now: Timestamp,
    /// True if Nova's list of services is fresh enough to count as good news.
    fresh: bool,
    computes: BTreeMap<&'a str, &'a ComputeService>,
    /// The last tests of the fence devices, by host.
    tests: BTreeMap<&'a str, Vec<&'a DeviceTest>>,
    /// The number of instances by host, as last listed.
    instance_counts: BTreeMap<&'a str, u64>,
    /// The frozen segments, hosts and instances.
    ice: freezes::DirectFreeze<'a>,
    /// The monitors that watch each host.
    watchers: monitors::Watchers<'a>,
    /// The instances whose guests have shut themselves down, with the time of the heartbeat that shows it.
    shutdowns: BTreeMap<(&'a str, ServerId), Timestamp>,
    /// The reasons for which the guards would put the recovery of a host on hold.
    holds: BTreeMap<&'a str, &'a [String]>,
}

impl AssessContext<'_> {
    /// Returns the open recovery of the host itself. Those of its instances and processes, and its drain, bear its name, too.
    fn open_host_recovery(&self, host: &str) -> Option<&Recovery> {
        self.open_recovery(host, RecoveryKind::Host)
    }

    /// Returns the drain of a host that is open.
    fn open_drain(&self, host: &str) -> Option<crate::id::RecoveryId> {
        Some(self.open_recovery(host, RecoveryKind::Drain)?.id)
    }

    fn open_recovery(&self, host: &str, kind: RecoveryKind) -> Option<&Recovery> {
        let mut all = self.facts.recoveries.iter();
        all.find(|recovery| recovery.host == host && recovery.kind == kind && recovery.life == Life::Open)
    }

    /// Returns the host of an instance, as Nova listed it.
    fn host_of(&self, server: crate::id::ServerId) -> Option<&str> {
        let known = self.facts.instances.as_ref()?;
        let mut on = known.value.on.iter();
        let (host, _) = on.find(|(_, all)| all.iter().any(|instance| instance.id == server))?;
        Some(host)
    }

    /// Returns the number of instances on a host; 0 if it is not known.
    fn instances_on(&self, host: &str) -> u64 {
        self.instance_counts.get(host).copied().unwrap_or(0)
    }

    /// Returns the number of instances on a host that policy includes; 0 if it is not known.
    fn covered_on(&self, host: &str) -> u64 {
        let known = self.facts.instances.iter();
        let on = known.filter_map(|known| known.value.on.get(host));
        on.flat_map(|all| all.iter())
            .filter(|instance| instance.left.is_none())
            .count() as u64
    }

    /// True if an instance on the host is included by policy, and no person is known to have stopped it.
    fn should_run_on(&self, host: &str) -> bool {
        let known = self.facts.instances.iter();
        let mut on = known
            .filter_map(|known| known.value.on.get(host))
            .flat_map(|all| all.iter());
        let is_meant = |instance: &Instance| self.is_meant_to_rest(instance, host);
        on.any(|instance| instance.left.is_none() && !is_meant(instance))
    }

    /// True if a person has stopped the instance, or its guest has shut itself down: Nova has stopped it by itself, and a heartbeat
    /// after that shows the shutdown on its host.
    fn is_meant_to_rest(&self, instance: &Instance, host: &str) -> bool {
        let Some(rest) = &instance.rest else {
            return false;
        };
        let is_shown =
            |at: &Timestamp| *at >= rest.since && rest.observed.is_none_or(|observed| *at >= observed);
        match rest.why {
            StopReason::Meant => true,
            StopReason::Unclear => self.shutdowns.get(&(host, instance.id)).is_some_and(is_shown),
            StopReason::Due | StopReason::Unasked => false,
        }
    }

    /// True if the host is up and disabled in Nova, and is not a reserved host, which is disabled until it is needed.
    fn takes_nothing(&self, host: &Host) -> bool {
        let compute = self.computes.get(host.name.as_str());
        !host.reserved && compute.is_some_and(|service| service.up && !service.cell_down && !service.enabled)
    }

    /// True if a drain has disabled the host and the host is frozen, so that the freeze's finding covers both.
    fn is_frozen_by_drain(&self, host: &Host) -> bool {
        let compute = self.computes.get(host.name.as_str());
        self.takes_nothing(host)
            && compute.is_some_and(|service| service.drained)
            && self.ice.hosts.contains(host.name.as_str())
    }

    /// Returns true if Nova shows the host up; `None` if that is not known.
    fn is_up(&self, host: &str) -> Option<bool> {
        let compute = self.computes.get(host).filter(|service| !service.cell_down)?;
        (self.fresh || !compute.up).then_some(compute.up)
    }
}

/// Formats a count with its noun.
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
