//! Deletion of a dead host's service record by an operator, who also reinstalls the machine. The next start of
//! its nova-compute creates a new record, enabled and not forced down. Nova refuses the deletion for a host
//! with instances or open migrations, but cannot prevent an edit of its database.

use crate::mishap::Mishap;
use crate::nova::{HostIx, MigrationRow, ServiceRow, unfinished};
use crate::world::{Event, World, note};

/// Interval between an operator's attempts, in ms.
const ATTEMPT_INTERVAL: u64 = 5_000;

/// Minimum time until the machine is reinstalled; the maximum is twice that, in ms.
const MIN_REINSTALL_TIME: u64 = 300_000;

impl World {
    pub(crate) fn plan_registering(&mut self) {
        if let Some(at) = self.weather.faults.registered {
            self.at(at, Event::DeletesService { host: 0 });
        }
    }

    pub(crate) fn deletes_service(&mut self, host: HostIx) {
        let Some(planned) = self.weather.faults.registered else {
            return;
        };
        let over = self.now > self.weather.chaos_end + 100_000;
        if over || self.nova.services[host].gone {
            return;
        }
        // After a refusal, one operator in four edits the database.
        let edits = planned.is_multiple_of(4);
        let moves = |row: &MigrationRow| {
            let of_it = row.source == host || row.dest == Some(host);
            of_it && (row.status == "finished" || (row.status != "accepted" && unfinished(row.status)))
        };
        let empty = self.nova.servers_on(host).is_empty() && !self.nova.migrations.iter().any(moves);
        if self.machines[host].beats() || !(empty || edits) {
            return self.after(ATTEMPT_INTERVAL, Event::DeletesService { host });
        }
        note!(
            self,
            "an operator deletes the compute service of host {host} in Nova; it is empty: {empty}"
        );
        self.mishap(Mishap::ServiceDeleted);
        self.nova.services[host].gone = true;
        self.after(
            MIN_REINSTALL_TIME + planned % MIN_REINSTALL_TIME,
            Event::Reinstalls { host },
        );
    }

    /// Reinstalls the machine; its guests and disks are lost.
    pub(crate) fn reinstalls(&mut self, host: HostIx) {
        if self.machines[host].beats() || !self.nova.services[host].gone {
            return;
        }
        if self.machines[host].powered {
            self.power_off(host, "to be reinstalled");
        }
        self.machines[host].guests.clear();
        self.boot(host);
    }

    /// Starts nova-compute, which finds no service record.
    pub(crate) fn registers(&mut self, host: HostIx) {
        let row = &mut self.nova.services[host];
        if !row.gone {
            return;
        }
        *row = ServiceRow {
            registered: row.registered + 1,
            registered_at: self.now,
            ..ServiceRow::default()
        };
        note!(self, "the compute service of host {host} is registered again");
        self.mishap(Mishap::ServiceRegistered);
    }
}
