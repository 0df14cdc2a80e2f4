//! The other server actions, with Nova's checks in front.

use uuid::Uuid;

use crate::model::cast::{Cast, CastKind};
use crate::model::evacuate::{no_such_server, wrong_state};
use crate::model::server::{ActionEntry, Lock, Server, TaskState, VmState};
use crate::model::world::World;
use crate::model::{Caller, Refusal, ServerIx, State};

/// An action that ends in a message to nova-compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestAction {
    Start,
    Stop,
    SoftReboot,
    HardReboot,
    Pause,
    Unpause,
    Suspend,
    Resume,
}

impl GuestAction {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::SoftReboot | Self::HardReboot => "reboot",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    const fn starting_states(self) -> &'static [VmState] {
        use VmState as V;
        match self {
            Self::Start => &[V::Stopped],
            Self::Stop => &[V::Active, V::Error],
            Self::SoftReboot | Self::Pause | Self::Suspend => &[V::Active],
            Self::HardReboot => &[V::Active, V::Stopped, V::Paused, V::Suspended, V::Error],
            Self::Unpause => &[V::Paused],
            Self::Resume => &[V::Suspended],
        }
    }

    const fn task(self) -> TaskState {
        match self {
            Self::Start => TaskState::PoweringOn,
            Self::Stop => TaskState::PoweringOff,
            Self::SoftReboot => TaskState::Rebooting,
            Self::HardReboot => TaskState::RebootingHard,
            Self::Pause => TaskState::Pausing,
            Self::Unpause => TaskState::Unpausing,
            Self::Suspend => TaskState::Suspending,
            Self::Resume => TaskState::Resuming,
        }
    }

    const fn cast(self) -> CastKind {
        match self {
            Self::Start => CastKind::Start,
            Self::Stop => CastKind::Stop,
            Self::SoftReboot => CastKind::Reboot { hard: false },
            Self::HardReboot => CastKind::Reboot { hard: true },
            Self::Pause => CastKind::Pause,
            Self::Unpause => CastKind::Unpause,
            Self::Suspend => CastKind::Suspend,
            Self::Resume => CastKind::Resume,
        }
    }

    /// A hard reboot may overtake reboots and the like; everything else waits.
    fn allowed_during(self, task: Option<TaskState>) -> bool {
        use TaskState as T;
        match task {
            None => true,
            Some(
                T::Rebooting | T::RebootingHard | T::Pausing | T::Unpausing | T::Suspending | T::Resuming,
            ) => self == Self::HardReboot,
            Some(_) => false,
        }
    }
}

impl State {
    /// Returns the server if the caller may see it.
    pub(crate) fn find_server(&self, caller: &Caller, id: Uuid) -> Result<ServerIx, Refusal> {
        self.world
            .servers
            .by_id(id)
            .filter(|server| caller.admin || server.project_id == caller.project_id)
            .map(|server| server.index)
            .ok_or_else(|| no_such_server(id))
    }

    fn find_unlocked(&self, caller: &Caller, id: Uuid) -> Result<&Server, Refusal> {
        let index = self.find_server(caller, id)?;
        let server = self.world.servers.get(index).ok_or_else(|| no_such_server(id))?;
        if server.lock.is_some() && !caller.admin {
            return Err(Refusal::conflict(format!("Instance {id} is locked")));
        }
        Ok(server)
    }

    /// Checks an action and casts it, even to a dead host: the message is queued.
    pub(crate) fn act(&mut self, caller: &Caller, id: Uuid, action: GuestAction) -> Result<(), Refusal> {
        let server = self.find_unlocked(caller, id)?;
        let index = server.index;
        let Some(ix) = server.host else {
            return Err(Refusal::conflict(format!("Instance {id} is not ready")));
        };
        if !action.starting_states().contains(&server.vm_state) {
            return Err(wrong_state(
                action.name(),
                id,
                "vm_state",
                server.vm_state.as_str(),
            ));
        }
        if !action.allowed_during(server.task_state) {
            let task = server.task_state.map_or("None", TaskState::as_str);
            return Err(wrong_state(action.name(), id, "task_state", task));
        }
        self.world.servers.edit(index, self.world.now, |server| {
            server.task_state = Some(action.task());
        });
        self.log_action(index, caller, action.name());
        self.world.cast(
            ix,
            Cast {
                server: index,
                server_id: id,
                kind: action.cast(),
            },
        );
        Ok(())
    }

    /// Locks a server. An owner's second lock changes nothing; an admin's replaces the existing one.
    pub(crate) fn lock(&mut self, caller: &Caller, id: Uuid, reason: Option<String>) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        let by_owner = server.project_id == caller.project_id;
        if server.lock.is_some() && by_owner {
            return Ok(());
        }
        // Nova keeps an old reason when the new lock brings none.
        let reason = reason.or_else(|| server.lock.as_ref().and_then(|lock| lock.reason.clone()));
        self.world.servers.edit(index, self.world.now, |server| {
            server.lock = Some(Lock { by_owner, reason });
        });
        self.log_action(index, caller, "lock");
        Ok(())
    }

    /// Unlocks a server. An owner cannot remove an admin's lock.
    pub(crate) fn unlock(&mut self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        if server.lock.as_ref().is_some_and(|lock| !lock.by_owner) && !caller.admin {
            return Err(Refusal::forbidden(
                "os_compute_api:os-lock-server:unlock:unlock_override",
            ));
        }
        self.world
            .servers
            .edit(index, self.world.now, |server| server.lock = None);
        self.log_action(index, caller, "unlock");
        Ok(())
    }

    /// Sets the state and clears the task, without a check.
    pub(crate) fn reset_state(&mut self, caller: &Caller, id: Uuid, error: bool) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        caller.require_admin("os_compute_api:os-admin-actions:reset_state")?;
        self.world.servers.edit(index, self.world.now, |server| {
            server.vm_state = if error { VmState::Error } else { VmState::Active };
            server.task_state = None;
        });
        self.log_action(index, caller, "resetState");
        Ok(())
    }

    /// Deletes a server. On a dead host only the record is removed; the guest is removed when the host returns.
    pub(crate) fn delete_server(&mut self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let server = self.find_unlocked(caller, id)?;
        let index = server.index;
        match server.host.filter(|ix| self.service_up(*ix)) {
            Some(ix) => {
                self.world.servers.edit(index, self.world.now, |server| {
                    server.task_state = Some(TaskState::Deleting);
                });
                self.world.cast(
                    ix,
                    Cast {
                        server: index,
                        server_id: id,
                        kind: CastKind::Terminate,
                    },
                );
            }
            None => self.world.remove_server(index),
        }
        Ok(())
    }

    pub(crate) fn log_action(&mut self, index: ServerIx, caller: &Caller, action: &'static str) {
        let by = (caller.user_id.as_str(), caller.project_id.as_str());
        self.world.log_action(index, Some(by), action);
    }
}

impl World {
    /// Adds an action by a user and project; by `None` if Nova acts by itself.
    pub(crate) fn log_action(&mut self, index: ServerIx, by: Option<(&str, &str)>, action: &'static str) {
        let (at, request_id) = (self.now, format!("req-{}", self.rng.uuid()));
        if let Some(server) = self.servers.get_mut(index) {
            server.actions.push(ActionEntry {
                action,
                at,
                user_id: by.map(|(user, _)| user.to_owned()),
                project_id: by.map(|(_, project)| project.to_owned()),
                request_id,
            });
        }
    }
}
