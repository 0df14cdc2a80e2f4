//! The guests of this host as last seen, on disk.
//!
//! libvirt does not report events from before a connection. The running guests are therefore written and synced before
//! any report about them, and compared with the current ones after a reconnect.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::saved::{self, SavedError};

/// The version of the format. An inventory of another version is not used.
const VERSION: u32 = 1;
/// The name of the file.
const NAME: &str = "guests.json";

/// A guest's state, as far as decisions depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestState {
    /// The guest has a process on this host.
    Up,
    /// The guest's memory is migrating from another host, where the guest still runs.
    Incoming,
    /// The guest panicked; it is unknown whether libvirt ends, restarts or keeps it.
    Panicked,
    /// The guest died, and the report is being sent. If this process dies now, the report is repeated with the same
    /// time, by which the API detects the duplicate.
    Dying {
        /// The time of the observation, in microseconds since the epoch.
        #[serde(rename = "seen")]
        died_at: i64,
    },
    /// The guest is not running because it died; it was reported, or found in this state at first.
    Dead,
    /// The guest is not running on purpose, as far as known.
    Down,
}

/// A shutdown that the guest has requested itself, such as `poweroff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OwnShutdown {
    /// The guest has requested it, and has not ended yet.
    Requested,
    /// The guest has ended, and was not started since.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guest {
    /// The name, for the log.
    pub(crate) name: String,
    /// True for one of Nova's instances.
    pub(crate) nova: bool,
    /// True if its definition is persistent.
    pub(crate) persistent: bool,
    pub(crate) life: GuestState,
    /// True if a disk fault or its watchdog has paused it; reported, or found in this state at first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) halted: bool,
    /// The guest's own shutdown, if that was the last thing that was observed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_shutdown: Option<OwnShutdown>,
}

/// All guests of this host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Inventory {
    version: u32,
    /// The boot's id. A guest of another boot is not running now, and the host monitors report the reason.
    boot: String,
    /// The guests by UUID, which is the instance's.
    pub(crate) guests: BTreeMap<Uuid, Guest>,
}

/// The inventory on disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The guests of this boot.
    Loaded(Inventory),
    /// There is nothing to compare with, for this reason.
    Nothing(&'static str),
}

impl Inventory {
    /// Creates an inventory without guests, for this boot.
    pub(crate) fn new(boot: &str) -> Self {
        Self {
            version: VERSION,
            boot: boot.to_owned(),
            guests: BTreeMap::new(),
        }
    }

    /// Reads the last inventory.
    pub(crate) fn read(folder: &Path, boot: &str) -> Result<Found, SavedError> {
        let path = folder.join(NAME);
        if !path.exists() {
            return Ok(Found::Nothing("there is no list of guests yet"));
        }
        let Some(inventory) = saved::read::<Self>(&path)? else {
            return Ok(Found::Nothing("the list of guests cannot be parsed"));
        };
        if inventory.version != VERSION {
            return Ok(Found::Nothing("the list of guests has another version"));
        }
        if inventory.boot != boot {
            return Ok(Found::Nothing("the machine has been rebooted since"));
        }
        Ok(Found::Loaded(inventory))
    }

    /// Writes the inventory so that it survives a crash.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), SavedError> {
        saved::write(&folder.join(NAME), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Inventory {
        let mut inventory = Inventory::new("boot-a");
        for (number, life) in [
            (1, GuestState::Up),
            (2, GuestState::Dying { died_at: 17 }),
            (3, GuestState::Down),
            (4, GuestState::Incoming),
            (5, GuestState::Panicked),
        ] {
            let guest = Guest {
                name: format!("instance-{number}"),
                nova: true,
                persistent: true,
                life,
                halted: false,
                own_shutdown: None,
            };
            inventory.guests.insert(Uuid::from_u128(number), guest);
        }
        inventory
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        some().write(folder.path()).unwrap();
        assert_eq!(
            Inventory::read(folder.path(), "boot-a").unwrap(),
            Found::Loaded(some())
        );
    }

    /// Covers MW5.
    #[test]
    fn what_cannot_be_compared_with_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = |why| Found::Nothing(why);
        let read = |boot| Inventory::read(folder.path(), boot).unwrap();
        assert_eq!(read("boot-a"), nothing("there is no list of guests yet"));
        some().write(folder.path()).unwrap();
        assert_eq!(read("boot-b"), nothing("the machine has been rebooted since"));
        let path = folder.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\":1", "\"version\":2")).unwrap();
        assert_eq!(read("boot-a"), nothing("the list of guests has another version"));
        std::fs::write(&path, text.get(..text.len() / 2).unwrap()).unwrap();
        assert_eq!(read("boot-a"), nothing("the list of guests cannot be parsed"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(Inventory::read(folder.path(), "boot-a").is_err());
    }
}
