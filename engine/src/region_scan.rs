//! Scans all hosts for the guards, once for all recoveries of the engine.
//!
//! The database's clock sets the age of an event when it is first seen. From then on this machine's boot-time clock
//! measures it: clocks of different machines are never compared, and later jumps of a clock have no effect.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::guard::{HostIncident, NovaView, Region};
use tachi_domain::policy::Policy;
use tachi_domain::reserved::Aggregate;
use tokio::sync::watch;

use crate::engine::Ports;
use crate::lists::{Services, SharedReading};
use crate::ports::journal::HostIncidentRow;
use crate::ports::{CallError, NoWitnesses, Witnesses};
use crate::watcher::{Holds, Preview};

/// Shortest time between the starts of two scans.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(500);

/// Refresh interval of aggregates and schedulers, which rarely change.
const AGGREGATE_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct RegionScan {
    ports: Ports,
    witness_source: Mutex<Arc<dyn Witnesses>>,
    policy: watch::Receiver<Policy>,
    services: Arc<Services>,
    region: SharedReading<Region>,
    ages: Mutex<Ages>,
    slow: Mutex<Option<(Duration, Vec<Aggregate>)>>,
}

/// Kinds of events whose age is tracked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Start,
    Order,
    Proof,
    Process,
    Open,
}

/// The treatment of the ages of events that a reading does not contain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AgeRetention {
    DropMissing,
    /// All are kept: a scan at the same time may have just found them.
    KeepAll,
}

/// The age of each event when it was first seen, by the database's clock, and the boot time then.
#[derive(Default)]
struct Ages(HashMap<(Kind, i64), (Duration, Duration)>);

impl Ages {
    fn age(&mut self, what: (Kind, i64), age: Duration, boot: Duration) -> Duration {
        let (first, since) = *self.0.entry(what).or_insert((age, boot));
        first + boot.saturating_sub(since)
    }

