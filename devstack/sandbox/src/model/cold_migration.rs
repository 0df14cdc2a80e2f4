//! Cold migrations of stopped or running servers to another host, where they wait for confirmation.

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::evacuate::{no_such_server, wrong_state};
use crate::model::host::GuestPower;
use crate::model::migration::{MigrationKind, MigrationStatus, Relocation};
use crate::model::server::{TaskState, VmState};
use crate::model::{Caller, Refusal, State, World};

impl State {
    /// Accepts a cold migration to a host of the scheduler's choice.
    pub(crate) fn migrate(&mut self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        caller.require_admin("os_compute_api:os-migrate-server:migrate")?;
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        if !matches!(server.vm_state, VmState::Active | VmState::Stopped) {
            return Err(wrong_state("migrate", id, "vm_state", server.vm_state.as_str()));
        }
        if let Some(task) = server.task_state {
            return Err(wrong_state("migrate", id, "task_state", task.as_str()));
        }
        let Some(source) = server.host else {
            return Err(no_such_server(id));
        };
        let dest = self.schedule(index, Some(source)).ok_or_else(|| {
            Refusal::bad_request("No valid host was found. There are not enough hosts available.")
        })?;
        self.log_action(index, caller, "migrate");
        self.allocate(dest, index);
        let world = &mut self.world;
        let migration = world.record_move(
            index,
            source,
            dest,
            MigrationKind::Migration,
            MigrationStatus::Migrating,
        );
        world.servers.edit(index, world.now, |server| {
            server.task_state = Some(TaskState::ResizeMigrating);
        });
        let cold = Relocation {
            server: index,
            server_id: id,
            source,
            source_incarnation: world.hosts[source].incarnation,
            dest,
            dest_incarnation: world.hosts[dest].incarnation,
            migration,
        };
        let at = world.now.after(world.settings.live_migration_time);
        world.agenda.plan(at, Event::ColdArrive { cold });
        Ok(())
    }

    /// Confirms a finished migration, and removes the server's remains from the source.
    pub(crate) fn confirm_resize(&mut self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        if server.vm_state != VmState::Resized || server.task_state.is_some() {
            return Err(wrong_state(
                "confirmResize",
                id,
                "vm_state",
                server.vm_state.as_str(),
            ));
        }
        let Some(dest) = server.host else {
            return Err(no_such_server(id));
        };
        let world = &self.world;
        let mut records = world.migrations.of_server(id);
        let record = records.find(|row| row.status == MigrationStatus::Finished);
        let Some((migration, source)) = record.map(|row| (row.id, row.source_compute.clone())) else {
            return Err(Refusal::bad_request("Instance has not been resized or migrated."));
        };
        drop(records);
        self.log_action(index, caller, "confirmResize");
        let world = &mut self.world;
        if let Some(source) = world.hosts.find(&source) {
            world.hosts.destroy_guest(source, index, world.now);
            world.hosts[source].release(index);
        }
        let runs = world.hosts[dest]
            .guest(index)
            .is_some_and(GuestPower::is_executing);
        world
            .migrations
            .set_status(migration, MigrationStatus::Confirmed, world.now);
        world.servers.edit(index, world.now, |server| {
            server.vm_state = if runs { VmState::Active } else { VmState::Stopped };
        });
        Ok(())
    }
}

impl World {
    /// Finishes the move at the destination. If either host has died meanwhile, the record does not change.
    pub(crate) fn cold_arrive(&mut self, cold: &Relocation) {
        let alive = self.hosts[cold.source].works_since(cold.source_incarnation)
            && self.hosts[cold.dest].works_since(cold.dest_incarnation);
        let Some(server) = self.servers.get(cold.server).filter(|_| alive) else {
            return;
        };
        let runs = server.vm_state == VmState::Active;
        let power = if runs {
            GuestPower::Running
        } else {
            GuestPower::Shutoff
        };
        self.hosts.destroy_guest(cold.source, cold.server, self.now);
        self.hosts[cold.source].servers.remove(&cold.server);
        self.hosts[cold.dest].servers.insert(cold.server);
        self.hosts
            .set_guest(cold.dest, cold.server, cold.server_id, power, self.now);
        let dest = cold.dest;
        self.servers.edit(cold.server, self.now, |server| {
            server.host = Some(dest);
            server.vm_state = VmState::Resized;
            server.task_state = None;
            server.power_state = power.power_state();
        });
        self.migrations
            .set_status(cold.migration, MigrationStatus::Finished, self.now);
    }
}
