//! A cache of hosts' ids by name, so that a host's lock can be taken without a query for its id.
//!
//! The cache may be wrong: after taking the lock, the caller reads the host again by its current name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::entity::host;

/// Limit of cached names. A cloud has fewer hosts, and clients cannot fill the memory with names that are not hosts.
const MAX_NAMES: usize = 20_000;

#[derive(Default)]
pub(super) struct NameCache(Mutex<HashMap<String, String>>);

impl NameCache {
    /// Returns the ids of all these names; `None` if one is missing.
    pub(super) fn of(&self, names: &[&str]) -> Option<Vec<String>> {
        let known = self.known();
        names.iter().map(|name| known.get(*name).cloned()).collect()
    }

    /// Caches the ids of these hosts.
    pub(super) fn remember(&self, hosts: &[host::Model]) {
        let mut known = self.known();
        if known.len() + hosts.len() > MAX_NAMES {
            known.clear();
        }
        known.extend(hosts.iter().map(|host| (host.name.clone(), host.uuid.clone())));
    }

    /// Clears the cache after an entry has turned out to be wrong.
    pub(super) fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, String>> {
        // No code under this lock can leave the cache in an inconsistent state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
