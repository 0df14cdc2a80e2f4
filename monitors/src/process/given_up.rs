//! Processes that were reported and are not running again yet, so that a restarted monitor does not report them again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tachi_spool::Stamp;

use crate::clock::Clock;

/// The reported processes, each with the time of the report. Shared between clones.
#[derive(Debug, Clone)]
pub(super) struct GivenUp {
    path: PathBuf,
    clock: Clock,
    names: Arc<Mutex<BTreeMap<String, Stamp>>>,
}

/// The contents of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredNames {
    Dated(BTreeMap<String, Stamp>),
    /// The format of older versions.
    Names(Vec<String>),
}

impl GivenUp {
    /// Reads the stored names. On an error, starts empty; the API rejects the duplicate report.
    pub(super) fn open(path: PathBuf, clock: &Clock) -> Self {
        let names = match std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(StoredNames::Dated(names))) => names,
            Ok(Ok(StoredNames::Names(names))) => {
                names.into_iter().map(|name| (name, clock.stamp())).collect()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, path = %path.display(), "failed to read the reported processes; starting empty");
                BTreeMap::new()
            }
            Err(_) => BTreeMap::new(),
        };
        Self {
            path,
            clock: clock.clone(),
            names: Arc::new(Mutex::new(names)),
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Stamp>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all names, each with the time of its report.
    pub(super) fn all(&self) -> BTreeMap<String, Stamp> {
        self.names().clone()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().contains_key(name)
    }

    pub(super) fn add(&self, name: &str) {
        let mut names = self.names();
        if !names.contains_key(name) {
            names.insert(name.to_owned(), self.clock.stamp());
            self.write(&names);
        }
    }

    pub(super) fn remove(&self, name: &str) {
        self.retain(|one| one != name);
    }

    /// Forgets the processes that are not to be kept.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut names = self.names();
        let before = names.len();
        names.retain(|name, _| keep(name));
        if names.len() != before {
            self.write(&names);
        }
    }

    fn write(&self, names: &BTreeMap<String, Stamp>) {
        if let Err(error) = replace(&self.path, &serde_json::to_vec(names).unwrap_or_default()) {
            tracing::warn!(%error, path = %self.path.display(), "failed to save the reported processes");
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_is_remembered_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given-up.json");
        let clock = Clock::new();
        let given_up = GivenUp::open(path.clone(), &clock);
        given_up.add("a");
        given_up.add("b");
        given_up.add("c");
        given_up.remove("a");
        given_up.retain(|name| name != "c");
        let reported = given_up.all();
        let given_up = GivenUp::open(path.clone(), &clock);
        assert_eq!(reported.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(given_up.all(), reported, "with the time of the report");
        std::fs::write(&path, b"[\"d\"]").unwrap();
        assert!(GivenUp::open(path.clone(), &clock).has("d"), "an older version's");
        std::fs::write(&path, b"[1").unwrap();
        assert!(!GivenUp::open(path, &clock).has("b"));
    }
}
