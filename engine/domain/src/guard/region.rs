//! All hosts at one moment, and what that means for one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::domain::DomainLoss;
use super::facts::{Count, Facts, NovaFacts, Own};
use super::pattern;
use crate::nova::Service;
use crate::policy::Policy;
use crate::reserved::Aggregate;
use crate::{HostId, RecoveryId, SegmentId, Timestamp};

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionHost {
    /// Its id.
    pub id: HostId,
    /// Its service name in Nova.
    pub name: String,
    /// Its segment.
    pub segment: SegmentId,
    /// It is on maintenance, for whatever reason.
    pub on_maintenance: bool,
    /// An operator has put it there.
    pub by_operator: bool,
    /// A recovery of it is open.
    pub recovering: bool,
    /// How many different callers have reported it since that recovery was opened.
    pub reporters: u64,
}

/// Something that happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// To which.
    pub host: HostId,
    /// By which recovery.
    pub recovery: RecoveryId,
    /// How long ago.
    pub age: Duration,
}

/// A place that an engine that is not cut off can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// As configured.
    pub name: String,
    /// Whether it was reached.
    pub reached: bool,
}

/// What Nova shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NovaView {
    /// Compute services by host; `None` for one in a cell that is down.
    pub services: BTreeMap<String, Option<Service>>,
    /// A scheduler is up.
    pub scheduler_up: bool,
    /// Every aggregate.
    pub aggregates: Vec<Aggregate>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// How long ago the cluster's first engine started.
    pub running_for: Duration,
    /// The registered hosts.
    pub hosts: Vec<RegionHost>,
    /// Power-offs that were ordered lately.
    pub orders: Vec<Dated>,
    /// Hosts that were proven off lately.
    pub proofs: Vec<Dated>,
    /// What Nova shows, or why it does not.
    pub nova: Result<NovaView, String>,
    /// See [`Witness`].
    pub witnesses: Vec<Witness>,
    /// Hosts by failure domain, as a file says.
    pub domains: BTreeMap<String, BTreeSet<String>>,
}

/// How a service fares.
struct Pulse {
    stale: bool,
    /// How long ago it was heard last, if Nova tells.
    age: Option<Duration>,
}

fn pulse(service: &Service, rules: &Policy) -> Pulse {
    let age = service
        .heartbeat_age_micros()
        .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
    let stale = (!service.up && !service.forced_down) || age.is_some_and(|age| age > rules.heartbeat_stale);
    Pulse { stale, age }
}

impl Region {
    fn service(&self, host: &str) -> Option<&Service> {
        let nova = self.nova.as_ref().ok()?;
        nova.services.get(host)?.as_ref()
    }

    /// Nova stopped hearing it within the window, and nobody says why.
    fn fell_silent(&self, host: &str, rules: &Policy) -> bool {
        let Some(service) = self.service(host).filter(|service| !service.forced_down) else {
            return false;
        };
        let pulse = pulse(service, rules);
        pulse.stale && pulse.age.is_some_and(|age| age <= rules.guards.window)
    }

    fn was_proven_off(&self, host: HostId, within: Duration) -> bool {
        self.proofs
            .iter()
            .any(|proof| proof.host == host && proof.age <= within)
    }

    /// How many different callers have reported it since its recovery was opened.
    pub fn reporters_of(&self, host: HostId) -> u64 {
        let found = self.hosts.iter().find(|one| one.id == host);
        found.map_or(1, |one| one.reporters)
    }

