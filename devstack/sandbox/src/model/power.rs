//! Power, link and process of a hypervisor.

use crate::model::agenda::Event;
use crate::model::host::GuestPower;
use crate::model::{HostIx, ServerIx, World};

impl World {
    /// Cuts the power: guests and nova-compute end at once.
    pub(crate) fn power_off(&mut self, ix: HostIx) {
        if !self.hosts[ix].power {
            return;
        }
        let running: Vec<(ServerIx, uuid::Uuid)> = self.hosts[ix]
            .guests
            .iter()
            .filter(|(_, guest)| guest.power.is_executing())
            .map(|(index, guest)| (*index, guest.server_id))
            .collect();
        for (index, server_id) in running {
            self.hosts
                .set_guest(ix, index, server_id, GuestPower::Shutoff, self.now);
        }
        self.hosts[ix].power = false;
        self.end_agent(ix);
    }

    /// Restores the power; nova-compute starts after the boot. Has no effect on a machine that is on.
    pub(crate) fn power_on(&mut self, ix: HostIx) {
        let host = &mut self.hosts[ix];
        if host.power {
            return;
        }
        host.power = true;
        if host.agent_at_boot {
            let (at, incarnation) = (self.now.after(self.settings.boot_time), host.incarnation);
            self.agenda.plan(
                at,
                Event::AgentStart {
                    host: ix,
                    incarnation,
                },
            );
        }
    }

    /// Stops nova-compute. Guests keep running if the machine does.
    pub(crate) fn end_agent(&mut self, ix: HostIx) {
        let (now, interval) = (self.now, self.settings.report_interval);
        let host = &mut self.hosts[ix];
        host.agent = None;
        host.incarnation += 1;
        host.rebuilding = 0;
        host.concurrent_rebuilds.clear();
        // Messages that waited for a free slot were not started: the broker redelivers them.
        let waiting: Vec<_> = host.waiting.drain(..).collect();
        host.queue.extend(
            waiting
                .into_iter()
                .map(crate::model::cast::RebuildOrder::into_cast),
        );
        host.refresh_heartbeat(now, interval);
    }

    /// Cuts or restores the link to the control network. Guests and nova-compute keep running; heartbeat and messages stop.
    pub(crate) fn set_link(&mut self, ix: HostIx, up: bool) {
        let (now, interval) = (self.now, self.settings.report_interval);
        let host = &mut self.hosts[ix];
        host.link = up;
        host.refresh_heartbeat(now, interval);
        if host.reachable() {
            self.drain_queue(ix);
        }
    }

    /// Cuts the power of a rack, including its BMCs.
    pub(crate) fn lose_rack(&mut self, rack: &str) -> usize {
        let members: Vec<HostIx> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.rack == rack)
            .map(|(ix, _)| ix)
            .collect();
        for ix in &members {
            self.power_off(*ix);
            self.hosts[*ix].machine.bmc_powered = false;
        }
        members.len()
    }

    /// Restores the power of a rack; machines stay off until they are switched on.
    pub(crate) fn restore_rack(&mut self, rack: &str) {
        for ix in self.hosts.indexes() {
            let host = &mut self.hosts[ix];
            if host.rack == rack {
                host.machine.bmc_powered = true;
            }
        }
    }
}