    fn keep(&mut self, found: &HashSet<(Kind, i64)>) {
        self.0
            .retain(|what, _| what.0 == Kind::Start || found.contains(what));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A poisoned lock is harmless: the content is only replaced or added to as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RegionScan {
    pub(crate) fn new(ports: Ports, services: Arc<Services>, policy: watch::Receiver<Policy>) -> Self {
        Self {
            ports,
            services,
            witness_source: Mutex::new(Arc::new(NoWitnesses)),
            policy,
            region: SharedReading::new(MIN_SCAN_INTERVAL),
            ages: Mutex::default(),
            slow: Mutex::default(),
        }
    }

    pub(crate) fn set_witnesses(&self, witness_source: Arc<dyn Witnesses>) {
        *lock(&self.witness_source) = witness_source;
    }

    /// Records the cluster's first start, if this is the first. Scans fail until that is done.
    pub(crate) async fn note_start(&self) -> bool {
        if lock(&self.ages).0.contains_key(&(Kind::Start, 0)) {
            return true;
        }
        match self.ports.journal.first_start().await {
            Ok(age) => {
                lock(&self.ages).age((Kind::Start, 0), age, self.ports.clock.boot());
                true
            }
            Err(error) => {
                let source = error.source.to_string();
                tracing::warn!(%error, source, "failed to record the first start of an engine; retrying");
                false
            }
        }
    }

    /// Returns all hosts, as scanned after this call.
    pub(crate) async fn scan(&self) -> Result<Arc<Region>, Fault> {
        self.region
            .get(self.read(self.read_nova(), AgeRetention::DropMissing))
            .await
    }

    async fn read(
        &self,
        nova: impl Future<Output = Result<NovaView, CallError>>,
        retention: AgeRetention,
    ) -> Result<Region, CallError> {
        if !self.note_start().await {
            return Err(unknown("the first start of an engine is not recorded yet".into()));
        }
        let lately = {
            let rules = &self.policy.borrow().guards;
            rules.window.max(rules.flap_window)
        };
        let witness_source = lock(&self.witness_source).clone();
        let standing = async {
            let standing = self.ports.journal.host_records(lately).await;
            standing.map_err(|error| unknown(format!("{error}: {}", error.source)))
        };
        let (standing, nova, witnesses) = tokio::join!(standing, nova, witness_source.witnesses());
        let mut standing = standing?;
        let mut names: BTreeSet<String> = standing.hosts.iter().map(|host| host.name.clone()).collect();
        if let Ok(nova) = &nova {
            names.extend(nova.services.keys().cloned());
        }
        let boot = self.ports.clock.boot();
        let mut ages = lock(&self.ages);
        let mut found = HashSet::new();
        let mut dated = |kind, happened: &[HostIncidentRow]| -> Vec<HostIncident> {
            let date = |incident: &HostIncidentRow| {
                found.insert((kind, incident.row));
                HostIncident {
                    host: incident.host,
                    recovery: incident.recovery,
                    age: ages.age((kind, incident.row), incident.age, boot),
                }
            };
            happened.iter().map(date).collect()
        };
        let orders = dated(Kind::Order, &standing.orders);
        let proofs = dated(Kind::Proof, &standing.proofs);
        let processes = dated(Kind::Process, &standing.processes);
        let mut hosts = std::mem::take(&mut standing.hosts);
        for host in &mut hosts {
            // Counted from when this engine first saw it: a lower bound that depends on no other machine's clock.
            host.reporters = standing.reporters.remove(&host.id).unwrap_or_default();
            if let Some(row) = standing.open.get(&host.id) {
                found.insert((Kind::Open, *row));
                host.reported_ago = Some(ages.age((Kind::Open, *row), Duration::ZERO, boot));
            }
        }
        if retention == AgeRetention::DropMissing {
            ages.keep(&found);
        }
        Ok(Region {
            running_for: ages.age((Kind::Start, 0), Duration::ZERO, boot),
            hosts,
            orders,
            proofs,
            processes,
            nova: nova.map_err(|error| error.fault.text),
            witnesses,
            domains: witness_source.domains(&names),
        })
    }

    async fn read_nova(&self) -> Result<NovaView, CallError> {
        let services = self.services.all().await;
        let services = services.map_err(|fault| CallError { fault, source: None })?;
        let boot = self.ports.clock.boot();
        let known = lock(&self.slow)
            .clone()
            .filter(|(read, ..)| boot.saturating_sub(*read) < AGGREGATE_INTERVAL);
        let aggregates = if let Some((_, aggregates)) = known {
            aggregates
        } else {
            let aggregates = self.ports.compute.aggregates().await?;
            *lock(&self.slow) = Some((boot, aggregates.clone()));
            aggregates
        };
        Ok(NovaView {
            services: services.computes.clone(),
            scheduler_up: services.scheduler_up,
            aggregates,
        })
    }
}

#[async_trait]
impl Preview for RegionScan {
    async fn would_hold(&self, nova: Option<NovaView>) -> Option<Holds> {
        let region = match nova {
            // Not shared: a recovery that scans at the same time needs services that were read after its request.
            Some(nova) => Arc::new(
                self.read(std::future::ready(Ok(nova)), AgeRetention::KeepAll)
                    .await
                    .ok()?,
            ),
            None => self.scan().await.ok()?,
        };
        // Without Nova, the guards cannot be evaluated, and no power-off would be requested.
        region.nova.as_ref().ok()?;
        let rules = self.policy.borrow().clone();
        Some(Holds {
            hosts: region.would_hold(&rules),
            together: region.joint_losses(&rules),
        })
    }
}

fn unknown(text: String) -> CallError {
    let fault = Fault {
        class: FaultClass::Transient,
        status: None,
        maybe_done: false,
        text,
    };
    CallError { fault, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers ROW10, C10.
    #[test]
    fn a_jump_of_the_databases_clock_does_not_change_known_ages() {
        let mut ages = Ages::default();
        let seconds = Duration::from_secs;
        let what = (Kind::Order, 7);
        assert_eq!(ages.age(what, seconds(10), seconds(50)), seconds(10));
        for (name, reported) in [("an hour ahead", 3_620), ("an hour back", 0)] {
            assert_eq!(
                ages.age(what, seconds(reported), seconds(60)),
                seconds(20),
                "{name}"
            );
        }
        ages.keep(&HashSet::from([what]));
        assert_eq!(ages.0.len(), 1, "events that are no longer listed are dropped");
    }
}