    /// What it means for `host`, whose recovery is `recovery`.
    pub fn facts(&self, host: HostId, name: &str, recovery: RecoveryId, own: Own, rules: &Policy) -> Facts {
        let window = rules.guards.window;
        let segment = self
            .hosts
            .iter()
            .find(|one| one.id == host)
            .map(|one| one.segment);
        let (mut of_segment, mut of_all) = (Count::default(), Count::default());
        // By name, for the domains.
        let mut out_lately: BTreeSet<&str> = BTreeSet::new();
        for one in &self.hosts {
            let lately = one.id == host
                || one.recovering
                || self.was_proven_off(one.id, window)
                || (!one.by_operator && self.fell_silent(&one.name, rules));
            if lately {
                out_lately.insert(&one.name);
            }
            of_all.hosts += 1;
            of_all.out += u64::from(lately);
            if Some(one.segment) == segment {
                of_segment.hosts += 1;
                of_segment.out += u64::from(lately || one.on_maintenance);
            }
        }
        let mut ordered: BTreeMap<(HostId, RecoveryId), Duration> = BTreeMap::new();
        for order in self.orders.iter().filter(|order| order.recovery != recovery) {
            ordered.insert((order.host, order.recovery), order.age);
        }
        let earlier: BTreeSet<RecoveryId> = self
            .proofs
            .iter()
            .filter(|proof| {
                proof.host == host && proof.recovery != recovery && proof.age <= rules.guards.flap_window
            })
            .map(|proof| proof.recovery)
            .collect();
        Facts {
            running_for: self.running_for,
            nova: match &self.nova {
                Ok(nova) => Ok(self.nova_facts(nova, name, segment, rules)),
                Err(why) => Err(why.clone()),
            },
            witnesses: self.witnesses.clone(),
            segment: of_segment,
            all: of_all,
            ordered: ordered.into_values().collect(),
            fenced: u64::try_from(earlier.len()).unwrap_or(u64::MAX),
            reporters: self.reporters_of(host),
            protected: self.protected(name, rules),
            domains: self.domains_of(name, &out_lately, rules),
            own,
        }
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
            .filter(|one| Some(one.segment) == segment && !one.on_maintenance && !one.recovering)
            .map(|one| one.name.as_str())
            .collect();
        let last = self.service(name).and_then(|service| service.last_heartbeat);
        let near = |other: Option<Timestamp>| match (last, other) {
            (Some(last), Some(other)) => {
                last.micros().abs_diff(other.micros()) <= micros(rules.guards.cliff_interval)
            }
            (None, _) | (_, None) => false,
        };
        let mut facts = NovaFacts {
            scheduler_up: nova.scheduler_up,
            ..NovaFacts::default()
        };
        for (host, service) in &nova.services {
            let Some(service) = service else { continue };
            let pulse = pulse(service, rules);
            facts.services += 1;
            facts.unforced += u64::from(!service.forced_down);
            facts.stale += u64::from(!service.forced_down && pulse.stale);
            facts.vanished += u64::from(pulse.stale && near(service.last_heartbeat));
            if host != name && !pulse.stale && !service.forced_down {
                facts.heard += 1;
                facts.targets += u64::from(service.enabled);
                facts.segment_targets += u64::from(service.enabled && in_segment.contains(host.as_str()));
            }
        }
        facts
    }

    fn protected(&self, name: &str, rules: &Policy) -> Option<String> {
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
        let marked = |one: &&Aggregate| {
            one.hosts.contains(name) && one.metadata.get(key).is_some_and(|value| !is_no(value))
        };
        let aggregate = nova.aggregates.iter().find(marked)?;
        Some(format!("aggregate {} has {key}", aggregate.name))
    }

    /// Each domain with its hosts. A file goes before what aggregates say of the same name.
    fn domains(&self, rules: &Policy) -> BTreeMap<&str, &BTreeSet<String>> {
        let mut domains = BTreeMap::new();
        let key = &rules.guards.domain_key;
        if let Ok(nova) = &self.nova
            && !key.is_empty()
        {
            for one in &nova.aggregates {
                if let Some(name) = one.metadata.get(key).filter(|name| !name.is_empty()) {
                    domains.insert(name.as_str(), &one.hosts);
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
                let beats = lost
                    .iter()
                    .filter_map(|host| self.service(host).filter(|one| !one.forced_down)?.last_heartbeat);
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

/// A value that says that the key does not count.
fn is_no(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "0" | "f" | "false" | "off" | "n" | "no"
    )
}

#[cfg(test)]
mod tests;
