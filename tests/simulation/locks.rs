//! Locks by owners of instances, which no recovery may remove (R12).

use crate::mishap::Mishap;
use crate::nova::ServerIx;
use crate::world::{World, note};

const OWNERS: &str = "mine";

/// Maximum age of the observation behind an unlock, including a slow commit and the call, in ms.
const MAX_OBSERVATION_AGE: u64 = 10_000;

impl World {
    /// Locks an instance for its owner; without effect if it is locked already.
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

    /// Applies an unlock. Expired calls cannot be held back, and a stopped engine acts on stale observations.
    pub(crate) fn check_unlock(&mut self, server: ServerIx, in_time: bool) {
        let row = &self.nova.servers[server];
        let weather = &self.weather;
        let stops = !weather.pauses.is_empty() || weather.stopped > 0 || weather.stopped_at_put.is_some();
        let old = self.now.saturating_sub(row.locked_at) > MAX_OBSERVATION_AGE;
        if row.locked.as_deref() == Some(OWNERS) && in_time && old && !stops {
            self.violate(format!("the owner's lock of vm-{server} is removed (R12)"));
        }
    }
}
