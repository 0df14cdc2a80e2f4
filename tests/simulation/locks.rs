//! Owners lock their instances, too, and no recovery may remove such a lock (R12).

use crate::mishap::Mishap;
use crate::nova::ServerIx;
use crate::world::{World, note};

const OWNERS: &str = "mine";

/// What is decided was seen so long ago at most: a look, a slow commit, and the way of the call.
const SEEN: u64 = 10_000;

impl World {
    /// Its owner locks an instance; on top of another lock that changes nothing.
    pub(crate) fn owner_locks(&mut self, server: ServerIx) {
        let now = self.now;
        let row = &mut self.nova.servers[server];
        if row.exists && row.locked.is_none() {
            row.locked = Some(OWNERS.into());
            row.locked_at = now;
            self.mishap(Mishap::OwnerLocks);
            note!(self, "the owner of vm-{server} locks it");
        }
    }

    /// An unlocking takes effect. One that nobody expects any more cannot be held back, and an engine that is stopped acts on what it
    /// saw before.
    pub(crate) fn check_unlock(&mut self, server: ServerIx, in_time: bool) {
        let row = &self.nova.servers[server];
        let weather = &self.weather;
        let stops = !weather.pauses.is_empty() || weather.stopped > 0 || weather.stopped_at_put.is_some();
        let old = self.now.saturating_sub(row.locked_at) > SEEN;
        if row.locked.as_deref() == Some(OWNERS) && in_time && old && !stops {
            self.violate(format!("the owner's lock of vm-{server} is taken off (R12)"));
        }
    }
}
