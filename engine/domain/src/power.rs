//! What a power controller says about a host.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

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
}
