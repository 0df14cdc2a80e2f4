//! Situations for the rules against fencing storms, and checks that these rules hold (R24). Draws come from a
//! separate generator, so that additions do not change other faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::guard::{Guard, GuardPolicy, HostIncident, NovaView, Region, RegionHost, Witness};
use tachi_domain::host_recovery::HostRecovery;
use tachi_domain::nova::Service;
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::{OperatorCommand, RecoveryKind};
use tachi_domain::reserved::Aggregate;
use tachi_domain::{HostId, RecoveryId, Reporter, SegmentId, ServiceId, WaitsFor};
use uuid::Uuid;

use crate::journal::{Rec, RecIx};
use crate::mishap::Mishap;
use crate::nova::{HostIx, host_name, stamp};
use crate::rng::Rng;
use crate::world::{HOSTS, World, note};

/// Maximum age of an observation at a commit, in ms: three seconds at the decision, plus the query, plus four
/// seconds for the transaction.
const MAX_OBSERVATION_AGE: u64 = 9_000;

/// Window of the rate rule, in ms.
const WINDOW: u64 = 300_000;

/// Number of hosts in the other segment, which never fail.
const OTHER_SEGMENT_HOSTS: usize = 5;

#[derive(Clone, Debug)]
pub(crate) struct Storms {
    /// Time from the start of the cluster's first engine to the run, in ms.
    pub started_before: u64,
    /// True if a file, false if an aggregate requires an approval before host 0 is fenced.
    pub protected: Option<bool>,
    /// Lead times of earlier power-offs of other hosts, in ms.
    pub ordered: Vec<u64>,
    /// Number of earlier confirmations that host 0 is off.
    pub proven: u64,
    /// Outage of all schedulers, from and to.
    pub no_scheduler: Option<(u64, u64)>,
    /// Outage of all hosts' heartbeats in Nova, or of half of them, from and to.
    pub deaf: Option<(u64, u64, bool)>,
    /// Extra delay of each host's first heartbeat after the outage, in ms.
    pub late: Vec<u64>,
    /// Outage of the witnesses, from and to; `None`: there are no witnesses.
    pub no_witness: Option<(u64, u64)>,
    /// Number of hosts in one rack, from host 0 on.
    pub rack: usize,
    /// True if the far segment's hosts and all of ours except host 0 are disabled.
    pub no_room: bool,
}

impl Storms {
    pub(crate) fn draw(seed: u64, mode: FencingMode) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed_0024);
        let mut some = |percent: u64, low: u64, high: u64| {
            let drawn = rng.between(low, high);
            rng.percent(percent).then_some(drawn)
        };
        let started_before = some(12, 0, 310_000);
        let protected = some(8, 0, 1);
        let ordered = some(12, 1, 4);
        let proven = some(8, 1, 3);
        let no_scheduler = some(8, 0, 20_000);
        let deaf = some(10, 0, 20_000);
        let no_witness = some(8, 0, 30_000);
        let rack = some(50, 2, 3);
        let no_room = some(6, 0, 0);
        let half = rng.percent(50);
        let deaf = deaf.filter(|_| mode == FencingMode::Engine);
        let ages = (0..ordered.unwrap_or(0))
            .map(|_| rng.between(0, 320_000))
            .collect();
        let mut long = |from: u64| (from, from + rng.between(5_000, 120_000));
        Self {
            started_before: started_before.unwrap_or(3_600_000),
            protected: protected.map(|by| by == 0),
            ordered: ages,
            proven: proven.unwrap_or(0),
            no_scheduler: no_scheduler.map(&mut long),
            deaf: deaf.map(|from| {
                let (from, to) = long(from);
                (from, to, half)
            }),
            late: Vec::new(),
            no_witness: no_witness.map(&mut long),
            rack: usize::try_from(rack.unwrap_or(0)).unwrap(),
            no_room: no_room.is_some(),
        }
    }

    pub(crate) fn rules(&self) -> GuardPolicy {
        GuardPolicy {
            protected_hosts: if self.protected == Some(true) {
                vec!["*-0".into()]
            } else {
                Vec::new()
            },
            ..GuardPolicy::default()
        }
    }

    /// True if Nova receives no heartbeat from this host, whatever its state.
    pub(crate) fn is_deaf_to(&self, host: HostIx, now: u64) -> bool {
        let late = self.late.get(host).copied().unwrap_or_default();
        self.deaf
            .is_some_and(|(from, to, half)| now >= from && now < to + late && (!half || host < HOSTS))
    }
}

