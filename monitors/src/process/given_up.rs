//! Processes that were reported and are not running again yet, so that a restarted monitor does not report them again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reported processes, shared between clones.
#[derive(Debug, Clone)]
pub(super) struct GivenUp {
    path: PathBuf,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl GivenUp {
    /// Reads the stored names. On an error, starts empty; the API rejects the duplicate report.
    pub(super) fn open(path: PathBuf) -> Self {
        let names = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "failed to read the reported processes; starting empty");
                BTreeSet::new()
            }),
            Err(_) => BTreeSet::new(),
        };
        Self {
            path,
            names: Arc::new(Mutex::new(names)),
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().contains(name)
    }

    pub(super) fn add(&self, name: &str) {
        let mut names = self.names();
        if names.insert(name.to_owned()) {
            self.write(&names);
        }
    }

    pub(super) fn remove(&self, name: &str) {
        let mut names = self.names();
        if names.remove(name) {
            self.write(&names);
        }
    }

    fn write(&self, names: &BTreeSet<String>) {
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
        let given_up = GivenUp::open(path.clone());
        given_up.add("a");
        given_up.add("b");
        given_up.remove("a");
        let given_up = GivenUp::open(path.clone());
        assert!(given_up.has("b") && !given_up.has("a"));
        std::fs::write(&path, b"[1").unwrap();
        assert!(!GivenUp::open(path).has("b"));
    }
}
