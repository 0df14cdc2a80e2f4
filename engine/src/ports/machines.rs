//! The machines that the devices of hosts are known to switch.

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::machine_id::{KnownMachine, MachineId};

use super::JournalError;

/// The known machine behind one device of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The facts to check an answer against.
    pub known: KnownMachine,
    /// True if an unexpected machine is recorded.
    pub noted: bool,
}

/// The known machine behind one device, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineLine {
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    /// The expected machine; `None` if none was learnt.
    pub machine: Option<MachineId>,
    /// The time at which it was learnt or confirmed.
    pub since: Timestamp,
    /// The operator who confirmed it; `None` if it was learnt while the host was up in Nova.
    pub said_by: Option<String>,
    /// The unexpected machine that answers, and the time of its first answer.
    pub foreign: Option<(Option<MachineId>, Timestamp)>,
}

/// A machine that a device was seen to switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMachine {
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    pub machine: MachineId,
}

/// The store of known machines. A device is named as [`tachi_domain::level::Target`] shows it.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Returns the entries of devices, each given with its host and the machine it reports, in the same order. The
    /// stored rows are read once.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn known_of(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Result<Vec<Entry>, JournalError>;

    /// Returns the entry of one device.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn known(
        &self,
        host: &str,
        device: &str,
        answers: Option<&MachineId>,
    ) -> Result<Entry, JournalError> {
        let one = [(host, device.to_owned(), answers)];
        let entry = self.known_of(&one).await?.pop();
        // An empty result is an error. As an unknown machine it would accept any machine.
        entry.ok_or_else(|| {
            JournalError::new(
                "reading which machine a fence device switches",
                "the query returned no row",
            )
        })
    }

    /// Records the machines that devices switch. Skips a device with a known machine, a machine of another host, and a
    /// host under recovery, whose readings may be part of its failure. Returns the number of recorded machines.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn register(&self, new: &[NewMachine]) -> Result<usize, JournalError>;

    /// Records an unexpected answer; `None`: the expected machine answers.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn note(
        &self,
        host: &str,
        device: &str,
        foreign: Option<Option<&MachineId>>,
    ) -> Result<(), JournalError>;

    /// Records an operator's confirmation that `is` is the host's machine. Returns `false`, without writing, if another
    /// machine than `was` has been expected meanwhile.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn confirm(
        &self,
        host: &str,
        device: &str,
        change: (Option<&MachineId>, Option<&MachineId>),
        by: &str,
    ) -> Result<bool, JournalError>;

    /// Returns all known machines, by host and device.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn machines(&self) -> Result<Vec<MachineLine>, JournalError>;
}
