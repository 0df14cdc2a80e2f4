//! A power controller.
//!
//! A device only reads and sends commands. The domain decides when a host counts as off (two consecutive readings of
//! off), when a command is repeated, and which device is next. The owner of the devices limits the concurrent calls per
//! endpoint. So every method here is one exchange with the outside, bounded in time, and safe to repeat.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;
use tachi_engine::ports::CallError;
use tokio::time::Instant;

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A BMC, through `ipmitool`.
    Ipmi,
    /// A BMC or a chassis manager, through Redfish.
    Redfish,
    /// A MAAS region controller.
    Maas,
    /// An installed `fence_*` agent.
    Exec,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Ipmi, Self::Redfish, Self::Maas, Self::Exec];

    /// Returns the name used in the devices' file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipmi => "ipmi",
            Self::Redfish => "redfish",
            Self::Maas => "maas",
            Self::Exec => "exec",
        }
    }

    /// Returns the default limits of this kind.
    pub const fn limits(self) -> Limits {
        let (timeout, poll, parallel) = match self {
            Self::Ipmi => (30, 1, 1),
            Self::Redfish | Self::Exec => (60, 2, 1),
            Self::Maas => (150, 5, 16),
        };
        Limits {
            timeout: Duration::from_secs(timeout),
            attempts: 2,
            poll: Duration::from_secs(poll),
            parallel,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a kind of device.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a kind of device; valid kinds: ipmi, redfish, maas, exec")]
pub struct UnknownKind {
    /// The configured text.
    pub text: String,
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind {
            text: text.to_owned(),
        })
    }
}

/// Timeouts and concurrency of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limit from the first command to the confirmed "off"; after it the level has failed.
    pub timeout: Duration,
    /// Limit of attempts at a level whose faults are transient.
    pub attempts: u8,
    /// Interval between two readings while the device is not off yet.
    pub poll: Duration,
    /// Limit of concurrent calls to one endpoint.
    pub parallel: usize,
}

/// A host to switch, and its name at the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plug {
    host: String,
    at_device: Option<String>,
}

/// A text that cannot name a host or a plug.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} cannot name a host or a plug: {why}")]
pub struct PlugError {
    /// The configured text.
    pub text: String,
    /// The reason.
    pub why: &'static str,
}

/// Maximum length of the name of a host or a plug, in bytes.
const MAX_NAME_BYTES: usize = 255;

impl Plug {
    /// Creates the plug of `host`, with the name under which the device knows it.
    ///
    /// Without such a name, a device with several plugs looks for the host's own name, and a device with one plug has
    /// nothing to choose.
    ///
    /// # Errors
    ///
    /// One of the names is empty, too long, starts with `-`, or contains blanks, quotes or control characters: the
    /// names become lines of an agent's input and parts of addresses.
    pub fn new(host: impl Into<String>, at_device: Option<String>) -> Result<Self, PlugError> {
        let host = checked(host.into())?;
        let at_device = at_device.map(checked).transpose()?;
        Ok(Self { host, at_device })
    }

    /// Returns the host's name in Nova.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the device's own name for the host, if configured.
    pub fn at_device(&self) -> Option<&str> {
        self.at_device.as_deref()
    }

    /// Returns the name to send to the device: its own name for the host, else the host's name.
    pub fn name(&self) -> &str {
        self.at_device.as_deref().unwrap_or(&self.host)
    }
}

impl fmt::Display for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at_device {
            Some(name) if *name != self.host => write!(f, "{} ({name})", self.host),
            Some(_) | None => f.write_str(&self.host),
        }
    }
}

fn checked(text: String) -> Result<String, PlugError> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > MAX_NAME_BYTES {
        "it is too long"
    } else if text.starts_with('-') {
        "it starts with a minus and would be parsed as an option"
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "it contains blanks or control characters"
    } else if text.contains(['"', '\'', '\\', '`', '$']) {
        "it contains quotes or shell characters"
    } else {
        return Ok(text);
    };
    Err(PlugError { text, why })
}

