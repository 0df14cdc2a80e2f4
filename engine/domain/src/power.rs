//! What a power controller says about a host.

use serde::{Deserialize, Serialize};

use crate::machine_id::MachineId;
use crate::timestamp::Timestamp;

/// A host's power as a device reports it. Anything that is not clearly on or off is unknown, and unknown is not off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Runs, or may run.
    On,
    /// Off.
    Off,
    /// The device does not know or does not say.
    Unknown,
}

/// One answer of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerReading {
    /// What it means.
    pub power: Power,
    /// The device's own word, for the record.
    pub raw: String,
    /// Which device, such as `maas:http://maas.example:5240/MAAS system 4y3h7n`.
    pub device: String,
    /// When the answer came; for people.
    pub at: Timestamp,
    /// Which machine it is about, if the device says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
}

impl PowerReading {
    /// Whether both are about one machine, as far as the device tells them apart.
    pub(crate) fn same_machine(&self, other: &Self) -> bool {
        match (&self.machine, &other.machine) {
            (Some(ours), Some(theirs)) => ours.is(theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
