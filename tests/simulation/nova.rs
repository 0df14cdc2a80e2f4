//! A model of Nova with its evacuation semantics. Evacuations are asynchronous and not exclusive. The conductor
//! takes the first `accepted` record. The instance's host changes at the end. A destination that dies leaves
//! its record open.

use tachi_domain::nova::{
    Actor, InstanceTraits, Migration, MigrationType, PowerState, Server, ServerAction, Service, VmState,
};
use tachi_domain::recovery::{Restoration, ServiceUpdate};
use tachi_domain::{MigrationId, ServerId, ServiceId, Timestamp};
use uuid::Uuid;

use crate::excluded::MARK;

/// Nova's clock at the start of a run, in microseconds.
const EPOCH: i64 = 1_700_000_000_000_000;

/// Age of a heartbeat from which Nova shows a service as down.
const DOWN_AFTER: u64 = 60_000;

pub(crate) type HostIx = usize;
pub(crate) type ServerIx = usize;

/// Returns a time by Nova's clock.
pub(crate) fn stamp(now: u64) -> Timestamp {
    Timestamp::from_micros(EPOCH + i64::try_from(now).unwrap() * 1_000)
}

/// Names of our hosts and of those in the far segment, cached because a run needs them many thousand times.
const HOST_NAMES: [&str; 10] = [
    "compute-0",
    "compute-1",
    "compute-2",
    "compute-3",
    "compute-4",
    "compute-5",
    "compute-6",
    "compute-7",
    "compute-8",
    "compute-9",
];

pub(crate) fn host_name(host: HostIx) -> String {
    HOST_NAMES
        .get(host)
        .map_or_else(|| format!("compute-{host}"), |name| (*name).to_owned())
}

pub(crate) fn server_id(server: ServerIx) -> ServerId {
    ServerId(Uuid::from_u128(0x5e7 + u128::try_from(server).unwrap()))
}

/// Nova's record of a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerRow {
    pub exists: bool,
    pub host: HostIx,
    pub vm_state: VmState,
    pub task_state: Option<&'static str>,
    pub power_state: PowerState,
    pub locked: Option<String>,
    /// Time of the owner's lock, in ms.
    pub locked_at: u64,
    pub launched: bool,
    /// The time of its last change, in ms, if it is shown.
    pub updated: Option<u64>,
    /// True if policy excludes it from evacuation.
    pub excluded: bool,
    /// The requested actions, oldest first.
    pub actions: Vec<(&'static str, Actor)>,
}

#[derive(Clone, Debug)]
pub(crate) struct MigrationRow {
    pub id: u64,
    pub server: ServerIx,
    pub kind: MigrationType,
    pub status: &'static str,
    pub source: HostIx,
    pub dest: Option<HostIx>,
    pub created: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceRow {
    pub disabled: bool,
    pub reason: Option<String>,
    pub forced_down: bool,
    /// Time shown as the heartbeat: the last heartbeat or the last change of the row.
    pub updated: u64,
    /// Number of times the record was created again.
    pub registered: u32,
    /// The time of the latest of these, in ms.
    pub registered_at: u64,
    /// True if the record is deleted.
    pub gone: bool,
}

/// Returns the ID of a host's service after the given number of registrations.
pub(crate) fn service_id(host: HostIx, registered: u32) -> ServiceId {
    ServiceId(Uuid::from_u128(
        0x5e4 + u128::try_from(host).unwrap() + (u128::from(registered) << 16),
    ))
}

/// HTTP status of Nova's refusal.
pub(crate) type Refusal = u16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Nova {
    pub servers: Vec<ServerRow>,
    pub migrations: Vec<MigrationRow>,
    pub services: Vec<ServiceRow>,
}

pub(crate) fn unfinished(status: &str) -> bool {
    matches!(
        status,
        "accepted" | "pre-migrating" | "running" | "migrating" | "post-migrating" | "reverting"
    )
}

impl Nova {
    pub(crate) fn is_up(&self, host: HostIx, now: u64) -> bool {
        let service = &self.services[host];
        !service.gone && !service.forced_down && now.saturating_sub(service.updated) < DOWN_AFTER
    }

    pub(crate) fn show_service(&self, host: HostIx, now: u64) -> Option<Service> {
        let row = &self.services[host];
        (!row.gone).then(|| Service {
            id: service_id(host, row.registered),
            host: host_name(host),
            enabled: !row.disabled,
            disabled_reason: row.reason.clone(),
            up: self.is_up(host, now),
            forced_down: row.forced_down,
            last_heartbeat: Some(stamp(row.updated)),
            nova_now: Some(stamp(now / 1_000 * 1_000)),
        })
    }

    pub(crate) fn show(&self, server: ServerIx) -> Option<Server> {
        let row = &self.servers[server];
        row.exists.then(|| Server {
            id: server_id(server),
            name: format!("vm-{server}"),
            host: Some(host_name(row.host)),
            vm_state: row.vm_state.clone(),
            task_state: row.task_state.map(Into::into),
            power_state: row.power_state,
            locked: row.locked.is_some(),
            locked_reason: row.locked.clone(),
            metadata: row
                .excluded
                .then(|| (MARK.0.to_owned(), MARK.1.to_owned()))
                .into_iter()
                .collect(),
            volume_backed: server % 3 != 2,
            launched: row.launched,
            fault: None,
            about: InstanceTraits::default(),
            needs: None,
            updated: row.updated.map(|at| stamp(at / 1_000 * 1_000)),
        })
    }