fn within(time: Option<(u64, u64)>, now: u64) -> bool {
    time.is_some_and(|(from, to)| now >= from && now < to)
}

pub(crate) fn host_id(host: HostIx) -> HostId {
    HostId(Uuid::from_u128(0x40 + u128::try_from(host).unwrap()))
}

pub(crate) fn recovery_id(rec: RecIx) -> RecoveryId {
    RecoveryId(Uuid::from_u128(0x4ec + u128::try_from(rec).unwrap()))
}

pub(crate) fn index_of_recovery(id: RecoveryId) -> RecIx {
    usize::try_from(id.0.as_u128() - 0x4ec).unwrap()
}

/// Returns a time before the run.
fn before(number: usize) -> RecoveryId {
    RecoveryId(Uuid::from_u128(0xbef0 + u128::try_from(number).unwrap()))
}

impl World {
    /// Returns an engine's scan of the region. The database has answered.
    pub(crate) fn region(&mut self) -> Region {
        let storms = self.weather.storms.clone();
        let now = self.now;
        let recovering: BTreeSet<HostIx> = self.recovering();
        let why: Vec<_> = (0..HOSTS + OTHER_SEGMENT_HOSTS)
            .map(|host| self.journal.maintenance_of(host))
            .collect();
        let host = |host: HostIx| RegionHost {
            id: host_id(host),
            name: host_name(host),
            segment: SegmentId(Uuid::from_u128(if host < HOSTS { 1 } else { 2 })),
            on_maintenance: why[host].is_some(),
            by_operator: why[host] == Some(MaintenanceReason::Operator),
            by_process: why[host] == Some(MaintenanceReason::Process),
            waits_for_disks: self.waits_for_disks(host),
            reported_ago: self.reported_ago(host),
            recovering: recovering.contains(&host),
            reporters: self.reporters(host),
            heartbeats: self.boot_heartbeats(host),
        };
        let hosts: Vec<RegionHost> = (0..HOSTS + OTHER_SEGMENT_HOSTS).map(host).collect();
        let age = |at: u64| Duration::from_millis(now - at);
        let mut orders: Vec<HostIncident> = self
            .journal
            .orders
            .iter()
            .map(|(rec, at)| HostIncident {
                host: host_id(self.journal.recs[*rec].host),
                recovery: recovery_id(*rec),
                age: age(*at),
            })
            .collect();
        for (number, ago) in storms.ordered.iter().enumerate() {
            orders.push(HostIncident {
                host: host_id(HOSTS + OTHER_SEGMENT_HOSTS + number),
                recovery: before(number),
                age: Duration::from_millis(now + ago),
            });
        }
        let mut proofs: Vec<HostIncident> = self
            .journal
            .proofs
            .iter()
            .map(|(rec, at)| HostIncident {
                host: host_id(self.journal.recs[*rec].host),
                recovery: recovery_id(*rec),
                age: age(*at),
            })
            .collect();
        for number in 0..storms.proven {
            proofs.push(HostIncident {
                host: host_id(0),
                recovery: before(100 + usize::try_from(number).unwrap()),
                age: Duration::from_millis(now + 400_000),
            });
        }
        let processes: Vec<HostIncident> = self
            .journal
            .recs
            .iter()
            .enumerate()
            .filter(|(_, row)| row.kind == RecoveryKind::Process && row.keeps_service_disabled())
            .map(|(rec, row)| HostIncident {
                host: host_id(row.host),
                recovery: recovery_id(rec),
                age: age(row.opened),
            })
            .collect();
        let down = within(self.weather.more.nova_down, now);
        if storms.deaf.is_some_and(|(from, to, _)| now >= from && now < to) {
            self.mishap(Mishap::NovaDeaf);
        }
        let witness = storms.no_witness.map(|time| Witness {
            name: "gateway".into(),
            reached: !within(Some(time), now),
        });
        Region {
            running_for: Duration::from_millis(now + storms.started_before),
            hosts,
            orders,
            proofs,
            processes,
            nova: if down {
                Err("nova answered 503".into())
            } else {
                Ok(self.nova_view(&storms))
            },
            witnesses: witness.into_iter().collect(),
            domains: BTreeMap::new(),
        }
    }

