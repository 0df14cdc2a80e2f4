//! Servers, as in Nova's database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::HostIx;
use crate::region_time::RegionTime;

/// Nova's internal instance number, which increases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerIx(pub(crate) u64);

/// Nova's `vm_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VmState {
    /// Being built; never launched yet.
    Building,
    /// Should be running.
    Active,
    /// Shut down.
    Stopped,
    /// Paused in memory.
    Paused,
    /// Suspended to disk.
    Suspended,
    /// In rescue mode.
    Rescued,
    /// A resize awaits its confirmation.
    Resized,
    /// Shelved.
    Shelved,
    /// Failed.
    Error,
}

impl VmState {
    /// Returns Nova's name of the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Rescued => "rescued",
            Self::Resized => "resized",
            Self::Shelved => "shelved",
            Self::Error => "error",
        }
    }
}

/// Nova's `task_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskState {
    Scheduling,
    Spawning,
    Rebuilding,
    RebuildBlockDeviceMapping,
    RebuildSpawning,
    PoweringOn,
    PoweringOff,
    Rebooting,
    RebootingHard,
    Pausing,
    Unpausing,
    Suspending,
    Resuming,
    Migrating,
    ResizeMigrating,
    Deleting,
}

impl TaskState {
    /// Returns Nova's name of the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduling => "scheduling",
            Self::Spawning => "spawning",
            Self::Rebuilding => "rebuilding",
            Self::RebuildBlockDeviceMapping => "rebuild_block_device_mapping",
            Self::RebuildSpawning => "rebuild_spawning",
            Self::PoweringOn => "powering-on",
            Self::PoweringOff => "powering-off",
            Self::Rebooting => "rebooting",
            Self::RebootingHard => "rebooting_hard",
            Self::Pausing => "pausing",
            Self::Unpausing => "unpausing",
            Self::Suspending => "suspending",
            Self::Resuming => "resuming",
            Self::Migrating => "migrating",
            Self::ResizeMigrating => "resize_migrating",
            Self::Deleting => "deleting",
        }
    }

    pub(crate) const fn is_rebuild(self) -> bool {
        matches!(
            self,
            Self::Rebuilding | Self::RebuildBlockDeviceMapping | Self::RebuildSpawning
        )
    }
}

/// The status the API derives from both states.
pub(crate) fn status(vm_state: VmState, task_state: Option<TaskState>) -> &'static str {
    use {TaskState as T, VmState as V};
    match (vm_state, task_state) {
        (V::Active | V::Stopped | V::Error, Some(task)) if task.is_rebuild() => "REBUILD",
        (V::Active, Some(T::Rebooting)) => "REBOOT",
        (V::Active, Some(T::RebootingHard)) => "HARD_REBOOT",
        (V::Active | V::Paused, Some(T::Migrating)) => "MIGRATING",
        (V::Active | V::Stopped, Some(T::ResizeMigrating)) => "RESIZE",
        (V::Building, _) => "BUILD",
        (V::Active, _) => "ACTIVE",
        (V::Stopped, _) => "SHUTOFF",
        (V::Paused, _) => "PAUSED",
        (V::Suspended, _) => "SUSPENDED",
        (V::Rescued, _) => "RESCUE",
        (V::Resized, _) => "VERIFY_RESIZE",
        (V::Shelved, _) => "SHELVED",
        (V::Error, _) => "ERROR",
    }
}

/// The lock of a server: its owner and reason.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) by_owner: bool,
    pub(crate) reason: Option<String>,
}

/// The last fault of a server.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) at: RegionTime,
}

