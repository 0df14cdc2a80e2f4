//! Verdicts of the guards if a host failed now, from the code that will decide then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Guard, GuardFacts, GuardPhase, HostFacts, Region, RegionHost, rule};
use crate::id::{RecoveryId, SegmentId};
use crate::policy::{FencingMode, Policy};

/// An id that no recovery has, so that all orders and proofs count as those of other recoveries.
const NOBODY: RecoveryId = RecoveryId(Uuid::nil());

/// A host whose recovery would be on hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldHold {
    pub host: String,
    /// The guards that would put the recovery on hold, or let it wait without an end, each with its reason.
    pub why: Vec<String>,
}

/// The guards' answer to the loss of several hosts at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JointLoss {
    /// A registered host that is among the lost ones.
    pub host: String,
    /// The failure domain that is lost as a whole; `None` for the smallest number of hosts of the host's segment, whichever they are,
    /// whose loss would be held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The number of lost hosts.
    pub hosts: u64,
    /// The guards that would hold the recoveries, each with its reason; empty if none would.
    pub why: Vec<String>,
}

impl Region {
    /// Returns the guards' answers to the joint loss of hosts that run now: the smallest one of each segment that would be held, if any
    /// would, and that of each failure domain with more than one such host.
    pub fn joint_losses(&self, rules: &Policy) -> Vec<JointLoss> {
        let mut of_segment: BTreeMap<SegmentId, Vec<&RegionHost>> = BTreeMap::new();
        let runs = |one: &&RegionHost| !one.recovering && !one.on_maintenance && !self.is_out(one, rules);
        for one in self.hosts.iter().filter(runs) {
            of_segment.entry(one.segment).or_default().push(one);
        }
        let mut found = Vec::new();
        for all in of_segment.values() {
            let holds = |count: usize| self.holds_of(all.get(..count).unwrap_or_default(), rules);
            // Each guard that holds the loss of some hosts holds that of more.
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
                .filter(|one| members.contains(&one.name))
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

    /// Returns the guards that would hold the recovery of the first of these hosts if all of them failed now and stayed away.
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
        for one in self
            .hosts
            .iter()
            .filter(|one| !one.recovering && (!one.on_maintenance || one.by_process))
        {
            let facts = if self.is_out(one, rules) {
                self.facts_beforehand(one, rules)
            } else {
                let alike = of_segment.entry((one.segment, self.is_target(&one.name, rules)));
                let mut facts = alike.or_insert_with(|| self.facts_beforehand(one, rules)).clone();
                facts.protected = self.protected(&one.name, rules);
                facts.fenced = self.fenced(one.id, NOBODY, rules);
                facts
            };
            let why = holds(&facts, rules);
            if !why.is_empty() {
                let host = one.name.clone();
                found.push(WouldHold { host, why });
            }
        }
        found
    }

    fn facts_beforehand(&self, one: &RegionHost, rules: &Policy) -> GuardFacts {
        let own = HostFacts {
            silent: true,
            ..HostFacts::default()
        };
        let mut facts = self.facts(one.id, &one.name, NOBODY, own, rules);
        // Cleared, so that hosts with the same reason are reported together.
        facts.segment_out.clear();
        facts
    }
}

fn holds(facts: &GuardFacts, rules: &Policy) -> Vec<String> {
    let moment = match rules.fencing {
        FencingMode::Engine => GuardPhase::Order,
        FencingMode::External | FencingMode::DryRun => GuardPhase::Proof,
    };
    let ruling = rule(facts, rules, moment, &BTreeSet::new());
    // These waits end when somebody has repaired something. The others end by themselves, or depend on the failure itself.
    let is_endless = |(guard, _): &(Guard, String)| matches!(guard, Guard::Observer | Guard::Evacuation);
    let endless = ruling.waits.into_iter().filter(is_endless);
    let render = |(guard, reason): (Guard, String)| format!("{} {guard}: {reason}", guard.number());
    ruling.holds.into_iter().chain(endless).map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region;
    use super::super::{HostIncident, Witness};
    use super::*;

    type Change = fn(&mut Region);
    type PreviewCase<'a> = (&'a str, usize, Change, &'a Policy, &'a [&'a str], u64);

    /// Covers R24.
    #[test]
    fn the_guard_preview_agrees_with_what_a_recovery_meets() {
        let rules = Policy::default();
        // Two segments of five hosts.
        let mut all = region();
        assert_eq!(all.would_hold(&rules), [], "one may always fail");
        all.proofs.push(HostIncident {
            host: all.hosts[0].id,
            recovery: RecoveryId(Uuid::from_u128(1)),
            age: Duration::from_secs(10),
        });
        let found = all.would_hold(&rules);
        let names: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
        assert_eq!(
            names,
            ["compute-1", "compute-2", "compute-3", "compute-4"],
            "2 of 5 would be out"
        );
        for one in &found {
            let host = all.hosts.iter().find(|host| host.name == one.host).unwrap();
            assert_eq!(
                one.why,
                holds(&all.facts_beforehand(host, &rules), &rules),
                "as if it were asked alone"
            );
            assert!(
                one.why[0].starts_with("G4 segment: 2 of the segment's 5 hosts"),
                "{found:?}"
            );
        }
        all.proofs.clear();
        let mut listed = rules.clone();
        listed.fencing = FencingMode::Engine;
        listed.guards.protected_hosts = vec!["compute-7".to_owned()];
        let found = all.would_hold(&listed);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].why[0].starts_with("G11 protected"), "{found:?}");
        all.hosts[7].on_maintenance = true;
        assert_eq!(all.would_hold(&listed), [], "reports of it are refused");
        all.hosts[7].by_process = true;
        assert_eq!(all.would_hold(&listed), found, "reports of it are accepted");
    }
    /// The host that fails next, in segments of four and five. One death is never a storm, and capacity that is away is none.
    /// Covers C4, R24.
    #[test]
    fn hosts_that_are_away_hold_nothing_and_hosts_that_just_failed_do() {
        let of = |hosts: usize| {
            let mut all = region();
            all.hosts.truncate(hosts);
            let services = &mut all.nova.as_mut().unwrap().services;
            services.retain(|name, _| all.hosts.iter().any(|one| one.name == *name));
            all
        };
        let engine = Policy {
            fencing: FencingMode::Engine,
            ..Policy::default()
        };
        let mut listed = engine.clone();
        listed.guards.protected_hosts = vec!["compute-3".to_owned()];
        let maintenance: Change = |all| {
            all.hosts[0].on_maintenance = true;
            all.hosts[0].by_operator = true;
        };
        let repair: Change = |all| {
            all.hosts[0].on_maintenance = true;
            let service = all.nova.as_mut().unwrap().services.get_mut("compute-0");
            let service = service.unwrap().as_mut().unwrap();
            (service.up, service.forced_down, service.enabled) = (false, true, false);
            all.proofs.push(HostIncident {
                host: all.hosts[0].id,
                recovery: RecoveryId(Uuid::from_u128(1)),
                age: Duration::from_mins(60),
            });
        };
        let fenced: Change = |all| {
            all.proofs.push(HostIncident {
                host: all.hosts[0].id,
                recovery: RecoveryId(Uuid::from_u128(1)),
                age: Duration::from_secs(10),
            });
        };
        let cases: [PreviewCase<'_>; 6] = [
            ("4 hosts", 4, |_| {}, &engine, &[], 2),
            (
                "4 hosts, one in an operator's maintenance",
                4,
                maintenance,
                &engine,
                &[],
                2,
            ),
            (
                "5 hosts, one recovered and away for repair",
                5,
                repair,
                &engine,
                &[],
                2,
            ),
            (
                "5 hosts, one fenced 10 s ago",
                5,
                fenced,
                &engine,
                &["compute-1", "compute-2", "compute-3", "compute-4"],
                2,
            ),
            (
                "a host in storm_protected_hosts",
                4,
                |_| {},
                &listed,
                &["compute-3"],
                2,
            ),
            ("both", 4, maintenance, &listed, &["compute-3"], 2),
        ];
        for (case, hosts, change, rules, held, together) in cases {
            let mut all = of(hosts);
            change(&mut all);
            let found = all.would_hold(rules);
            let names: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
            assert_eq!(names, held, "{case}: {found:?}");
            let losses = all.joint_losses(rules);
            assert_eq!(losses.len(), 1, "{case}: {losses:?}");
            assert_eq!(losses[0].hosts, together, "{case}: {losses:?}");
            assert!(losses[0].why[0].starts_with("G4 segment: "), "{case}: {losses:?}");
        }
    }

