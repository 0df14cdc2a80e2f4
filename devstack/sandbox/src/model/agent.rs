//! The start of nova-compute.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::agenda::Event;
use crate::model::host::GuestPower;
use crate::model::migration::{MigrationKind, MigrationStatus};
use crate::model::server::{TaskState, VmState};
use crate::model::{HostIx, ServerIx, World};

impl World {
    /// Starts nova-compute on a machine that has power, unless it is running.
    pub(crate) fn start_agent(&mut self, ix: HostIx) {
        let (now, interval) = (self.now, self.settings.report_interval);
        let host = &mut self.hosts[ix];
        if !host.power || host.agent.is_some() {
            return;
        }
        host.agent = Some(now);
        host.refresh_heartbeat(now, interval);
        let incarnation = host.incarnation;
        let evacuated = self.destroy_evacuated(ix);
        self.destroy_deleted(ix);
        self.init_instances(ix, &evacuated);
        let at = now.after(self.settings.power_sync_interval);
        self.agenda.plan(
            at,
            Event::PowerSync {
                host: ix,
                incarnation,
            },
        );
        if self.hosts[ix].reachable() {
            self.drain_queue(ix);
        }
    }

    /// Destroys the guests that were evacuated, even those whose evacuation is still under way, and marks the records.
    ///
    /// Nova keeps one record per instance here, the last one, and completes only that; with two `done` records of one
    /// instance the older one stays `done` until the next start.
    fn destroy_evacuated(&mut self, ix: HostIx) -> BTreeSet<ServerIx> {
        let name = std::sync::Arc::clone(&self.hosts[ix].name);
        let records: BTreeMap<ServerIx, u64> = self
            .migrations
            .of_source(&name)
            .filter(|row| row.kind == MigrationKind::Evacuation)
            .filter(|row| {
                matches!(
                    row.status,
                    MigrationStatus::Accepted | MigrationStatus::PreMigrating | MigrationStatus::Done
                )
            })
            .map(|row| (row.server, row.id))
            .collect();
        for (index, migration) in &records {
            self.hosts.destroy_guest(ix, *index, self.now);
            self.hosts[ix].release(*index);
            self.migrations
                .set_status(*migration, MigrationStatus::Completed, self.now);
        }
        records.into_keys().collect()
    }

    /// Destroys guests whose server was deleted while the host was down.
    fn destroy_deleted(&mut self, ix: HostIx) {
        let orphans: Vec<ServerIx> = self.hosts[ix]
            .guests
            .keys()
            .copied()
            .filter(|index| self.servers.get(*index).is_none())
            .collect();
        for index in orphans {
            self.hosts.destroy_guest(ix, index, self.now);
        }
    }

    fn init_instances(&mut self, ix: HostIx, evacuated: &BTreeSet<ServerIx>) {
        let own: Vec<ServerIx> = self.hosts[ix].servers.difference(evacuated).copied().collect();
        for index in own {
            self.init_instance(ix, index);
        }
    }

    fn init_instance(&mut self, ix: HostIx, index: ServerIx) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        let (id, vm_state, task_state, believed) =
            (server.id, server.vm_state, server.task_state, server.power_state);
        if vm_state == VmState::Error && task_state != Some(TaskState::Deleting) {
            return;
        }
        let lost_rebuild = matches!(vm_state, VmState::Active | VmState::Stopped)
            && task_state.is_some_and(TaskState::is_rebuild);
        if vm_state == VmState::Building || lost_rebuild {
            self.servers.edit(index, self.now, |server| {
                server.vm_state = VmState::Error;
                server.task_state = None;
            });
            return;
        }
        match task_state {
            Some(TaskState::Deleting) => self.terminate_instance(ix, index),
            Some(TaskState::PoweringOff) => self.stop_instance(ix, index, id),
            Some(TaskState::PoweringOn) => self.start_instance(ix, index, id),
            Some(TaskState::Rebooting) => self.reboot_instance(ix, index, id, false),
            Some(TaskState::RebootingHard) => self.reboot_instance(ix, index, id, true),
            Some(TaskState::Migrating) => self
                .servers
                .edit(index, self.now, |server| server.task_state = None),
            _ => {
                let off = self.hosts[ix]
                    .guest(index)
                    .is_none_or(|power| !power.is_executing());
                if self.settings.resume_guests && off && believed == GuestPower::Running.power_state() {
                    self.hosts.set_guest(ix, index, id, GuestPower::Running, self.now);
                }
            }
        }
    }

    /// Records guests that are shut down as stopped, as Nova's periodic power sync does.
    pub(crate) fn sync_power(&mut self, ix: HostIx, incarnation: u64) {
        if self.hosts[ix].incarnation != incarnation || !self.hosts[ix].reachable() {
            return;
        }
        let own: Vec<ServerIx> = self.hosts[ix].servers.iter().copied().collect();
        for index in own {
            let off = self.hosts[ix]
                .guest(index)
                .is_none_or(|power| !power.is_executing());
            let idle_and_active = self
                .servers
                .get(index)
                .is_some_and(|server| server.vm_state == VmState::Active && server.task_state.is_none());
            if off && idle_and_active {
                self.servers.edit(index, self.now, |server| {
                    server.vm_state = VmState::Stopped;
                    server.power_state = GuestPower::Shutoff.power_state();
                });
                self.log_action(index, None, "stop");
            }
        }
    }
}
