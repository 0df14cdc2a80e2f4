//! The answers of a power controller about a host.

use serde::{Deserialize, Serialize};

use crate::machine_id::MachineId;
use crate::timestamp::Timestamp;

/// A host's power as a device reports it. A state that is not clearly on or off is unknown, and unknown is not off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// The host runs, or may run.
    On,
    Off,
    /// The device does not know or does not report the state.
    Unknown,
}

/// One answer of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerReading {
    /// The meaning of the answer.
    pub power: Power,
    /// The device's own text, for the record.
    pub raw: String,
    /// The device, such as `maas:http://maas.example:5240/MAAS system 4y3h7n`.
    pub device: String,
    /// The time of the answer; for people.
    pub at: Timestamp,
    /// The machine that the answer is about, if the device reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
}

impl PowerReading {
    /// True if both readings are about one machine, as far as the device identifies machines.
    pub(crate) fn same_machine(&self, other: &Self) -> bool {
        match (&self.machine, &other.machine) {
            (Some(ours), Some(theirs)) => ours.is(theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
