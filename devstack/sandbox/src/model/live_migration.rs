//! Live migrations, complete and interrupted.

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::cast::{Cast, CastKind};
use crate::model::evacuate::{no_such_server, wrong_state};
use crate::model::fault::MoveFault;
use crate::model::host::GuestPower;
use crate::model::migration::{Migration, MigrationKind, MigrationStatus, Relocation};
use crate::model::server::{TaskState, VmState};
use crate::model::{Caller, HostIx, Refusal, ServerIx, State, World};

impl State {
    /// Aborts a live migration. After the switch to the destination it is refused.
    pub(crate) fn abort_live_migration(
        &mut self,
        caller: &Caller,
        id: Uuid,
        migration: u64,
    ) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        caller.require_admin("os_compute_api:servers:migrations:delete")?;
        let row = self
            .world
            .migrations
            .of_server(id)
            .find(|row| row.id == migration);
        let Some(row) = row.filter(|row| row.kind == MigrationKind::LiveMigration) else {
            return Err(Refusal::not_found(format!(
                "Live migration {migration} for server {id} not found."
            )));
        };
        if row.status != MigrationStatus::Preparing {
            let status = row.status.as_str();
            return Err(Refusal::bad_request(format!(
                "Migration {migration} state of instance {id} is {status}. Cannot abort while the migration is in this state."
            )));
        }
        let now = self.world.now;
        let world = &mut self.world;
        world
            .migrations
            .set_status(migration, MigrationStatus::Cancelled, now);
        world.servers.edit(index, now, |server| server.task_state = None);
        Ok(())
    }

    /// Accepts a live migration of a running server.
    pub(crate) fn live_migrate(
        &mut self,
        caller: &Caller,
        id: Uuid,
        host: Option<&str>,
    ) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        caller.require_admin("os_compute_api:os-migrate-server:migrate_live")?;
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        if !matches!(server.vm_state, VmState::Active | VmState::Paused) {
            return Err(wrong_state(
                "os-migrateLive",
                id,
                "vm_state",
                server.vm_state.as_str(),
            ));
        }
        if let Some(task) = server.task_state {
            return Err(wrong_state("os-migrateLive", id, "task_state", task.as_str()));
        }
        let Some(source) = server.host else {
            return Err(no_such_server(id));
        };
        if !self.service_up(source) {
            let name = &self.world.hosts[source].name;
            return Err(Refusal::bad_request(format!(
                "Compute service of {name} is unavailable at this time."
            )));
        }
        let dest = match host {
            Some(name) => self
                .world
                .hosts
                .find(name)
                .filter(|ix| *ix != source && self.accepts(*ix, index))
                .ok_or_else(|| Refusal::bad_request(format!("Compute host {name} could not be found.")))?,
            None => self.schedule(index, Some(source)).ok_or_else(|| {
                Refusal::bad_request("No valid host was found. There are not enough hosts available.")
            })?,
        };
        if self.world.faults.at_conductor(id, MoveFault::LiveRefused) {
            return Err(Refusal::bad_request(
                "Instance has PCI devices that cannot be migrated: live migration is not possible.",
            ));
        }
        self.log_action(index, caller, "live-migration");
        self.allocate(dest, index);
        let migration = self.world.record_move(
            index,
            source,
            dest,
            MigrationKind::LiveMigration,
            MigrationStatus::Accepted,
        );
        self.world.servers.edit(index, self.world.now, |server| {
            server.task_state = Some(TaskState::Migrating);
        });
        let live = Box::new(Relocation {
            server: index,
            server_id: id,
            source,
            source_incarnation: self.world.hosts[source].incarnation,
            dest,
            dest_incarnation: self.world.hosts[dest].incarnation,
            migration,
        });
        // The conductor queries the destination first. A destination that has died undetected finds the query in its queue
        // when it returns.
        if self.world.hosts[dest].reachable() {
            self.world.start_copy(live);
        } else {
            self.world.ask(dest, live);
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn start_copy(&mut self, live: Box<Relocation>) {
        self.migrations
            .set_status(live.migration, MigrationStatus::Preparing, self.now);
        let at = self.now.after(self.settings.live_migration_time * 4 / 5);
        self.agenda.plan(at, Event::LiveSwitch { live });
    }

    pub(crate) fn ask(&mut self, ix: HostIx, live: Box<Relocation>) {
        let (server, server_id) = (live.server, live.server_id);
        let kind = CastKind::LiveMigrate(live);
        self.cast(
            ix,
            Cast {
                server,
                server_id,
                kind,
            },
        );
    }

    /// Continues a live migration from the queue: at the destination, which queries the source, and then
    /// at the source. No step checks if the server was evacuated meanwhile: it then ends in `error`, with
    /// the destination of the live migration as its host, while the guest runs at the destination of the evacuation.
    pub(crate) fn resume_live_migration(&mut self, ix: HostIx, mut live: Box<Relocation>) {
        let (index, source, dest) = (live.server, live.source, live.dest);
        let Some(server) = self.servers.get(index) else {
            return;
        };
        if ix == dest {
            self.ask(source, live);
            return;
        }
        if server.host == Some(source) && server.task_state == Some(TaskState::Migrating) {
            live.source_incarnation = self.hosts[source].incarnation;
            live.dest_incarnation = self.hosts[dest].incarnation;
            self.start_copy(live);
            return;
        }
        if let Some(old) = server.host {
            self.hosts[old].servers.remove(&index);
        }
        self.hosts[dest].servers.insert(index);
        self.servers
            .edit(index, self.now, |server| server.host = Some(dest));
        self.fail_server(index, "The live migration found the server elsewhere");
    }

    /// Switches the guest to the destination, after its memory was copied.
    pub(crate) fn live_switch(&mut self, live: Box<Relocation>) {
        let alive = self.hosts[live.source].works_since(live.source_incarnation)
            && self.hosts[live.dest].works_since(live.dest_incarnation);
        if !alive || self.servers.get(live.server).is_none() {
            return;
        }
        let preparing =
            |row: &Migration| row.id == live.migration && row.status == MigrationStatus::Preparing;
        if !self.migrations.of_server(live.server_id).any(preparing) {
            // It was aborted.
            return;
        }
        if self.faults.at_conductor(live.server_id, MoveFault::LiveHang) {
            return;
        }
        if self.faults.at_conductor(live.server_id, MoveFault::LiveError) {
            self.migrations
                .set_status(live.migration, MigrationStatus::Error, self.now);
            self.servers
                .edit(live.server, self.now, |server| server.task_state = None);
            return;
        }
        self.migrations
            .set_status(live.migration, MigrationStatus::Running, self.now);
        let power = self.hosts[live.source]
            .guest(live.server)
            .unwrap_or(GuestPower::Shutoff);
        self.hosts.set_guest(
            live.source,
            live.server,
            live.server_id,
            GuestPower::Shutoff,
            self.now,
        );
        self.hosts
            .set_guest(live.dest, live.server, live.server_id, power, self.now);
        let at = self.now.after(self.settings.live_migration_time / 5);
        self.agenda.plan(at, Event::LiveFinish { live });
    }

    /// The source records the guest's location. If it dies first, the record stays.
    pub(crate) fn live_finish(&mut self, live: &Relocation) {
        if !self.hosts[live.source].works_since(live.source_incarnation)
            || self.servers.get(live.server).is_none()
        {
            return;
        }
        self.hosts.destroy_guest(live.source, live.server, self.now);
        self.hosts[live.source].release(live.server);
        self.hosts[live.source].servers.remove(&live.server);
        self.hosts[live.dest].servers.insert(live.server);
        let dest = live.dest;
        self.servers.edit(live.server, self.now, |server| {
            server.host = Some(dest);
            server.task_state = None;
        });
        self.migrations
            .set_status(live.migration, MigrationStatus::Completed, self.now);
    }

    /// Creates an unfinished move: the record names `dest`, Nova still has the source, and the guest runs on the host
    /// that `guest_at_dest` selects.
    pub(crate) fn half_move(
        &mut self,
        index: ServerIx,
        dest: HostIx,
        kind: MigrationKind,
        guest_at_dest: bool,
    ) -> Option<()> {
        let server = self.servers.get(index)?;
        let (id, source) = (server.id, server.host?);
        self.record_move(index, source, dest, kind, MigrationStatus::Running);
        self.servers.edit(index, self.now, |server| {
            server.task_state = Some(TaskState::Migrating);
        });
        if guest_at_dest {
            self.hosts
                .set_guest(source, index, id, GuestPower::Shutoff, self.now);
            self.hosts
                .set_guest(dest, index, id, GuestPower::Running, self.now);
        }
        Some(())
    }

    pub(crate) fn record_move(
        &mut self,
        index: ServerIx,
        source: HostIx,
        dest: HostIx,
        kind: MigrationKind,
        status: MigrationStatus,
    ) -> u64 {
        let (id, uuid) = (self.migrations.next_id(), self.rng.uuid());
        let Some(server) = self.servers.get(index) else {
            return id;
        };
        self.migrations.insert(Migration {
            id,
            uuid,
            server: index,
            server_id: server.id,
            kind,
            status,
            source_compute: self.hosts[source].name.to_string(),
            source_node: self.hosts[source].node.clone(),
            dest_compute: Some(self.hosts[dest].name.to_string()),
            dest_node: Some(self.hosts[dest].node.clone()),
            dest_host: Some(self.hosts[dest].ip.clone()),
            created: self.now,
            updated: Some(self.now),
            user_id: server.user_id.clone(),
            project_id: server.project_id.clone(),
            flavor: server.flavor,
        });
        id
    }
}