    /// Returns the requested actions of a server, latest first.
    pub(crate) fn actions(&self, server: ServerIx) -> Option<Vec<ServerAction>> {
        let row = &self.servers[server];
        let action = |(action, by): &(&str, Actor)| ServerAction {
            action: (*action).to_owned(),
            by: *by,
            at: None,
        };
        row.exists.then(|| row.actions.iter().rev().map(action).collect())
    }

    pub(crate) fn servers_on(&self, host: HostIx) -> Vec<Server> {
        (0..self.servers.len())
            .filter(|server| self.servers[*server].host == host)
            .filter_map(|server| self.show(server))
            .collect()
    }

    pub(crate) fn show_migration(row: &MigrationRow) -> Migration {
        Migration {
            id: MigrationId(row.id),
            server: server_id(row.server),
            kind: row.kind.clone(),
            status: row.status.into(),
            source: Some(host_name(row.source)),
            dest: row.dest.map(host_name),
            created_at: Some(stamp(row.created)),
            updated_at: None,
        }
    }

    pub(crate) fn migrations_touching(&self, host: HostIx) -> Vec<Migration> {
        let touches = |row: &&MigrationRow| row.source == host || row.dest == Some(host);
        self.migrations
            .iter()
            .filter(touches)
            .map(Self::show_migration)
            .collect()
    }

    /// Returns migrations, newest first, back to `since`.
    pub(crate) fn evacuations_from(&self, host: HostIx, since: Option<Timestamp>) -> Vec<Migration> {
        let mut rows: Vec<&MigrationRow> = self
            .migrations
            .iter()
            .filter(|row| row.source == host && row.kind == MigrationType::Evacuation)
            .filter(|row| since.is_none_or(|since| stamp(row.created) >= since))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created, row.id)));
        rows.into_iter().map(Self::show_migration).collect()
    }

    pub(crate) fn next_migration(&self) -> u64 {
        self.migrations.last().map_or(1, |row| row.id + 1)
    }

    /// Accepts an evacuation as the API does; the conductor does the rest.
    pub(crate) fn evacuate(&mut self, server: ServerIx, now: u64, skew: u64) -> Result<u64, Refusal> {
        let id = self.next_migration();
        let host = self.servers[server].host;
        let up = self.is_up(host, now);
        let gone = self.services[host].gone;
        let row = &mut self.servers[server];
        if !row.exists || gone {
            return Err(404);
        }
        if up {
            return Err(400);
        }
        if !row.launched || !matches!(row.vm_state, VmState::Active | VmState::Stopped | VmState::Error) {
            return Err(409);
        }
        row.task_state = Some("rebuilding");
        self.migrations.push(MigrationRow {
            id,
            server,
            kind: MigrationType::Evacuation,
            status: "accepted",
            source: host,
            dest: None,
            created: now.saturating_sub(skew),
        });
        Ok(id)
    }

    pub(crate) fn lock(&mut self, server: ServerIx, reason: Option<&str>) -> Result<(), Refusal> {
        let row = &mut self.servers[server];
        if !row.exists {
            return Err(404);
        }
        row.locked = reason.map(Into::into);
        Ok(())
    }

    pub(crate) fn mark_error(&mut self, server: ServerIx) -> Result<(), Refusal> {
        let row = &mut self.servers[server];
        if !row.exists {
            return Err(404);
        }
        row.vm_state = VmState::Error;
        row.task_state = None;
        Ok(())
    }

    /// Returns the state after a reset, if Nova accepts it.
    pub(crate) fn restore(&mut self, server: ServerIx, to: &Restoration) -> Result<Option<VmState>, Refusal> {
        let row = &mut self.servers[server];
        if !row.exists {
            return Err(404);
        }
        if row.task_state.is_some() {
            return Err(409);
        }
        match (to, &row.vm_state) {
            (Restoration::MarkError, _) => {
                row.vm_state = VmState::Error;
                Ok(None)
            }
            (Restoration::Stop, VmState::Active) => {
                row.task_state = Some("powering-off");
                Ok(Some(VmState::Stopped))
            }
            (Restoration::Pause, VmState::Active) => {
                row.task_state = Some("pausing");
                Ok(Some(VmState::Paused))
            }
            (Restoration::Suspend, VmState::Active) => {
                row.task_state = Some("suspending");
                Ok(Some(VmState::Suspended))
            }
            _ => Err(409),
        }
    }

    pub(crate) fn update_service(
        &mut self,
        host: HostIx,
        id: ServiceId,
        update: &ServiceUpdate,
        now: u64,
    ) -> Result<(), Refusal> {
        let row = &self.services[host];
        if row.gone || id != service_id(host, row.registered) {
            return Err(404);
        }
        let done = self
            .migrations
            .iter()
            .any(|row| row.kind == MigrationType::Evacuation && row.source == host && row.status == "done");
        let row = &mut self.services[host];
        match update {
            ServiceUpdate::DisableAndForceDown { reason } => {
                row.disabled = true;
                row.reason = Some(reason.clone());
                row.forced_down = true;
            }
            ServiceUpdate::Enable => {
                row.disabled = false;
                row.reason = None;
            }
            ServiceUpdate::ForceDown => row.forced_down = true,
            ServiceUpdate::ClearForcedDown if done => return Err(400),
            ServiceUpdate::ClearForcedDown => row.forced_down = false,
            ServiceUpdate::Disable { reason } => {
                row.disabled = true;
                row.reason = Some(reason.clone());
            }
        }
        row.updated = now;
        Ok(())
    }
}
