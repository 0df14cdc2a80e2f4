//! Reserved hosts: their holders, their state in Nova, and their invariants at the end.

use std::collections::BTreeMap;

use tachi_domain::HostId;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::recovery::{
    Command, JoinResult, Life, Observation, ReserveAnswer, ReserveCall, ServiceStatus,
};
use tachi_domain::reserved::{Aggregate, ReservedHost, ReservedHostView, Resources, Survey};
use tachi_driver::journal::{ReservationState, ReservationWrite};
use uuid::Uuid;

use crate::calls::fault;
use crate::journal::{Journal, RecIx};
use crate::nova::{HostIx, host_name};
use crate::rng::Rng;
use crate::world::{HOSTS, World, note};

/// Initial disable reason of reserved hosts.
const REASON: &str = "in reserve";

/// A host that is or was in reserve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub reserved: bool,
    pub holder: Option<RecIx>,
    pub consumed: bool,
    /// True if the database lost the reservation. An enabled service does not show who enabled it.
    pub lost: bool,
}

/// The reserved hosts of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    pub method: RecoveryMethod,
    pub rows: BTreeMap<HostIx, Row>,
    /// True if Placement does not answer.
    placement_error: bool,
    /// True if the dead host is in an aggregate that reserved hosts join.
    pub join: bool,
    aggregate: Vec<HostIx>,
    /// Time that a host must be up before it is enabled, if it is enabled at all.
    pub enable_after: Option<std::time::Duration>,
}

pub(crate) fn host_id(host: HostIx) -> HostId {
    HostId(Uuid::from_u128(0x40 + u128::try_from(host).unwrap()))
}

pub(crate) fn index_of(host: HostId) -> HostIx {
    usize::try_from(host.0.as_u128() - 0x40).unwrap()
}

pub(crate) fn index_named(name: &str) -> HostIx {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

impl Reserve {
    /// Draws the reserve with a separate generator.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x7e5e_7e5e);
        let method = match rng.between(0, 9) {
            0..=3 => RecoveryMethod::Auto,
            4 | 5 => RecoveryMethod::ReservedHost,
            6 | 7 => RecoveryMethod::AutoPriority,
            _ => RecoveryMethod::RhPriority,
        };
        let count = if method == RecoveryMethod::Auto {
            0
        } else {
            rng.below(3)
        };
        let row = Row {
            reserved: true,
            ..Row::default()
        };
        Self {
            method,
            rows: (HOSTS - count..HOSTS).map(|host| (host, row.clone())).collect(),
            placement_error: rng.percent(30),
            join: rng.percent(40),
            aggregate: vec![0, 1],
            enable_after: rng.percent(30).then(|| std::time::Duration::from_secs(20)),
        }
    }
}

impl Reserve {
    pub(crate) fn is_reserved(&self, host: HostIx) -> bool {
        self.rows.get(&host).is_some_and(|row| row.holder.is_some())
    }

    /// Releases the hosts of a closed recovery: hosts with calls in flight become ordinary hosts.
    pub(crate) fn free(&mut self, rec: RecIx) {
        for row in self.rows.values_mut().filter(|row| row.holder == Some(rec)) {
            row.holder = None;
            row.consumed = false;
        }
    }
}

impl Journal {
    /// Returns the hosts that cannot be reserved.
    pub(crate) fn refused_reservations(&self, rec: RecIx, writes: &[ReservationWrite]) -> Vec<HostId> {
        let free = |host: HostIx| {
            let Some(row) = self.reserve.rows.get(&host) else {
                return false;
            };
            let busy = self.recs.iter().any(|rec| {
                let planned = rec.kind.is_planned() && rec.life == Life::Open;
                rec.host == host && (rec.is_open_for_host() || planned)
            });
            let is_frozen = self.freezes.is_frozen_itself(host, self.now);
            let in_reserve = row.reserved && self.maintenance_of(host).is_none() && !is_frozen;
            row.holder == Some(rec) || (row.holder.is_none() && in_reserve && !busy)
        };
        writes
            .iter()
            .filter(|write| write.state.is_open() && !free(index_of(write.host)))
            .map(|write| write.host)
            .collect()
    }

    pub(crate) fn reserve_hosts(&mut self, rec: RecIx, writes: &[ReservationWrite]) {
        for write in writes {
            let Some(row) = self.reserve.rows.get_mut(&index_of(write.host)) else {
                continue;
            };
            if !write.state.is_open() && row.holder != Some(rec) {
                continue;
            }
            let consumed = std::mem::replace(&mut row.consumed, write.state == ReservationState::Consumed);
            row.holder = write.state.is_open().then_some(rec);
            match write.state {
                ReservationState::Consumed | ReservationState::Used if !consumed => row.reserved = false,
                ReservationState::GivenBack if consumed => row.reserved = true,
                _ => {}
            }
        }
    }
}

impl World {
    pub(crate) fn put_in_reserve(&mut self) {
        for host in self.journal.reserve.rows.keys() {
            self.nova.services[*host].disabled = true;
            self.nova.services[*host].reason = Some(REASON.into());
        }
    }

