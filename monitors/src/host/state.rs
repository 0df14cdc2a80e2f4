//! The state of a bridge on disk.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tachi_pacemaker::{History, Ledger};

use crate::failure::Failure;

const NAME: &str = "pacemaker.json";

/// The observations and the reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The observations.
    #[serde(default)]
    pub(crate) history: History,
    /// The reports.
    #[serde(default)]
    pub(crate) ledger: Ledger,
}

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    folder: PathBuf,
}

impl File {
    /// Returns the file in this folder. The folder is created by the first save, so that a read-only disk does not
    /// prevent a start.
    pub(crate) fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Loads the state; `None` if the file is damaged. Changes nothing.
    pub(crate) fn load(&self) -> Result<Option<Memory>, Failure> {
        let path = self.folder.join(NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(Memory::default())),
            Err(error) => return Err(Failure::new(format!("reading {}", path.display()), error)),
        };
        match serde_json::from_slice(&text) {
            Ok(memory) => Ok(Some(memory)),
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "failed to read the bridge's state; starting without it");
                Ok(None)
            }
        }
    }

    /// Moves a damaged file aside: without it only proven failures are reported, while a bridge that does not start
    /// reports nothing at all.
    pub(crate) fn move_aside(&self) -> Result<(), Failure> {
        let path = self.folder.join(NAME);
        let damaged = self.folder.join(format!("{NAME}.damaged"));
        std::fs::rename(&path, &damaged)
            .map_err(|error| Failure::new(format!("moving {} aside", path.display()), error))
    }

    /// Saves the state. It is on the disk when this returns.
    pub(crate) fn save(&self, memory: &Memory) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let fresh = self.folder.join(format!("{NAME}.new"));
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(memory)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.folder.join(NAME))?;
        std::fs::File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW7.
    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::open(&folder.path().join("host"));
        assert_eq!(file.load().unwrap(), Some(Memory::default()));
        let at = tachi_pacemaker::parse_time("2026-11-20T07:06:43.123456Z").unwrap();
        let memory = Memory {
            history: History::default().with_last_up("cmp1", at),
            ..Memory::default()
        };
        file.save(&memory).unwrap();
        assert_eq!(file.load().unwrap(), Some(memory));
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::open(folder.path());
        std::fs::write(folder.path().join(NAME), b"{\"history\": {\"nodes\"").unwrap();
        assert_eq!(file.load().unwrap(), None);
        file.move_aside().unwrap();
        assert!(folder.path().join("pacemaker.json.damaged").exists());
        assert_eq!(file.load().unwrap(), Some(Memory::default()));
    }

    #[test]
    fn a_file_torn_by_a_crash_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::open(folder.path());
        std::fs::write(folder.path().join("pacemaker.json.new"), b"{").unwrap();
        assert_eq!(file.load().unwrap(), Some(Memory::default()));
    }
}
