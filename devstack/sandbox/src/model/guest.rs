//! The only writers of guests and of the ledger.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::host::{Guest, GuestPower, Hosts};
use crate::model::{HostIx, ServerNo};
use crate::region_time::RegionTime;

impl Hosts {
    /// Puts a guest into a power state on a machine, defining it there if need be.
    pub(crate) fn set_guest(
        &mut self,
        ix: HostIx,
        no: ServerNo,
        server_id: Uuid,
        power: GuestPower,
        now: RegionTime,
    ) {
        let host = &mut self[ix];
        // A machine without power executes nothing, whatever was asked of it.
        let power = if host.power || !power.executes() {
            power
        } else {
            GuestPower::Shutoff
        };
        host.guests.insert(no, Guest { server_id, power });
        let name = Arc::clone(&host.name);
        if power.executes() {
            self.ledger.start(server_id, &name, now);
        } else {
            self.ledger.stop(server_id, &name, now);
        }
    }

    /// Removes a guest from a machine.
    pub(crate) fn destroy_guest(&mut self, ix: HostIx, no: ServerNo, now: RegionTime) {
        let host = &mut self[ix];
        if let Some(guest) = host.guests.remove(&no) {
            let name = Arc::clone(&host.name);
            self.ledger.stop(guest.server_id, &name, now);
        }
    }

    /// Ends a guest that executes, without anybody having asked for it.
    pub(crate) fn crash_guest(&mut self, ix: HostIx, no: ServerNo, now: RegionTime) {
        let running = self[ix]
            .guests
            .get(&no)
            .filter(|guest| guest.power.executes())
            .copied();
        if let Some(guest) = running {
            self.set_guest(ix, no, guest.server_id, GuestPower::Shutoff, now);
        }
    }
}
