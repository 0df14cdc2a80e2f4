//! The state of the region: Nova's records and the machines' state side by side.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::Region;
use crate::SandboxError;
use crate::model::migration::MigrationKind;
use crate::model::server::{Server, TaskState, VmState};
use crate::model::{HostIx, State};

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerSnapshot {
    /// The id.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// Owner.
    pub project_id: String,
    /// The host, by Nova's record.
    pub host: Option<String>,
    /// The VM state, by Nova's record.
    pub vm_state: VmState,
    /// The task state, by Nova's record.
    pub task_state: Option<TaskState>,
    /// True if it is locked.
    pub locked: bool,
    /// The lock's reason.
    pub locked_reason: Option<String>,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
    /// The hosts that execute it, by the ledger.
    pub runs_on: Vec<String>,
}

/// A hypervisor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the real world"
)]
pub struct HostSnapshot {
    /// Service host.
    pub name: String,
    /// Node name.
    pub hypervisor_hostname: String,
    /// Rack.
    pub rack: String,
    /// Availability zone.
    pub zone: String,
    /// Id of its compute service.
    pub service_id: Uuid,
    /// MAAS's id of the machine.
    pub system_id: String,
    /// True if it has power.
    pub power: bool,
    /// True if it reaches the control network.
    pub link: bool,
    /// True if nova-compute runs.
    pub agent: bool,
    /// True if Nova considers it up.
    pub up: bool,
    /// True if its service is enabled.
    pub enabled: bool,
    /// The disable reason.
    pub disabled_reason: Option<String>,
    /// True if it is forced down.
    pub forced_down: bool,
    /// Number of servers on it, by Nova's records.
    pub servers: usize,
    /// Number of guests that execute on it.
    pub running: usize,
    /// Number of unconsumed messages.
    pub queued: usize,
}

/// A migration record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MigrationSnapshot {
    /// The record's number.
    pub id: u64,
    /// The server.
    pub server: Uuid,
    /// The kind.
    pub kind: MigrationKind,
    /// The status.
    pub status: String,
    /// The source.
    pub source: String,
    /// The destination.
    pub dest: Option<String>,
}

impl Region {
    /// Returns every server, oldest first.
    pub fn snapshot(&self) -> Vec<ServerSnapshot> {
        self.read(|state| {
            state
                .world
                .servers
                .iter()
                .map(|server| view(state, server))
                .collect()
        })
    }

    /// Returns one server.
    ///
    /// # Errors
    ///
    /// There is no such server.
    pub fn server(&self, id: Uuid) -> Result<ServerSnapshot, SandboxError> {
        self.read(|state| state.world.servers.by_id(id).map(|server| view(state, server)))
            .ok_or(SandboxError::NoSuchServer { id })
    }

    /// Returns every hypervisor.
    pub fn hosts(&self) -> Vec<HostSnapshot> {
        self.read(|state| {
            state
                .world
                .hosts
                .indexes()
                .map(|ix| host_view(state, ix))
                .collect()
        })
    }

    /// Returns one hypervisor.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn host(&self, name: &str) -> Result<HostSnapshot, SandboxError> {
        self.read(|state| Self::host_ix(state, name).map(|ix| host_view(state, ix)))
    }

    /// Returns the migration records of one server, oldest first.
    pub fn migrations(&self, server: Uuid) -> Vec<MigrationSnapshot> {
        self.read(|state| {
            let rows = state.world.migrations.of_server(server);
            rows.map(|row| MigrationSnapshot {
                id: row.id,
                server: row.server_id,
                kind: row.kind,
                status: row.status.as_str().to_owned(),
                source: row.source_compute.clone(),
                dest: row.dest_compute.clone(),
            })
            .collect()
        })
    }
}

fn view(state: &State, server: &Server) -> ServerSnapshot {
    ServerSnapshot {
        id: server.id,
        name: server.name.clone(),
        project_id: server.project_id.clone(),
        host: server.host.map(|ix| state.world.hosts[ix].name.to_string()),
        vm_state: server.vm_state,
        task_state: server.task_state,
        locked: server.lock.is_some(),
        locked_reason: server.lock.as_ref().and_then(|lock| lock.reason.clone()),
        metadata: server.metadata.clone(),
        runs_on: state.world.hosts.ledger.runs_on(server.id),
    }
}

fn host_view(state: &State, ix: HostIx) -> HostSnapshot {
    let host = &state.world.hosts[ix];
    HostSnapshot {
        name: host.name.to_string(),
        hypervisor_hostname: host.node.clone(),
        rack: host.rack.clone(),
        zone: state.aggregates.zone_of(ix).to_owned(),
        service_id: host.service_id,
        system_id: host.machine.system_id.clone(),
        power: host.power,
        link: host.link,
        agent: host.agent.is_some(),
        up: state.service_up(ix),
        enabled: !host.disabled,
        disabled_reason: host.disabled_reason.clone(),
        forced_down: host.forced_down,
        servers: host.servers.len(),
        running: host
            .guests
            .values()
            .filter(|guest| guest.power.is_executing())
            .count(),
        queued: host.queue.len(),
    }
}
