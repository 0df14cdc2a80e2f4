//! Which devices prove a host off, and in which order they are tried.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One machine's switch: a device, and what the device calls the machine. A recovery keeps the targets it began with, so
/// that a changed file never turns an order at somebody else's machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The device's name in the devices' file.
    pub device: String,
    /// What sort of device it is.
    pub kind: String,
    /// What is spoken to.
    pub endpoint: String,
    /// The machine's name there; `None` if the device knows it by the host's name, or has but one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plug: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plug {
            Some(plug) => write!(f, "{} plug {plug}", self.device),
            None => f.write_str(&self.device),
        }
    }
}

/// A device of a level, with the patience it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What is switched.
    pub target: Target,
    /// How long it may take to report "off" after it was told to; `None`: as long as the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Duration>,
    /// Between two questions; `None`: as the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Duration>,
    /// How long an order to it may be under way before it is answered; `None`: as long as any call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Duration>,
    /// How often it is tried while its faults are passing ones and there is another level.
    pub attempts: u32,
}

/// Devices that must all be off for the host to be off, such as the two outlets of a machine with two power supplies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its number in the devices' file, from 1.
    pub number: u32,
    /// Never empty.
    pub devices: Vec<Device>,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} (", self.number)?;
        for (index, device) in self.devices.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            write!(f, "{}", device.target)?;
        }
        f.write_str(")")
    }
}
