//! State of all hosts at one moment, and the guards' inputs for one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::domain::DomainLoss;
use super::facts::{Count, GuardFacts, HostFacts, NovaFacts, Witness, some};
use super::pattern;
use crate::id::{HostId, RecoveryId, SegmentId};
use crate::monitor::BootHeartbeats;
use crate::nova::Service;
use crate::policy::Policy;
use crate::reporter::Reporter;
use crate::reserved::Aggregate;
use crate::timestamp::Timestamp;

/// A registered host.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the host"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionHost {
    pub id: HostId,
    /// The service name in Nova.
    pub name: String,
    pub segment: SegmentId,
    /// True if the host is in maintenance, for any reason.
    pub on_maintenance: bool,
    /// True if an operator has set the maintenance.
    pub by_operator: bool,
    /// True if a process recovery has set the maintenance.
    pub by_process: bool,
    /// True if a recovery of the host is open.
    pub recovering: bool,
    /// True if all that is left of that recovery are instances that wait for the host, whose local disk they are on.
    pub waits_for_disks: bool,
    /// The age of that recovery, by the database's clock.
    pub reported_ago: Option<Duration>,
    /// The reporters since that recovery was opened, each identity once.
    pub reporters: Vec<Reporter>,
    /// The heartbeats that the host's own monitors have sent in the boot in which it was reported.
    pub heartbeats: BootHeartbeats,
}

/// An event of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostIncident {
    pub host: HostId,
    /// The recovery that caused the event.
    pub recovery: RecoveryId,
    /// The age of the event.
    pub age: Duration,
}

/// The state of Nova.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NovaView {
    /// Compute services by host; `None` for one in a cell that is down.
    pub services: BTreeMap<String, Option<Service>>,
    /// True if a scheduler is up.
    pub scheduler_up: bool,
    /// Every aggregate.
    pub aggregates: Vec<Aggregate>,
}

/// The state of all hosts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The time since the cluster's first engine started.
    pub running_for: Duration,
    /// The registered hosts.
    pub hosts: Vec<RegionHost>,
    /// The recent power-off orders.
    pub orders: Vec<HostIncident>,
    /// The hosts that were confirmed off recently.
    pub proofs: Vec<HostIncident>,
    /// The process recoveries that are open or keep a host in maintenance, in the order in which they were opened.
    pub processes: Vec<HostIncident>,
    /// The state of Nova, or the reason why it is not known.
    pub nova: Result<NovaView, String>,
    /// The places that are probed to find out if this engine is cut off.
    pub witnesses: Vec<Witness>,
    /// The hosts by failure domain, from a file.
    pub domains: BTreeMap<String, BTreeSet<String>>,
}

/// Tolerance for ages from Nova, which dates heartbeats and answers to the second.
const NOVA_AGE_TOLERANCE: Duration = Duration::from_secs(2);

/// The heartbeat state of a service.
struct ServiceState {
    stale: bool,
    /// The age of the last heartbeat, if Nova shows it.
    age: Option<Duration>,
}

fn service_state(service: &Service, rules: &Policy) -> ServiceState {
    let age = service
        .heartbeat_age_micros()
        .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
    let stale =
        (!service.up && !service.forced_down) || age.is_some_and(|age| age > rules.others_silent_after());
    ServiceState { stale, age }
}

impl Region {
    fn service(&self, host: &str) -> Option<&Service> {
        let nova = self.nova.as_ref().ok()?;
        nova.services.get(host)?.as_ref()
    }

    /// True if the heartbeats of a host stopped within the window, and it is not forced down.
    fn fell_silent(&self, host: &str, rules: &Policy) -> bool {
        let Some(service) = self.service(host).filter(|service| !service.forced_down) else {
            return false;
        };
        let service_state = service_state(service, rules);
        service_state.stale && service_state.age.is_some_and(|age| age <= rules.guards.window)
    }

    /// True if the host has sent a heartbeat since it was reported, so that the report is a suspicion and no more. Two ages are
    /// compared, each measured by one clock. A host that is only suspected needs just a current heartbeat.
    fn lives(&self, region_host: &RegionHost, rules: &Policy) -> bool {
        let Some(service) = self.service(&region_host.name) else {
            return false;
        };
        let service_state = service_state(service, rules);
        let since = match (service_state.age, region_host.reported_ago) {
            (Some(age), Some(ago)) => age + NOVA_AGE_TOLERANCE < ago,
            (None, _) | (_, None) => true,
        };
        !service_state.stale && (since || Self::is_only_suspected(region_host))
    }