    /// Applies a call about reserved hosts.
    pub(crate) fn reserve_effect(&mut self, source: HostIx, call: &ReserveCall) -> Observation {
        let answer = match call {
            ReserveCall::Survey => ReserveAnswer::Survey(Ok(self.survey(source))),
            ReserveCall::ReadHost { host, servers } => {
                let ix = index_named(host);
                ReserveAnswer::ReadHost {
                    host: host.clone(),
                    result: Ok(ReservedHostView {
                        service: self.nova.show_service(ix, self.now),
                        servers: servers.then(|| self.nova.servers_on(ix).len()),
                    }),
                }
            }
            ReserveCall::SetStatus { host, status, .. } => {
                let ix = index_named(host);
                note!(self, "effect: {host} is made {status:?}");
                let row = &mut self.nova.services[ix];
                (row.disabled, row.reason) = match status {
                    ServiceStatus::Enabled => (false, None),
                    ServiceStatus::Disabled { reason } => (true, reason.clone()),
                };
                ReserveAnswer::StatusSet {
                    host: host.clone(),
                    result: self
                        .nova
                        .show_service(ix, self.now)
                        .ok_or_else(|| fault(Some(404), false)),
                }
            }
            ReserveCall::Join { host, aggregate } => {
                let (ix, hosts) = (index_named(host), &mut self.journal.reserve.aggregate);
                let joined = if hosts.contains(&ix) {
                    JoinResult::Already
                } else {
                    hosts.push(ix);
                    JoinResult::Added
                };
                ReserveAnswer::Joined {
                    host: host.clone(),
                    aggregate: *aggregate,
                    result: Ok(joined),
                }
            }
            ReserveCall::Leave { host, aggregate } => {
                let ix = index_named(host);
                self.journal.reserve.aggregate.retain(|other| *other != ix);
                ReserveAnswer::Left {
                    host: host.clone(),
                    aggregate: *aggregate,
                    result: Ok(()),
                }
            }
        };
        Observation::Reserve(answer)
    }

    fn survey(&self, source: HostIx) -> Survey {
        let reserve = &self.journal.reserve;
        // Capacity for three instances, whatever the number of hosts.
        let room = |host: HostIx| {
            let there = self.nova.servers_on(host).len();
            Resources {
                vcpus: 3_u64.saturating_sub(u64::try_from(there).unwrap()),
                memory_mb: 1 << 20,
                disk_gb: 1 << 20,
            }
        };
        let shown = reserve
            .rows
            .iter()
            .filter(|(host, row)| **host != source && (row.reserved || row.holder.is_some()))
            .filter(|(host, _)| self.journal.maintenance_of(**host).is_none())
            .map(|(host, row)| ReservedHost {
                id: host_id(*host),
                name: host_name(*host),
                busy: row.holder.is_some()
                    || self.journal.freezes.is_frozen_itself(*host, self.now)
                    || self
                        .journal
                        .recs
                        .iter()
                        .any(|rec| rec.host == *host && rec.is_open_for_host()),
                service: self.nova.show_service(*host, self.now),
                room: (!reserve.placement_error).then(|| room(*host)),
            });
        Survey {
            hosts: shown.collect(),
            aggregates: vec![Aggregate {
                id: 1,
                name: "rack".into(),
                zone: None,
                hosts: reserve.aggregate.iter().map(|host| host_name(*host)).collect(),
                metadata: BTreeMap::new(),
            }],
            placement_error: reserve.placement_error.then(|| "Placement is down".into()),
        }
    }

    /// Checks that no reserved host keeps a closed holder, and that a host in reserve has its original state.
    pub(crate) fn check_reserve(&mut self) {
        for (host, row) in self.journal.reserve.rows.clone() {
            if let Some(rec) = row.holder {
                return self.violate(format!(
                    "reserved host {host} is still held by recovery {rec}, which is closed (R6)"
                ));
            }
            let service = &self.nova.services[host];
            // A recovered host is enabled when it is back, as every host is.
            let recovered = self.journal.proofs.iter();
            let recovered = recovered
                .map(|(rec, _)| self.journal.recs[*rec].host)
                .any(|of| of == host);
            // One of its processes may fail while it is given back.
            let reason = self.nova.services[host].reason.as_deref();
            let is_out = reason.is_some_and(|reason| reason.contains("process failed"));
            if !row.reserved
                || is_out
                || recovered
                || row.lost
                || self.ever_failed.contains(&host)
                || !self.nova.servers_on(host).is_empty()
            {
                continue;
            }
            if !service.disabled || service.reason.as_deref() != Some(REASON) {
                let text = format!("host {host} is in reserve and changed: {service:?} (R23)");
                return self.violate(text);
            }
            if self.journal.reserve.aggregate.contains(&host) {
                return self.violate(format!("host {host} is in reserve and was left in an aggregate"));
            }
        }
    }
}

/// Returns the owner's observation of a failed call.
pub(crate) fn failed(call: &ReserveCall, fault: tachi_domain::fault::Fault) -> Observation {
    Observation::Reserve(call.failed(fault))
}

/// Returns the host that an evacuation names.
pub(crate) fn target_of(command: &Command) -> Option<HostIx> {
    match command {
        Command::Evacuate(evacuation) => evacuation.target().map(index_named),
        _ => None,
    }
}
