//! Which machines the devices of hosts are known to switch.

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::machine_id::{KnownMachine, MachineId};

use super::JournalError;

/// What is known of the machine behind one device of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is judged by.
    pub known: KnownMachine,
    /// It is noted that something else answers.
    pub noted: bool,
}

/// The same for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineLine {
    /// The host.
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    /// Which machine is expected; `None` if none was learnt.
    pub machine: Option<MachineId>,
    /// Since when.
    pub since: Timestamp,
    /// Who has said so; `None` if it was learnt while Nova heard the host.
    pub said_by: Option<String>,
    /// What answers although it should not, and since when.
    pub foreign: Option<(Option<MachineId>, Timestamp)>,
}

/// A machine that a device was seen to switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMachine {
    /// The host.
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    /// Which it is.
    pub machine: MachineId,
}

/// Keeps them. A device is named as [`tachi_domain::level::Target`] shows it.
#[async_trait]
pub trait Machines: Send + Sync {
    /// What is known of devices, each with its host and what is heard of it; in their order. What is kept is read once.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn known_of(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Result<Vec<Entry>, JournalError>;

    /// The same of one.
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
        // Nothing read is not nothing known: that would believe any machine.
        entry.ok_or_else(|| {
            JournalError::new(
                "reading which machine a fence device switches",
                "nothing was read",
            )
        })
    }

    /// Sets down which machines devices switch, each unless one is known, another host has it, or the host is under recovery: what
    /// is seen then may be what went wrong. Says how many were set down.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn learn(&self, new: &[NewMachine]) -> Result<usize, JournalError>;

    /// Notes what answers although it should not; `None`: what should.
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

    /// A person says that `is` is the host's machine. Says whether that was written: not if something else than `was` has been
    /// expected meanwhile.
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

    /// All of them, by host and device.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn machines(&self) -> Result<Vec<MachineLine>, JournalError>;
}
