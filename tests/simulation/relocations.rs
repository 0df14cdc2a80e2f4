//! Failed instances that do not start on their host, and their cold migrations to another host.

use std::collections::BTreeSet;

use tachi_domain::nova::{MigrationType, PowerState, VmState};
use tachi_domain::recovery::MoveOrder;

use crate::journal::{Journal, RecIx};
use crate::mishap::Mishap;
use crate::nova::{HostIx, MigrationRow, Refusal, ServerIx};
use crate::world::{Event, HOSTS, World, note};

impl Journal {
    /// True if too many failed instances moved recently; otherwise counts this move.
    pub(crate) fn too_many_moves(&mut self, rec: RecIx, order: MoveOrder, now: u64) -> bool {
        let since = now.saturating_sub(u64::try_from(order.within.as_millis()).unwrap_or(u64::MAX));
        let others: BTreeSet<RecIx> = self
            .instance_moves
            .iter()
            .filter(|(of, at)| *of != rec && *at > since)
            .map(|(of, _)| *of)
            .collect();
        if others.len() >= usize::try_from(order.at_most).unwrap_or(usize::MAX) {
            return true;
        }
        self.instance_moves.push((rec, now));
        false
    }
}

impl World {
    /// True if the start of an instance fails.
    pub(crate) fn start_fails(&mut self) -> bool {
        let chaos = self.chaos();
        let Some(rng) = self.weather.faults.start_fails.as_mut() else {
            return false;
        };
        let fails = chaos && rng.percent(70);
        if fails {
            self.mishap(Mishap::StartFails);
        }
        fails
    }

    pub(crate) fn cold_migrate(&mut self, server: ServerIx) -> Result<(), Refusal> {
        let row = &self.nova.servers[server];
        if !row.exists {
            return Err(404);
        }
        if !matches!(row.vm_state, VmState::Active | VmState::Stopped) || row.task_state.is_some() {
            return Err(409);
        }
        let source = row.host;
        if self.machines[source].runs(server) {
            self.violate(format!("vm-{server} is migrated while it runs on host {source}"));
        }
        let fits = |host: &HostIx| {
            *host != source && self.nova.is_up(*host, self.now) && !self.nova.services[*host].disabled
        };
        let hosts: Vec<HostIx> = (0..HOSTS).filter(fits).collect();
        if hosts.is_empty() {
            return Err(400);
        }
        let dest = hosts[self.rng.below(hosts.len())];
        let record = self.nova.next_migration();
        self.nova.servers[server].task_state = Some("resize_migrating");
        self.nova.migrations.push(MigrationRow {
            id: record,
            server,
            kind: MigrationType::Migration,
            status: "migrating",
            source,
            dest: Some(dest),
            created: self.now,
        });
        self.mishap(Mishap::ColdMoved);
        let fails = self.chaos() && self.rng.percent(15);
        let arrives = Event::ColdArrives {
            record,
            source: (source, self.machines[source].life),
            dest: (dest, self.machines[dest].life),
            fails,
        };
        let takes = self.rng.between(500, 30_000);
        self.after(takes, arrives);
        Ok(())
    }

    /// Finishes the copy of the instance and its definition at the destination. If the source has died, the
    /// move stops.
    pub(crate) fn cold_arrives(
        &mut self,
        record: u64,
        source: (HostIx, u32),
        dest: (HostIx, u32),
        fails: bool,
    ) {
        let mut rows = self.nova.migrations.iter();
        let Some(at) = rows.position(|row| row.id == record && row.status == "migrating") else {
            return;
        };
        let server = self.nova.migrations[at].server;
        let works =
            |(host, life): (HostIx, u32)| self.machines[host].beats() && self.machines[host].life == life;
        let row = &self.nova.servers[server];
        let is_its = row.exists && row.host == source.0 && row.task_state == Some("resize_migrating");
        if !works(source) || !is_its {
            return;
        }
        if fails || !works(dest) {
            self.nova.migrations[at].status = "error";
            self.nova.servers[server].task_state = None;
            return;
        }
        self.machines[source.0].guests.remove(&server);
        self.machines[dest.0].guests.insert(server, false);
        let row = &mut self.nova.servers[server];
        row.host = dest.0;
        row.task_state = None;
        row.vm_state = VmState::Resized;
        row.power_state = PowerState::Shutdown;
        self.nova.migrations[at].status = "finished";
        self.guests_changed = true;
        note!(self, "vm-{server} is migrated to host {}", dest.0);
    }

    pub(crate) fn confirm_migration(&mut self, server: ServerIx) -> Result<(), Refusal> {
        let row = &self.nova.servers[server];
        if !row.exists {
            return Err(404);
        }
        if row.vm_state != VmState::Resized || row.task_state.is_some() {
            return Err(409);
        }
        let of_it = |row: &&mut MigrationRow| row.server == server && row.status == "finished";
        let Some(record) = self.nova.migrations.iter_mut().find(of_it) else {
            return Err(400);
        };
        record.status = "confirmed";
        let host = self.nova.servers[server].host;
        let runs = self.machines[host].runs(server);
        let row = &mut self.nova.servers[server];
        row.vm_state = if runs { VmState::Active } else { VmState::Stopped };
        Ok(())
    }
}