    fn nova_view(&self, storms: &Storms) -> NovaView {
        let now = self.now;
        let mut services: BTreeMap<String, Option<Service>> = (0..HOSTS)
            .map(|host| (host_name(host), self.nova.show_service(host, now)))
            .collect();
        for far in HOSTS..HOSTS + OTHER_SEGMENT_HOSTS {
            let deaf = storms.deaf.filter(|_| storms.is_deaf_to(far, now));
            let beat = deaf.map_or(now / 10_000 * 10_000, |(from, ..)| from / 10_000 * 10_000);
            let service = Service {
                id: ServiceId(Uuid::from_u128(0x5e4 + u128::try_from(far).unwrap())),
                host: host_name(far),
                enabled: !storms.no_room,
                disabled_reason: None,
                up: true,
                forced_down: false,
                last_heartbeat: Some(stamp(beat)),
                nova_now: Some(stamp(now / 1_000 * 1_000)),
            };
            services.insert(host_name(far), Some(service));
        }
        if storms.no_room && self.chaos() {
            for host in 1..HOSTS {
                if let Some(Some(service)) = services.get_mut(&host_name(host)) {
                    service.enabled = false;
                }
            }
        }
        let aggregate = |id, key: &str, value: &str, hosts: usize| Aggregate {
            id,
            name: format!("aggregate-{id}"),
            zone: None,
            hosts: (0..hosts).map(host_name).collect(),
            metadata: [(key.to_owned(), value.to_owned())].into(),
        };
        let mut aggregates = vec![aggregate(1, "failure_domain", "rack:r7", storms.rack)];
        if storms.protected == Some(false) {
            aggregates.push(aggregate(2, "no-fence", "true", 1));
        }
        NovaView {
            services,
            scheduler_up: !within(storms.no_scheduler, now),
            aggregates,
        }
    }

    fn recovering(&self) -> BTreeSet<HostIx> {
        let open = self.journal.recs.iter().filter(|row| row.is_open_for_host());
        open.map(|row| row.host).collect()
    }

    /// Returns the age of the host's open recovery.
    fn reported_ago(&self, host: HostIx) -> Option<Duration> {
        let open = self.open_for(host);
        open.map(|row| Duration::from_millis(self.now - row.opened))
    }

    /// True if that recovery only waits for the host.
    fn waits_for_disks(&self, host: HostIx) -> bool {
        let wait = self.open_for(host).and_then(|row| row.wait.as_ref());
        wait.is_some_and(|wait| wait.what == WaitsFor::LocalDisk)
    }

    /// True if the host is only waited for and does not count with hosts reported later.
    fn is_away_for_repair(&self, host: HostIx) -> bool {
        let is_long = |row: &Rec| self.now - row.opened > WINDOW;
        self.waits_for_disks(host) && self.open_for(host).is_some_and(is_long)
    }

    fn open_for(&self, host: HostIx) -> Option<&Rec> {
        let mut rows = self.journal.recs.iter();
        rows.find(|row| row.is_open_for_host() && row.host == host)
    }

    fn reporters(&self, host: HostIx) -> Vec<Reporter> {
        self.open_for(host)
            .map_or_else(Vec::new, |row| row.reporters.clone())
    }

    /// True if Nova received a heartbeat since the report, or if only other hypervisors report the host and
    /// Nova shows it up (T2, T4). Nova dates its answers in whole seconds, so the engine may read a heartbeat's
    /// age up to 1 s too low. It therefore requires two heartbeats.
    fn is_suspect_only(&self, host: HostIx) -> bool {
        let age = self.now - self.nova.services[host].updated;
        let Some(open) = self.open_for(host).filter(|_| age <= 15_000) else {
            return false;
        };
        let suspected = || {
            let name = host_name(host);
            !open.reporters.is_empty() && open.reporters.iter().all(|who| who.only_suspects(&name))
        };
        age + 1_000 < self.now - open.opened || suspected()
    }