    /// Returns the heartbeats that the monitors of this host have sent in the boot in which it was reported.
    pub fn heartbeats(&self, host: HostId) -> Option<&BootHeartbeats> {
        let found = self.hosts.iter().find(|region_host| region_host.id == host)?;
        Some(&found.heartbeats)
    }

    /// True if Nova has a current heartbeat of this host.
    pub fn has_current_heartbeat(&self, host: &str, rules: &Policy) -> bool {
        self.service(host)
            .is_some_and(|service| !service_state(service, rules).stale)
    }

    /// True if another host is being recovered.
    pub fn recovers_others(&self, host: HostId) -> bool {
        self.hosts
            .iter()
            .any(|region_host| region_host.id != host && region_host.recovering)
    }

    /// Returns other hosts under recovery that have sent no heartbeat since they were reported, but that Nova would still choose.
    pub fn schedulable_lost_hosts<'a>(
        &'a self,
        host: HostId,
        rules: &'a Policy,
    ) -> impl Iterator<Item = &'a str> {
        let would_choose = |service: &Service| service.up && service.enabled && !service.forced_down;
        self.hosts
            .iter()
            .filter(move |region_host| {
                region_host.id != host && region_host.recovering && !self.lives(region_host, rules)
            })
            .filter(move |region_host| self.service(&region_host.name).is_some_and(would_choose))
            .map(|region_host| region_host.name.as_str())
    }

    /// Returns the host's last heartbeat, as Nova shows it.
    pub fn last_heartbeat(&self, host: &str) -> Option<Timestamp> {
        self.service(host)?.last_heartbeat
    }

    /// True if a host counts as out, beside the one in question. A suspected host with a heartbeat in Nova does not count.
    pub(super) fn is_out(&self, region_host: &RegionHost, rules: &Policy) -> bool {
        self.was_proven_off(region_host.id, rules.guards.window)
            || (region_host.recovering
                && !self.lives(region_host, rules)
                && !Self::is_away_for_repair(region_host, rules))
            || (!region_host.by_operator && self.fell_silent(&region_host.name, rules))
    }

    /// True if nothing is left to do for a host but to wait for it, for longer than the window. It reduces the capacity, as a host whose
    /// recovery is done.
    fn is_away_for_repair(region_host: &RegionHost, rules: &Policy) -> bool {
        region_host.waits_for_disks
            && region_host
                .reported_ago
                .is_some_and(|ago| ago > rules.guards.window)
    }

    /// Returns what [`Region::facts`] would return if each of these hosts counted as long as it has no current heartbeat in Nova,
    /// however long ago that stopped. Returns `None` if Nova's state is not known. This distinguishes a storm that continues from one
    /// that has passed. Without hosts, as an older version has stored the hold, every host counts unless an operator has put it in
    /// maintenance.
    pub fn lasting_facts(
        &self,
        host: HostId,
        hosts: &BTreeSet<String>,
        rules: &Policy,
        facts: &GuardFacts,
    ) -> Option<GuardFacts> {
        self.nova.as_ref().ok()?;
        let segment = self
            .hosts
            .iter()
            .find(|region_host| region_host.id == host)?
            .segment;
        let counts = |region_host: &RegionHost| {
            if hosts.is_empty() {
                !region_host.by_operator
            } else {
                hosts.contains(&region_host.name)
            }
        };
        let missed = |region_host: &RegionHost| {
            let service = self.service(&region_host.name);
            region_host.id == host
                || self.is_out(region_host, rules)
                || (counts(region_host) && service.is_none_or(|service| service_state(service, rules).stale))
        };
        let out = |of: &dyn Fn(&RegionHost) -> bool| {
            let count = self
                .hosts
                .iter()
                .filter(|region_host| of(region_host) && missed(region_host))
                .count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        let mut lasting = facts.clone();
        let segment_out = out(&|region_host| region_host.segment == segment);
        if segment_out > lasting.segment.out {
            let hosts = self
                .hosts
                .iter()
                .filter(|region_host| region_host.segment == segment && missed(region_host));
            lasting.segment.out = segment_out;
            lasting.segment_out = some(hosts.map(|region_host| region_host.name.as_str()));
        }
        lasting.all.out = lasting.all.out.max(out(&|_| true));
        Some(lasting)
    }

    fn was_proven_off(&self, host: HostId, within: Duration) -> bool {
        self.proofs
            .iter()
            .any(|proof| proof.host == host && proof.age <= within)
    }

    /// Returns the number of independent reporters of a host's failure (G3): control nodes, and hypervisors outside the host's
    /// failure domains. An attacker on hypervisors has their credentials, so hypervisors count beside a control node and never
    /// suffice by themselves. A hypervisor that is out itself, or without a heartbeat in Nova, does not count: it may be on the wrong
    /// side of a network partition.
    pub fn independent_reporters(&self, host: HostId, rules: &Policy) -> u64 {
        let Some(found) = self.hosts.iter().find(|region_host| region_host.id == host) else {
            return 1;
        };
        let domains: Vec<&BTreeSet<String>> = self
            .domains(rules)
            .into_values()
            .filter(|hosts| hosts.contains(&found.name))
            .collect();
        let outside = |own: &str| own != found.name && !domains.iter().any(|hosts| hosts.contains(own));
        let is_well = |own: &str| {
            let out = |region_host: &RegionHost| region_host.name == own && self.is_out(region_host, rules);
            self.has_current_heartbeat(own, rules) && !self.hosts.iter().any(out)
        };
        let (mut control, mut computes) = (0, 0);
        for reporter in found.reporters.iter().filter(|source| !source.muted) {
            match reporter.host.as_deref() {
                Some(own) => computes += u64::from(outside(own) && is_well(own)),
                None => control += u64::from(reporter.control),
            }
        }
        if control == 0 {
            computes.min(1)
        } else {
            control + computes
        }
    }

    /// True if the host was reported only by other hypervisors.
    fn is_only_suspected(region_host: &RegionHost) -> bool {
        !region_host.reporters.is_empty()
            && region_host
                .reporters
                .iter()
                .all(|who| who.only_suspects(&region_host.name))
    }

    /// Returns the inputs of the guards for `host`, whose recovery is `recovery`.
    pub fn facts(
        &self,
        host: HostId,
        name: &str,
        recovery: RecoveryId,
        own: HostFacts,
        rules: &Policy,
    ) -> GuardFacts {
        let segment = self
            .hosts
            .iter()
            .find(|region_host| region_host.id == host)
            .map(|region_host| region_host.segment);
        let (mut of_segment, mut of_all) = (Count::default(), Count::default());
        // The names of the hosts that are out, for the domains.
        let mut out_lately: BTreeSet<&str> = BTreeSet::new();
        let (mut segment_out, mut segment_away): (Vec<&str>, u64) = (Vec::new(), 0);
        for region_host in &self.hosts {
            let lately = region_host.id == host || self.is_out(region_host, rules);
            if lately {
                out_lately.insert(&region_host.name);
            }
            of_all.hosts += 1;
            of_all.out += u64::from(lately);
            if Some(region_host.segment) == segment {
                of_segment.hosts += 1;
                if lately {
                    of_segment.out += 1;
                    segment_out.push(&region_host.name);
                }
                // Maintenance because of a failed process has guards of its own.
                segment_away += u64::from(!lately && region_host.on_maintenance && !region_host.by_process);
            }
        }
        let mut ordered: BTreeMap<(HostId, RecoveryId), Duration> = BTreeMap::new();
        for order in self.orders.iter().filter(|order| order.recovery != recovery) {
            ordered.insert((order.host, order.recovery), order.age);
        }
        GuardFacts {
            running_for: self.running_for,
            nova: match &self.nova {
                Ok(nova) => Ok(self.nova_facts(nova, name, segment, rules)),
                Err(why) => Err(why.clone()),
            },
            witnesses: self.witnesses.clone(),
            segment: of_segment,
            segment_out: some(segment_out.into_iter()),
            segment_away,
            all: of_all,
            ordered: ordered.into_values().collect(),
            fenced: self.fenced(host, recovery, rules),
            reporters: self.independent_reporters(host, rules),
            protected: self.protected(name, rules),
            domains: self.domains_of(name, &out_lately, rules),
            own,
        }
    }

    /// Returns the number of other recoveries that had the host confirmed off recently.
    pub(super) fn fenced(&self, host: HostId, recovery: RecoveryId, rules: &Policy) -> u64 {
        let lately = self.proofs.iter().filter(|proof| {
            proof.host == host && proof.recovery != recovery && proof.age <= rules.guards.flap_window
        });
        let earlier: BTreeSet<RecoveryId> = lately.map(|proof| proof.recovery).collect();
        u64::try_from(earlier.len()).unwrap_or(u64::MAX)
    }

    fn nova_facts(
        &self,
        nova: &NovaView,
        name: &str,
        segment: Option<SegmentId>,
        rules: &Policy,
    ) -> NovaFacts {
        let in_segment: BTreeSet<&str> = self
            .hosts
            .iter()
            .filter(|region_host| {
                Some(region_host.segment) == segment && !region_host.on_maintenance && !region_host.recovering
            })
            .map(|region_host| region_host.name.as_str())
            .collect();
        let last = self.service(name).and_then(|service| service.last_heartbeat);
        let near = |other: Option<Timestamp>| match (last, other) {
            (Some(last), Some(other)) => {
                last.micros().abs_diff(other.micros()) <= micros(rules.cliff_within())
            }
            (None, _) | (_, None) => false,
        };
        let mut facts = NovaFacts {
            scheduler_up: nova.scheduler_up,
            ..NovaFacts::default()
        };
        for (host, service) in &nova.services {
            let Some(service) = service else { continue };
            let service_state = service_state(service, rules);
            facts.services += 1;
            facts.unforced += u64::from(!service.forced_down);
            facts.stale += u64::from(!service.forced_down && service_state.stale);
            facts.stopped_together += u64::from(service_state.stale && near(service.last_heartbeat));
            if host != name && !service_state.stale && !service.forced_down {
                facts.hosts_up += 1;
                facts.targets += u64::from(service.enabled);
                facts.segment_targets += u64::from(service.enabled && in_segment.contains(host.as_str()));
            }
        }
        facts
    }

    /// Returns true if the host can take instances, and false if it is up and disabled; `None` if Nova has no current heartbeat of it.
    pub(super) fn is_target(&self, name: &str, rules: &Policy) -> Option<bool> {
        let service = self.service(name)?;
        let is_up = !service.forced_down && !service_state(service, rules).stale;
        is_up.then_some(service.enabled)
    }

    pub(super) fn protected(&self, name: &str, rules: &Policy) -> Option<String> {
        let listed = rules
            .guards
            .protected_hosts
            .iter()
            .find(|one| pattern::matches(one, name));
        if let Some(listed) = listed {
            return Some(format!("[fencing] storm_protected_hosts has {listed}"));
        }
        let key = &rules.guards.protected_key;
        let nova = self.nova.as_ref().ok().filter(|_| !key.is_empty())?;
        let marked = |aggregate: &&Aggregate| {
            aggregate.hosts.contains(name) && aggregate.metadata.get(key).is_some_and(|value| !is_no(value))
        };
        let aggregate = nova.aggregates.iter().find(marked)?;
        Some(format!("aggregate {} has {key}", aggregate.name))
    }

    /// Returns each failure domain with its hosts. The file takes precedence over aggregates that use the same name.
    pub(super) fn domains(&self, rules: &Policy) -> BTreeMap<&str, &BTreeSet<String>> {
        let mut domains = BTreeMap::new();
        let key = &rules.guards.domain_key;
        if let Ok(nova) = &self.nova
            && !key.is_empty()
        {
            for aggregate in &nova.aggregates {
                if let Some(name) = aggregate.metadata.get(key).filter(|name| !name.is_empty()) {
                    domains.insert(name.as_str(), &aggregate.hosts);
                }
            }
        }
        domains.extend(self.domains.iter().map(|(name, hosts)| (name.as_str(), hosts)));
        domains
    }

    fn domains_of(&self, name: &str, out: &BTreeSet<&str>, rules: &Policy) -> Vec<DomainLoss> {
        self.domains(rules)
            .into_iter()
            .filter(|(_, hosts)| hosts.contains(name))
            .map(|(domain, hosts)| {
                let lost: Vec<&str> = hosts
                    .iter()
                    .map(String::as_str)
                    .filter(|host| out.contains(host) || self.fell_silent(host, rules))
                    .collect();
                let beats = lost.iter().filter_map(|host| {
                    self.service(host)
                        .filter(|service| !service.forced_down)?
                        .last_heartbeat
                });
                let beats: Vec<i64> = beats.map(Timestamp::micros).collect();
                let within = match (beats.iter().min(), beats.iter().max()) {
                    (Some(earliest), Some(newest)) if beats.len() == lost.len() => {
                        Some(Duration::from_micros(newest.abs_diff(*earliest)))
                    }
                    _ => None,
                };
                DomainLoss {
                    name: domain.to_owned(),
                    hosts: u64::try_from(hosts.len()).unwrap_or(u64::MAX),
                    lost: u64::try_from(lost.len()).unwrap_or(u64::MAX),
                    within,
                }
            })
            .collect()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// True if the value switches the key off.
fn is_no(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "0" | "f" | "false" | "off" | "n" | "no"
    )
}

#[cfg(test)]
pub(super) mod tests;
