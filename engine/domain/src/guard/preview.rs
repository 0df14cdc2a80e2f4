//! Verdicts of the guards if a host failed now, from the code that will decide then.

use std::collections::{BTreeMap, BTreeSet};

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

impl Region {
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
    use std::time::Duration;

    use super::super::region::tests::region;
    use super::super::{HostIncident, Witness};
    use super::*;

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
