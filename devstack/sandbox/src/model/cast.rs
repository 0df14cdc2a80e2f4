//! Messages to `compute.<host>`: queued until nova-compute consumes them.
//!
//! Nova's API casts without waiting. A start that is sent to a dead host stays in the broker and is executed when
//! nova-compute returns, even if the instance has moved: `start_instance` powers on first and checks the task state
//! only when it saves.

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::conductor::Order;
use crate::model::host::GuestPower;
use crate::model::migration::Relocation;
use crate::model::server::{TaskState, VmState};
use crate::model::{HostIx, ServerIx, World};

/// A message to nova-compute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CastKind {
    Start,
    Stop,
    Reboot {
        hard: bool,
    },
    Pause,
    Unpause,
    Suspend,
    Resume,
    Terminate,
    Rebuild(Order),
    /// A live migration whose destination, and then its source, must be queried first.
    LiveMigrate(Box<Relocation>),
}

/// A message about one server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cast {
    pub(crate) server: ServerIx,
    pub(crate) server_id: Uuid,
    pub(crate) kind: CastKind,
}

/// A rebuild that waits for a free slot on its destination.
#[derive(Debug, Clone)]
pub(crate) struct RebuildOrder {
    pub(crate) server_id: Uuid,
    pub(crate) order: Order,
}

impl RebuildOrder {
    pub(crate) fn into_cast(self) -> Cast {
        Cast {
            server: self.order.server,
            server_id: self.server_id,
            kind: CastKind::Rebuild(self.order),
        }
    }
}

impl World {
    /// Sends a message, which is queued while the host cannot consume it.
    pub(crate) fn cast(&mut self, ix: HostIx, cast: Cast) {
        let host = &mut self.hosts[ix];
        if host.reachable() {
            let incarnation = host.incarnation;
            let delay = match cast.kind {
                CastKind::Rebuild(_) | CastKind::LiveMigrate(_) => std::time::Duration::ZERO,
                CastKind::Start
                | CastKind::Stop
                | CastKind::Reboot { .. }
                | CastKind::Pause
                | CastKind::Unpause
                | CastKind::Suspend
                | CastKind::Resume
                | CastKind::Terminate => self.settings.action_time,
            };
            let at = self.now.after(delay);
            self.agenda.plan(
                at,
                Event::Deliver {
                    host: ix,
                    incarnation,
                    cast,
                },
            );
        } else {
            host.queue.push_back(cast);
        }
    }

    /// Delivers the queued messages.
    pub(crate) fn drain_queue(&mut self, ix: HostIx) {
        let waiting: Vec<Cast> = self.hosts[ix].queue.drain(..).collect();
        for cast in waiting {
            self.cast(ix, cast);
        }
    }

    /// Handles a message, or queues it again if the host has died or lost its link meanwhile.
    pub(crate) fn deliver(&mut self, ix: HostIx, incarnation: u64, cast: Cast) {
        let host = &mut self.hosts[ix];
        if host.incarnation != incarnation || !host.reachable() {
            if host.reachable() {
                self.cast(ix, cast);
            } else {
                host.queue.push_back(cast);
            }
            return;
        }
        let (index, id) = (cast.server, cast.server_id);
        match cast.kind {
            CastKind::Start => self.start_instance(ix, index, id),
            CastKind::Stop => self.stop_instance(ix, index, id),
            CastKind::Reboot { hard } => self.reboot_instance(ix, index, id, hard),
            CastKind::Pause => self.change_guest(
                ix,
                index,
                id,
                TaskState::Pausing,
                GuestPower::Paused,
                VmState::Paused,
            ),
            CastKind::Unpause => {
                self.change_guest(
                    ix,
                    index,
                    id,
                    TaskState::Unpausing,
                    GuestPower::Running,
                    VmState::Active,
                );
            }
            CastKind::Suspend => {
                self.change_guest(
                    ix,
                    index,
                    id,
                    TaskState::Suspending,
                    GuestPower::Suspended,
                    VmState::Suspended,
                );
            }
            CastKind::Resume => {
                self.change_guest(
                    ix,
                    index,
                    id,
                    TaskState::Resuming,
                    GuestPower::Running,
                    VmState::Active,
                );
            }
            CastKind::Terminate => self.terminate_instance(ix, index),
            CastKind::Rebuild(order) => self.rebuild_instance(ix, id, order),
            CastKind::LiveMigrate(requested) => self.resume_live_migration(ix, requested),
        }
    }

