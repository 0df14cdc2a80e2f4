//! Which devices prove a host off, and in which order they are tried.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

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

impl Device {
    /// How long it may take to report "off".
    pub fn patience(&self, policy: &Policy) -> Duration {
        self.limit.unwrap_or(policy.power_off_limit)
    }

    /// The longest until it has said "off" or is given up: it is asked once, told, and has all its time; what is under way when that
    /// is over is waited for.
    fn longest(&self, policy: &Policy) -> Duration {
        let call = self.call.unwrap_or(policy.call_deadline);
        self.patience(policy).saturating_add(call.saturating_mul(2))
    }
}

/// Devices that must all be off for the host to be off, such as the two outlets of a machine with two power supplies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its number in the devices' file, from 1.
    pub number: u32,
    /// Never empty.
    pub devices: Vec<Device>,
}

impl Level {
    /// The longest until all of its devices have said "off", or one is given up.
    pub fn longest(&self, policy: &Policy) -> Duration {
        let devices = self.devices.iter().map(|device| device.longest(policy));
        devices.max().unwrap_or_default()
    }
}

/// Of the levels of a host those that are tried if all before the last of them fail as late as they can, each with its time: no level is
/// begun once `episode_deadline` is over.
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
    fn every_level_takes_its_time_and_two_calls_and_none_is_begun_after_the_deadline() {
        let policy = Policy::default();
        let of = |levels: &[Level]| -> Vec<u64> {
            let tried = tried_at_worst(levels, &policy);
            tried.iter().map(|(_, longest)| longest.as_secs()).collect()
        };
        assert_eq!(of(&[]), Vec::<u64>::new());
        assert_eq!(of(&[level(1, &[(None, None)])]), [150 + 2 * 20]);
        // Two outlets are switched side by side.
        let (pdu, bmc) = (
            level(2, &[(Some(60), Some(5)), (Some(90), Some(1))]),
            level(1, &[(Some(30), Some(8))]),
        );
        assert_eq!(of(&[bmc.clone(), pdu]), [46, 92]);
        let slow = level(2, &[(Some(600), None)]);
        assert_eq!(of(&[bmc.clone(), slow, bmc]), [46, 640]);
    }
}