/// An entry of the action log.
#[derive(Debug, Clone)]
pub(crate) struct ActionEntry {
    pub(crate) action: &'static str,
    pub(crate) at: RegionTime,
    /// The user who requested it; `None` for Nova itself.
    pub(crate) user_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) request_id: String,
}

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) index: ServerIx,
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) project_id: String,
    pub(crate) user_id: String,
    /// `None` boots from a volume.
    pub(crate) image: Option<Uuid>,
    pub(crate) flavor: usize,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) pinned_zone: Option<String>,
    /// The host that was requested at creation.
    pub(crate) requested_host: Option<HostIx>,
    pub(crate) host: Option<HostIx>,
    pub(crate) vm_state: VmState,
    pub(crate) task_state: Option<TaskState>,
    pub(crate) power_state: u8,
    pub(crate) lock: Option<Lock>,
    pub(crate) created: RegionTime,
    pub(crate) updated: RegionTime,
    pub(crate) launched: Option<RegionTime>,
    pub(crate) fault: Option<Fault>,
    pub(crate) actions: Vec<ActionEntry>,
}

impl Server {
    pub(crate) fn status(&self) -> &'static str {
        status(self.vm_state, self.task_state)
    }
}

/// All servers, with the indexes for lists.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    rows: BTreeMap<ServerIx, Server>,
    by_id: HashMap<Uuid, ServerIx>,
    by_project: HashMap<String, BTreeSet<ServerIx>>,
    last: u64,
}

impl Servers {
    pub(crate) fn next_ix(&mut self) -> ServerIx {
        self.last += 1;
        ServerIx(self.last)
    }

    pub(crate) fn insert(&mut self, server: Server) {
        self.by_id.insert(server.id, server.index);
        self.by_project
            .entry(server.project_id.clone())
            .or_default()
            .insert(server.index);
        self.rows.insert(server.index, server);
    }

    pub(crate) fn remove(&mut self, index: ServerIx) -> Option<Server> {
        let server = self.rows.remove(&index)?;
        self.by_id.remove(&server.id);
        if let Some(numbers) = self.by_project.get_mut(&server.project_id) {
            numbers.remove(&index);
        }
        Some(server)
    }

    pub(crate) fn get(&self, index: ServerIx) -> Option<&Server> {
        self.rows.get(&index)
    }

    pub(crate) fn get_mut(&mut self, index: ServerIx) -> Option<&mut Server> {
        self.rows.get_mut(&index)
    }

    /// Changes a server's row, as Nova does: with `updated_at`.
    pub(crate) fn edit(&mut self, index: ServerIx, now: RegionTime, change: impl FnOnce(&mut Server)) {
        if let Some(server) = self.rows.get_mut(&index) {
            change(server);
            server.updated = now;
        }
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Server> {
        self.by_id.get(&id).and_then(|index| self.rows.get(index))
    }

    pub(crate) fn index(&self, id: Uuid) -> Option<ServerIx> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Server> {
        self.rows.values()
    }

    /// Returns the servers below `marker`, newest first.
    pub(crate) fn newest(&self, marker: Option<ServerIx>) -> Box<dyn Iterator<Item = ServerIx> + '_> {
        match marker {
            Some(marker) => Box::new(self.rows.range(..marker).rev().map(|(index, _)| *index)),
            None => Box::new(self.rows.keys().rev().copied()),
        }
    }

    pub(crate) fn of_project(&self, project: &str) -> Option<&BTreeSet<ServerIx>> {
        self.by_project.get(project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_follows_novas_table() {
        use {TaskState as T, VmState as V};
        for (vm_state, task_state, expected) in [
            (V::Active, None, "ACTIVE"),
            (V::Active, Some(T::Rebuilding), "REBUILD"),
            (V::Stopped, Some(T::RebuildSpawning), "REBUILD"),
            (V::Error, Some(T::Rebuilding), "REBUILD"),
            (V::Error, Some(T::RebuildBlockDeviceMapping), "REBUILD"),
            (V::Paused, Some(T::Rebuilding), "PAUSED"),
            (V::Stopped, Some(T::PoweringOn), "SHUTOFF"),
            (V::Active, Some(T::RebootingHard), "HARD_REBOOT"),
            (V::Error, None, "ERROR"),
            (V::Resized, None, "VERIFY_RESIZE"),
        ] {
            assert_eq!(
                status(vm_state, task_state),
                expected,
                "{vm_state:?} {task_state:?}"
            );
        }
    }
}