    /// Powers on without checking that the instance is still on this host; only the save afterwards may fail.
    pub(crate) fn start_instance(&mut self, ix: HostIx, index: ServerIx, id: Uuid) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        let expected = server.task_state == Some(TaskState::PoweringOn);
        let host = self.hosts[ix].name.to_string();
        if expected && self.faults.at_start(id, &host) {
            self.servers
                .edit(index, self.now, |server| server.task_state = None);
            return;
        }
        self.hosts.set_guest(ix, index, id, GuestPower::Running, self.now);
        if expected {
            self.servers.edit(index, self.now, |server| {
                server.power_state = GuestPower::Running.power_state();
                server.vm_state = VmState::Active;
                server.task_state = None;
            });
        }
    }

    /// Powers the guest off. The save requires the task `powering-off`, or none if the guest was off already. For a guest that the
    /// hypervisor does not know, nothing is saved unless the task is `powering-off`.
    pub(crate) fn stop_instance(&mut self, ix: HostIx, index: ServerIx, id: Uuid) {
        let found = self.hosts[ix].guest(index);
        if found.is_some() {
            self.hosts.set_guest(ix, index, id, GuestPower::Shutoff, self.now);
        }
        let Some(server) = self.servers.get(index) else {
            return;
        };
        let expected = match server.task_state {
            Some(task) => task == TaskState::PoweringOff,
            None => found.is_some_and(|power| !power.is_executing()),
        };
        if expected {
            self.servers.edit(index, self.now, |server| {
                server.power_state = GuestPower::Shutoff.power_state();
                server.vm_state = VmState::Stopped;
                server.task_state = None;
            });
        }
    }

    /// Unlike a start, a reboot saves its task state first, so it has no effect on an instance that has moved.
    pub(crate) fn reboot_instance(&mut self, ix: HostIx, index: ServerIx, id: Uuid, hard: bool) {
        let target = if hard {
            TaskState::RebootingHard
        } else {
            TaskState::Rebooting
        };
        self.change_guest(ix, index, id, target, GuestPower::Running, VmState::Active);
    }

    fn change_guest(
        &mut self,
        ix: HostIx,
        index: ServerIx,
        id: Uuid,
        expected: TaskState,
        power: GuestPower,
        vm_state: VmState,
    ) {
        if self
            .servers
            .get(index)
            .is_none_or(|server| server.task_state != Some(expected))
        {
            return;
        }
        self.hosts.set_guest(ix, index, id, power, self.now);
        self.servers.edit(index, self.now, |server| {
            server.power_state = power.power_state();
            server.vm_state = vm_state;
            server.task_state = None;
        });
    }

    pub(crate) fn terminate_instance(&mut self, ix: HostIx, index: ServerIx) {
        self.hosts.destroy_guest(ix, index, self.now);
        self.remove_server(index);
    }

    /// Removes Nova's record of a server with all dependent records. Guests are not touched.
    pub(crate) fn remove_server(&mut self, index: ServerIx) {
        let Some(server) = self.servers.remove(index) else {
            return;
        };
        self.migrations.remove_server(server.id);
        if let Some(ix) = server.host {
            self.hosts[ix].servers.remove(&index);
        }
        for ix in self.hosts.indexes() {
            self.hosts[ix].release(index);
        }
    }
}