/// The outcome of a self-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTestOutcome {
    /// The reading of the power.
    pub reading: PowerReading,
    /// The duration of the whole test.
    pub latency: Duration,
    /// Problems that may prevent a later power-off, a sentence each.
    pub warnings: Vec<String>,
    /// The reason why a power-off would be refused, if known in advance.
    pub obstacle: Option<String>,
}

/// A power controller. The device itself limits the duration of its calls, and all of them are safe to repeat.
#[async_trait]
pub trait Device: Send + Sync + fmt::Debug {
    /// Returns the device's name in the devices' file.
    fn name(&self) -> &str;

    /// Returns the kind of the device.
    fn kind(&self) -> Kind;

    /// Returns the endpoint, normalized so that devices that share it compare equal: the limits apply per endpoint.
    fn endpoint(&self) -> &str;

    /// Returns the timeouts and the limit of concurrent calls.
    fn limits(&self) -> Limits {
        self.kind().limits()
    }

    /// Reads the power from the device itself, never from a cache. Every answer other than a clear on or off is
    /// unknown.
    ///
    /// # Errors
    ///
    /// The device or the connection to it failed. The fault is permanent if the device does not know the plug, cannot
    /// switch it, or refuses the credentials.
    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError>;

    /// Reads the identity of the machine that the plug switches; `None` if the device cannot identify it. Power
    /// readings include the identity.
    ///
    /// # Errors
    ///
    /// The same as for [`Device::read_power`].
    async fn machine(&self, _plug: &Plug) -> Result<Option<MachineId>, CallError> {
        Ok(None)
    }

    /// Requests a hard power-off. `Ok` means only that the device accepted the command; only later readings show "off".
    ///
    /// # Errors
    ///
    /// The same as for [`Device::read_power`]. If `maybe_done` is set, the command may still take effect.
    async fn power_off(&self, plug: &Plug, reason: &str) -> Result<(), CallError>;

    /// Requests power-on. The caller must have read the host as off: some controllers power on by a power cycle.
    ///
    /// # Errors
    ///
    /// The same as for [`Device::power_off`].
    async fn power_on(&self, plug: &Plug, reason: &str) -> Result<(), CallError>;

    /// Runs the self-test: everything that a power-off needs, except the command.
    ///
    /// # Errors
    ///
    /// The same as for [`Device::read_power`].
    async fn check(&self, plug: &Plug) -> Result<SelfTestOutcome, CallError> {
        let started_at = Instant::now();
        let reading = self.read_power(plug).await?;
        Ok(SelfTestOutcome {
            reading,
            latency: started_at.elapsed(),
            warnings: Vec::new(),
            obstacle: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_parsed_from_its_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().ok(), Some(kind));
        }
        for text in ["", "IPMI", "noop", "ipmi "] {
            assert!(text.parse::<Kind>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_plug_cannot_become_an_option_or_a_second_line() {
        let long = "x".repeat(256);
        for (host, at_device, good) in [
            ("c1", None, true),
            ("c1.example", Some("/redfish/v1/Systems/1"), true),
            ("c1", Some("4"), true),
            ("c1", Some("rack1:outlet_2,3"), true),
            ("", None, false),
            ("c1", Some(""), false),
            ("-c1", None, false),
            ("c1", Some("-o off"), false),
            ("c1", Some("-ooff"), false),
            ("c1\naction=on", None, false),
            ("c1", Some("1\naction=on"), false),
            ("c1", Some("1\u{85}action=on"), false),
            ("c1", Some("a b"), false),
            ("c1", Some("\"a\""), false),
            ("c1", Some("$(x)"), false),
            (&long, None, false),
        ] {
            let made = Plug::new(host, at_device.map(ToOwned::to_owned));
            assert_eq!(made.is_ok(), good, "{host:?} {at_device:?}");
        }
    }

    #[test]
    fn a_plug_is_named_by_the_device_if_it_has_a_name_there() {
        let plain = Plug::new("c1", None).unwrap();
        assert_eq!((plain.name(), plain.to_string()), ("c1", "c1".to_owned()));
        let mapped = Plug::new("c1", Some("7".into())).unwrap();
        assert_eq!((mapped.name(), mapped.to_string()), ("7", "c1 (7)".to_owned()));
    }
}