    /// Covers C4, R24.
    #[test]
    fn the_loss_of_a_failure_domain_is_asked_of_the_same_guards() {
        let rules = Policy::default();
        let mut all = region();
        let names = |numbers: &[usize]| numbers.iter().map(|number| format!("compute-{number}")).collect();
        all.domains.insert("rack:r1".to_owned(), names(&[0, 1]));
        all.domains.insert("rack:r2".to_owned(), names(&[2, 5]));
        all.domains.insert("rack:r3".to_owned(), names(&[3, 99]));
        let mut wide = rules.clone();
        (wide.segment_percent, wide.global_percent) = (60, 50);
        let shown = |rules: &Policy| -> Vec<(Option<String>, u64, String)> {
            let guards = |why: &[String]| {
                let numbers = why.iter().filter_map(|one| one.split(' ').next());
                numbers.collect::<Vec<_>>().join(" ")
            };
            let losses = all.joint_losses(rules).into_iter();
            losses
                .map(|one| (one.domain, one.hosts, guards(&one.why)))
                .collect()
        };
        let r1 = Some("rack:r1".to_owned());
        let r2 = Some("rack:r2".to_owned());
        let narrow = shown(&rules);
        assert_eq!(
            narrow[..2],
            [(None, 2, "G4".to_owned()), (None, 2, "G4".to_owned())]
        );
        assert_eq!(narrow[2], (r1.clone(), 2, "G4".to_owned()));
        // One host of each of two segments.
        assert_eq!((&narrow[3].0, narrow[3].1), (&r2, 2));
        let wide = shown(&wide);
        assert_eq!(
            (wide[2].clone(), wide[3].clone()),
            ((r1, 2, String::new()), (r2, 2, String::new()))
        );
    }

