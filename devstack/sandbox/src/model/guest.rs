//! Changes of guests and of the ledger; no other code writes them.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::host::{Guest, GuestPower, Hosts};
use crate::model::{HostIx, ServerIx};
use crate::region_time::RegionTime;

impl Hosts {
    /// Sets a guest's power state on a machine, and defines the guest there if necessary.
    pub(crate) fn set_guest(
        &mut self,
        ix: HostIx,
        index: ServerIx,
        server_id: Uuid,
        power: GuestPower,
        now: RegionTime,
    ) {
        let host = &mut self[ix];
        // A machine without power executes nothing, whatever was requested.
        let power = if host.power || !power.is_executing() {
            power
        } else {
            GuestPower::Shutoff
        };
        host.guests.insert(index, Guest { server_id, power });
        let name = Arc::clone(&host.name);
        if power.is_executing() {
            self.ledger.start(server_id, &name, now);
        } else {
            self.ledger.stop(server_id, &name, now);
        }
    }

    pub(crate) fn destroy_guest(&mut self, ix: HostIx, index: ServerIx, now: RegionTime) {
        let host = &mut self[ix];
        if let Some(guest) = host.guests.remove(&index) {
            let name = Arc::clone(&host.name);
            self.ledger.stop(guest.server_id, &name, now);
        }
    }

    /// Ends a running guest without a request.
    pub(crate) fn crash_guest(&mut self, ix: HostIx, index: ServerIx, now: RegionTime) {
        let running = self[ix]
            .guests
            .get(&index)
            .filter(|guest| guest.power.is_executing())
            .copied();
        if let Some(guest) = running {
            self.set_guest(ix, index, guest.server_id, GuestPower::Shutoff, now);
        }
    }
}
