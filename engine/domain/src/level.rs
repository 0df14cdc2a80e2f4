//! The devices that confirm a host off, and the order in which they are tried.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// The switch of one machine: a device, and the device's name of the machine. A recovery keeps the targets it started with,
/// so that a changed file never redirects a command to another machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The device's name in the devices file.
    pub device: String,
    /// The type of the device.
    pub kind: String,
    /// The address of the device.
    pub endpoint: String,
    /// The device's name of the machine; `None` if that is the host's name, or if the device has only one machine.
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

/// A device of a level, with its time limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The switch that the device controls.
    pub target: Target,
    /// The time limit to report "off" after the power-off command; `None` for the policy's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Duration>,
    /// The interval between two queries; `None` for the policy's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Duration>,
    /// The time limit for the answer to a command; `None` for the limit of other calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Duration>,
    /// The number of attempts while faults are transient and another level exists.
    pub attempts: u32,
}

impl Device {
    /// Returns the time limit to report "off".
    pub fn patience(&self, policy: &Policy) -> Duration {
        self.limit.unwrap_or(policy.power_off_limit)
    }

    /// Returns the longest time until the device has reported "off" or is given up: one query, one command, and its full
    /// time limit. A call in progress at the end of the limit is waited for.
    fn longest(&self, policy: &Policy) -> Duration {
        let call = self.call.unwrap_or(policy.call_deadline);
        self.patience(policy).saturating_add(call.saturating_mul(2))
    }
}

/// Devices that must all be off for the host to be off, such as the two outlets of a machine with two power supplies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The level's number in the devices file, from 1.
    pub number: u32,
    /// The devices; never empty.
    pub devices: Vec<Device>,
}

impl Level {
    /// Returns the longest time until all devices have reported "off", or one is given up.
    pub fn longest(&self, policy: &Policy) -> Duration {
        let devices = self.devices.iter().map(|device| device.longest(policy));
        devices.max().unwrap_or_default()
    }
}

/// Returns the levels that are tried in the worst case, if all but the last fail as late as possible, each with its time. No
/// level is started after `episode_deadline`.
pub fn tried_at_worst<'a>(levels: &'a [Level], policy: &Policy) -> Vec<(&'a Level, Duration)> {
    let mut tried = Vec::new();
    let mut spent = Duration::ZERO;
    for level in levels {
        if spent >= policy.episode_deadline && !tried.is_empty() {
            break;
        }
        let longest = level.longest(policy);
        spent = spent.saturating_add(longest);
        tried.push((level, longest));
    }
    tried
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

#[cfg(test)]
mod tests {
    use super::*;

    fn level(number: u32, limits: &[(Option<u64>, Option<u64>)]) -> Level {
        let device = |(limit, call): &(Option<u64>, Option<u64>)| Device {
            target: Target {
                device: format!("d{number}"),
                kind: "ipmi".into(),
                endpoint: String::new(),
                plug: None,
            },
            limit: limit.map(Duration::from_secs),
            poll: None,
            call: call.map(Duration::from_secs),
            attempts: 2,
        };
        Level {
            number,
            devices: limits.iter().map(device).collect(),
        }
    }

    #[test]
    fn each_level_takes_its_limit_and_two_calls_and_none_starts_after_the_deadline() {
        let policy = Policy::default();
        let of = |levels: &[Level]| -> Vec<u64> {
            let tried = tried_at_worst(levels, &policy);
            tried.iter().map(|(_, longest)| longest.as_secs()).collect()
        };
        assert_eq!(of(&[]), Vec::<u64>::new());
        assert_eq!(of(&[level(1, &[(None, None)])]), [150 + 2 * 20]);
        // Two outlets are switched in parallel.
        let (pdu, bmc) = (
            level(2, &[(Some(60), Some(5)), (Some(90), Some(1))]),
            level(1, &[(Some(30), Some(8))]),
        );
        assert_eq!(of(&[bmc.clone(), pdu]), [46, 92]);
        let slow = level(2, &[(Some(600), None)]);
        assert_eq!(of(&[bmc.clone(), slow, bmc]), [46, 640]);
    }
}
