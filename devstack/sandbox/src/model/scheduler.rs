//! Host choice.

use rand::Rng;

use crate::model::{HostIx, ServerNo, State};

impl State {
    /// The least loaded host that is enabled, up, in the right zone and has room; ties are broken by the seed.
    pub(crate) fn schedule(&mut self, no: ServerNo, exclude: Option<HostIx>) -> Option<HostIx> {
        let mut best: Vec<HostIx> = Vec::new();
        let mut most_free = 0;
        for (ix, host) in self.hosts.iter() {
            if Some(ix) == exclude || !self.admits(ix, no) {
                continue;
            }
            let free = host.ram_mb.saturating_sub(host.ram_mb_used);
            if best.is_empty() || free > most_free {
                best.clear();
                most_free = free;
            }
            if free == most_free {
                best.push(ix);
            }
        }
        match best.len() {
            0 => None,
            count => {
                let choice = self.rng.random_range(0..count);
                best.get(choice).copied()
            }
        }
    }

    /// Whether the scheduler would place the server on this host.
    pub(crate) fn admits(&self, ix: HostIx, no: ServerNo) -> bool {
        let Some(server) = self.servers.get(no) else {
            return false;
        };
        let Some(flavor) = self.flavors.get(server.flavor) else {
            return false;
        };
        let host = &self.hosts[ix];
        !host.disabled
            && self.service_up(ix)
            && host.has_room(flavor.vcpus, flavor.ram_mb)
            && server
                .pinned_zone
                .as_deref()
                .is_none_or(|zone| self.aggregates.zone_of(ix) == zone)
    }

    /// Placement's allocation of the server on a host.
    pub(crate) fn allocate(&mut self, ix: HostIx, no: ServerNo) {
        let Some(flavor) = self
            .servers
            .get(no)
            .and_then(|server| self.flavors.get(server.flavor))
        else {
            return;
        };
        let (vcpus, ram_mb) = (flavor.vcpus, flavor.ram_mb);
        self.hosts[ix].allocate(no, vcpus, ram_mb);
    }
}