    /// Records the time since which more hosts are being recovered than one failure explains.
    pub(crate) fn note_storm(&mut self) {
        let mut open = self.journal.recs.iter().filter(|row| row.is_open_for_host());
        // Fast path: this runs after each event, and mostly there is one host.
        let next_host = open.next().map(|row| row.host);
        let many = open.any(|row| Some(row.host) != next_host) && {
            let open = self.journal.recs.iter().filter(|row| row.is_open_for_host());
            let counts = |host| !self.is_suspect_only(host) && !self.is_away_for_repair(host);
            let mut out = open.filter(|row| counts(row.host));
            let first = out.next().map(|row| row.host);
            out.any(|row| Some(row.host) != first)
        };
        self.storm_since = many.then(|| self.storm_since.unwrap_or(self.now));
    }

    /// Counts the guards' results, each once per recovery.
    pub(crate) fn note_guards(&mut self, rec: RecIx, state: &HostRecovery, notified: bool) {
        let row = &mut self.journal.recs[rec];
        let now: BTreeSet<Guard> = state
            .hold
            .iter()
            .flat_map(|hold| hold.guards.iter())
            .chain(
                state
                    .guard
                    .waiting
                    .iter()
                    .flat_map(|waiting| waiting.guards.iter()),
            )
            .chain(state.guard.warned.iter())
            .copied()
            .collect();
        for guard in &now {
            if row.guards.insert(*guard) {
                self.stats.guards[*guard as usize] += 1;
            }
        }
        let alone = notified
            && state
                .message
                .as_deref()
                .is_some_and(|text| text.contains("is reported down;"));
        self.stats.guards[Guard::Corroboration as usize] += u64::from(alone);
        let named = state.hold.as_ref().is_some_and(|hold| hold.domain.is_some());
        self.stats.domains += u64::from(named && notified);
    }

    fn approved(&self, rec: RecIx) -> bool {
        let commands = &self.journal.recs[rec].commands;
        commands.contains(&OperatorCommand::Approve) || commands.contains(&OperatorCommand::HostIsOff)
    }

    /// Checks a power-off: every guard that applies must have been evaluated.
    pub(crate) fn check_order(&mut self, rec: RecIx, host: HostIx) {
        self.check_corroborated(rec, host);
        // From now on the order belongs to this recovery.
        self.cleared.remove(&host);
        self.check_storm(rec, "ordered off");
        let storms = &self.weather.storms;
        if self.approved(rec) {
            return;
        }
        let rows = self.journal.orders.iter().filter(|(one, _)| *one != rec);
        let others: BTreeSet<RecIx> = rows
            .filter(|(_, at)| self.now - at < WINDOW)
            .map(|(one, _)| *one)
            .collect();
        let earlier = storms
            .ordered
            .iter()
            .filter(|ago| self.now + **ago < WINDOW)
            .count();
        let prevented = if self.now + storms.started_before < WINDOW {
            Some(Guard::StartUp)
        } else if host == 0 && storms.protected.is_some() {
            Some(Guard::Protected)
        } else if host == 0 && storms.proven >= 2 {
            Some(Guard::Flap)
        } else if others.len() + earlier >= 3 {
            Some(Guard::Rate)
        } else {
            None
        };
        if let Some(guard) = prevented {
            note!(self, "recovery {rec}");
            self.violate(format!(
                "host {host} is ordered off without a check of {guard} (R24)"
            ));
        }
    }

    /// Checks a host that was found off and treated as failed.
    pub(crate) fn check_found_off(&mut self, rec: RecIx) {
        if self.journal.given.iter().all(|(one, _)| *one != rec) {
            self.check_storm(rec, "treated as failed");
        }
    }

    fn check_storm(&mut self, rec: RecIx, what: &str) {
        let long = self
            .storm_since
            .is_some_and(|since| self.now - since > MAX_OBSERVATION_AGE);
        if long && !self.approved(rec) {
            let host = self.journal.recs[rec].host;
            self.violate(format!(
                "host {host} is {what} in a storm without an approval (R24)"
            ));
        }
    }

    /// Checks that every recovery open at the end reports what it waits for.
    pub(crate) fn check_held(&mut self) {
        let silent = self.journal.recs.iter().position(|row| {
            row.kind == RecoveryKind::Host && row.is_open_for_host() && row.message.is_none()
        });
        if let Some(rec) = silent {
            self.violate(format!("recovery {rec} is open at the end without a reason"));
        }
    }

    /// Returns the region scan for a call.
    pub(crate) fn scan_region(&mut self) -> Arc<Region> {
        Arc::new(self.region())
    }
}