    /// Covers R24.
    #[test]
    fn waits_that_only_a_repair_ends_are_known_beforehand() {
        let rules = Policy::default();
        let mut all = region();
        all.nova.as_mut().unwrap().scheduler_up = false;
        let found = all.would_hold(&rules);
        assert_eq!(found.len(), 10, "{found:?}");
        assert_eq!(
            found[0].why,
            ["G9 evacuation: no nova-scheduler is up: nothing could be evacuated"]
        );

        // One host of another segment takes instances: nothing would take its own.
        let mut all = region();
        for (host, service) in &mut all.nova.as_mut().unwrap().services {
            service.as_mut().unwrap().enabled = host == "compute-6";
        }
        let found = all.would_hold(&rules);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].host, "compute-6");
        assert!(
            found[0].why[0].starts_with("G9 evacuation: no other host"),
            "{found:?}"
        );

        let mut all = region();
        all.witnesses = vec![Witness {
            name: "gateway".to_owned(),
            reached: false,
        }];
        let found = all.would_hold(&rules);
        assert_eq!(found.len(), 10, "{found:?}");
        assert!(found[0].why[0].starts_with("G1 observer: "), "{found:?}");
        all.witnesses[0].reached = true;
        assert_eq!(all.would_hold(&rules), []);
    }
}
