//! Verdicts of the guards if a host failed now, from the code that will decide then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Guard, GuardFacts, GuardPhase, HostFacts, Region, RegionHost, rule};
use crate::id::{RecoveryId, SegmentId};
use crate::policy::{FencingMode, Policy};

/// An id that no recovery has, so that all orders and proofs count as those of other recoveries.
const NO_RECOVERY: RecoveryId = RecoveryId(Uuid::nil());

/// A host whose recovery would be on hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldHold {
    pub host: String,
    /// The guards that would put the recovery on hold, or let it wait without an end, each with its reason.
    pub why: Vec<String>,
}

/// The guards' result for the loss of several hosts at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JointLoss {
    /// A registered host that is among the lost ones.
    pub host: String,
    /// The failure domain that is lost as a whole; `None` for the smallest number of hosts of the host's segment, whichever they are,
    /// whose loss would put recoveries on hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The number of lost hosts.
    pub hosts: u64,
    /// The guards that would put the recoveries on hold, each with its reason; empty if none would.
    pub why: Vec<String>,
}

impl Region {
    /// Returns the guards' results for the joint loss of hosts that run now: in each segment the smallest loss that would put
    /// recoveries on hold, if there is one, and in each failure domain the loss of all its hosts, if there is more than one.
    pub fn joint_losses(&self, rules: &Policy) -> Vec<JointLoss> {
        let mut of_segment: BTreeMap<SegmentId, Vec<&RegionHost>> = BTreeMap::new();
        let runs = |host: &&RegionHost| !host.recovering && !host.on_maintenance && !self.is_out(host, rules);
        for host in self.hosts.iter().filter(runs) {
            of_segment.entry(host.segment).or_default().push(host);
        }
        let mut found = Vec::new();
        for all in of_segment.values() {
            let holds = |count: usize| self.holds_of(all.get(..count).unwrap_or_default(), rules);
            // A guard that blocks the loss of some hosts also blocks the loss of more.
            let counts: Vec<usize> = (2..=all.len()).collect();
            let first = counts.partition_point(|count| holds(*count).is_empty());
            if let (Some(one), Some(count)) = (all.first(), counts.get(first)) {
                found.push(JointLoss {
                    host: one.name.clone(),
                    domain: None,
                    hosts: u64::try_from(*count).unwrap_or(u64::MAX),
                    why: holds(*count),
                });
            }
        }
        for (name, members) in self.domains(rules) {
            let all: Vec<&RegionHost> = of_segment
                .values()
                .flatten()
                .copied()
                .filter(|host| members.contains(&host.name))
                .collect();
            if let Some(one) = all.first().filter(|_| all.len() > 1) {
                found.push(JointLoss {
                    host: one.name.clone(),
                    domain: Some(name.to_owned()),
                    hosts: u64::try_from(all.len()).unwrap_or(u64::MAX),
                    why: self.holds_of(&all, rules),
                });
            }
        }
        found
    }

    /// Returns the guards that would put the recovery of the first of these hosts on hold if all of them failed now and stayed away.
    fn holds_of(&self, lost: &[&RegionHost], rules: &Policy) -> Vec<String> {
        let Some(first) = lost.first() else {
            return Vec::new();
        };
        let mut region = self.clone();
        let names: BTreeSet<&str> = lost.iter().map(|one| one.name.as_str()).collect();
        for one in region
            .hosts
            .iter_mut()
            .filter(|one| names.contains(one.name.as_str()))
        {
            one.recovering = true;
            one.reported_ago = Some(Duration::ZERO);
        }
        if let Ok(nova) = &mut region.nova {
            for name in names {
                if let Some(Some(service)) = nova.services.get_mut(name) {
                    service.up = false;
                }
            }
        }
        let mut facts = region.facts_beforehand(first, rules);
        facts.own.cliff_for = Duration::MAX;
        holds(&facts, rules)
    }

    /// Returns the registered hosts whose recovery would wait for an operator if each of them alone failed now, and Nova got no more
    /// heartbeats from it. Hosts that are being recovered already are left out, and so are hosts in maintenance, unless one of their
    /// processes has failed: such a host still runs its instances, and reports of it are accepted.
    pub fn would_hold(&self, rules: &Policy) -> Vec<WouldHold> {
        // Hosts of a segment that are not out differ in only a few facts, and there may be a thousand of them.
        let mut of_segment: BTreeMap<(SegmentId, Option<bool>), GuardFacts> = BTreeMap::new();
        let mut found = Vec::new();
        for region_host in self.hosts.iter().filter(|region_host| {
            !region_host.recovering && (!region_host.on_maintenance || region_host.by_process)
        }) {
            let facts = if self.is_out(region_host, rules) {
                self.facts_beforehand(region_host, rules)
            } else {
                let alike = of_segment.entry((region_host.segment, self.is_target(&region_host.name, rules)));
                let mut facts = alike
                    .or_insert_with(|| self.facts_beforehand(region_host, rules))
                    .clone();
                facts.protected = self.protected(&region_host.name, rules);
                facts.fenced = self.fenced(region_host.id, NO_RECOVERY, rules);
                facts
            };
            let why = holds(&facts, rules);
            if !why.is_empty() {
                let host = region_host.name.clone();
                found.push(WouldHold { host, why });
            }
        }
        found
    }

    fn facts_beforehand(&self, region_host: &RegionHost, rules: &Policy) -> GuardFacts {
        let own = HostFacts {
            silent: true,
            ..HostFacts::default()
        };
        let mut facts = self.facts(region_host.id, &region_host.name, NO_RECOVERY, own, rules);
        // Cleared, so that hosts with the same reason are reported together.
        facts.segment_out.clear();
        facts
    }
}

fn holds(facts: &GuardFacts, rules: &Policy) -> Vec<String> {
    let phase = match rules.fencing {
        FencingMode::Engine => GuardPhase::Order,
        FencingMode::External | FencingMode::DryRun => GuardPhase::Proof,
    };
    let ruling = rule(facts, rules, phase, &BTreeSet::new());
    // An operator has to repair something to end these waits. The others end by themselves, or depend on the failure itself.
    let is_endless = |(guard, _): &(Guard, String)| matches!(guard, Guard::Observer | Guard::Evacuation);
    let endless = ruling.waits.into_iter().filter(is_endless);
    let render = |(guard, reason): (Guard, String)| format!("{} {guard}: {reason}", guard.number());
    ruling.holds.into_iter().chain(endless).map(render).collect()
}

#[cfg(test)]
mod tests;
