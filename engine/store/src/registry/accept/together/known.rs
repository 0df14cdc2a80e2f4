//! Which id a host's name has had, so that its row can be taken at once, without looking for the id first.
//!
//! A guess and no more: whoever took the row by it reads the host afresh, and by its name of that moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::entity::host;

/// More names than this are not kept: a cloud has fewer hosts, and a client cannot make us remember what is no host.
const MOST: usize = 20_000;

/// Ids by name.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<String, String>>);

impl Known {
    /// The ids of all these names; `None` if one is not known.
    pub(super) fn of(&self, names: &[&str]) -> Option<Vec<String>> {
        let known = self.known();
        names.iter().map(|name| known.get(*name).cloned()).collect()
    }

    /// Keeps the ids of these hosts.
    pub(super) fn learn(&self, hosts: &[host::Model]) {
        let mut known = self.known();
        if known.len() + hosts.len() > MOST {
            known.clear();
        }
        known.extend(hosts.iter().map(|host| (host.name.clone(), host.uuid.clone())));
    }

    /// Something has turned out to be wrong: all is learned anew.
    pub(super) fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, String>> {
        // Nothing that is done under the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
