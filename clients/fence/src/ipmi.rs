//! A BMC by IPMI 2.0, through `ipmitool`.
//!
//! `ipmitool` prints "Down/Off" as soon as the BMC has accepted the command, and some BMCs accept it without effect:
//! only a later `chassis power status` shows off. Every call opens its own session. Readings use the privilege level
//! that switching needs, too, so that a BMC that does not grant it to the user refuses long before a power-off is
//! needed.

mod output;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tachi_domain::fault::FaultClass;
use tachi_domain::machine_id::{MachineId, Mark};
use tachi_domain::power::{Power, PowerReading};
use tachi_engine::ports::{CallError, Clock};
use tracing::instrument;

use crate::address::{host_and_port, is_host, is_user};
use crate::child::{self, Call, ChildError, ChildExit};
use crate::device::{Device, Kind, Plug};
use crate::fault::fault;
use crate::text::SecretFilter;

/// Maximum lengths of user and password in IPMI 2.0, in bytes.
const MAX_USER_BYTES: usize = 16;
const MAX_PASSWORD_BYTES: usize = 20;

/// Cipher suites that encrypt: 3 is SHA-1, 8 and 12 are MD5, 17 is SHA-256, all with AES-CBC-128. Suite 0 accepts every
/// user, and the others send the session in clear text.
const CIPHER_SUITES: [u8; 4] = [3, 8, 12, 17];

/// Get System GUID and Get Device GUID, commands of the application network function (0x06).
const SYSTEM_GUID: &str = "0x37";
const DEVICE_GUID: &str = "0x08";

/// The privilege level that a session requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Privilege {
    /// The level that is sufficient for switching the power.
    #[default]
    Operator,
    /// For BMCs that require this level nevertheless.
    Administrator,
}

/// Options of a BMC.
#[derive(Clone, Debug)]
pub struct IpmiOptions {
    /// The device's name.
    pub name: String,
    /// Address or name of the BMC.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// The user, at most 16 bytes.
    pub user: String,
    /// The password, at most 20 bytes.
    pub password: SecretString,
    /// 17 (SHA-256), or 3 for BMCs that support SHA-1 only.
    pub cipher_suite: u8,
    /// The privilege level that a session requests.
    pub privilege: Privilege,
    /// The timeout of one call.
    pub call_timeout: Duration,
    /// The path of `ipmitool`.
    pub program: PathBuf,
}

impl IpmiOptions {
    /// Creates options with the default port, cipher suite, privilege level and timeout.
    pub fn new(
        name: impl Into<String>,
        host: impl Into<String>,
        user: impl Into<String>,
        password: SecretString,
    ) -> Self {
        Self {
            name: name.into(),
            host: host.into(),
            port: 623,
            user: user.into(),
            password,
            cipher_suite: 17,
            privilege: Privilege::default(),
            call_timeout: Duration::from_secs(15),
            program: "ipmitool".into(),
        }
    }
}

/// An error in the options of a device.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IpmiError {
    /// The text is not an address.
    #[error("{host:?} is not the address of a BMC")]
    Host {
        /// The configured text.
        host: String,
    },
    /// The text is not an IPMI user.
    #[error("{user:?} is not an IPMI user: 1 to 16 characters without blanks, not starting with a minus")]
    User {
        /// The configured text.
        user: String,
    },
    /// The password cannot be an IPMI password.
    #[error("the IPMI password is empty, longer than 20 bytes, or contains a line break")]
    Password,
    /// The cipher suite is not supported.
    #[error("cipher suite {suite} is not one of 3, 8, 12 and 17: the others do not encrypt")]
    Suite {
        /// The configured number.
        suite: u8,
    },
}

/// A BMC, through `ipmitool`.
pub struct Ipmi {
    options: IpmiOptions,
    endpoint: String,
    secret_filter: SecretFilter,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ipmi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ipmi")
            .field("name", &self.options.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Ipmi {
    /// Creates the device. Sends no request yet.
    ///
    /// # Errors
    ///
    /// An option is wrong.
    pub fn new(options: IpmiOptions, clock: Arc<dyn Clock>) -> Result<Self, IpmiError> {
        if !is_host(&options.host) {
            return Err(IpmiError::Host { host: options.host });
        }
        if !is_user(&options.user) || options.user.len() > MAX_USER_BYTES {
            return Err(IpmiError::User { user: options.user });
        }
        let password = options.password.expose_secret();
        if password.is_empty() || password.len() > MAX_PASSWORD_BYTES || password.contains(['\n', '\r', '\0'])
        {
            return Err(IpmiError::Password);
        }
        if !CIPHER_SUITES.contains(&options.cipher_suite) {
            return Err(IpmiError::Suite {
                suite: options.cipher_suite,
            });
        }
        Ok(Self {
            endpoint: format!("ipmi:{}", host_and_port(&options.host, options.port)),
            secret_filter: SecretFilter::new(&options.user, &options.password),
            options,
            clock,
        })
    }

    fn call(&self, subcommand: &[&str]) -> Call<'_> {
        let options = &self.options;
        let level = match options.privilege {
            Privilege::Operator => "OPERATOR",
            Privilege::Administrator => "ADMINISTRATOR",
        };
        let mut args: Vec<String> = [
            "-I",
            "lanplus",
            "-H",
            &options.host,
            "-p",
            &options.port.to_string(),
        ]
        .map(ToOwned::to_owned)
        .into();
        args.extend(["-U", &options.user, "-f", "/dev/stdin", "-L", level].map(ToOwned::to_owned));
        // Allows one retry for a lost packet; -v prints why a session was refused.
        args.extend(
            [
                "-C",
                &options.cipher_suite.to_string(),
                "-N",
                "2",
                "-R",
                "1",
                "-v",
            ]
            .map(ToOwned::to_owned),
        );
        args.extend(subcommand.iter().map(|&argument| argument.to_owned()));
        let input = SecretString::from(format!("{}\n", options.password.expose_secret()));
        Call {
            program: &options.program,
            args,
            input,
            limit: options.call_timeout,
        }
    }

    async fn power(&self, verb: &str) -> Result<ChildExit, CallError> {
        self.run(&["chassis", "power", verb], verb != "status").await
    }

    /// Reads the GUID by one of two commands; `None` if the BMC has none.
    async fn guid(&self, command: &str) -> Result<Option<MachineId>, CallError> {
        let subcommand = ["raw", "0x06", command];
        let finished = self.finish(&subcommand, false).await?;
        if finished.code != Some(0) && output::has_no_value(&finished.stderr) {
            return Ok(None);
        }
        let finished = self.done(&subcommand, false, finished)?;
        Ok(MachineId::of([(
            Mark::Guid,
            output::bytes(&finished.stdout).as_str(),
        )]))
    }

    async fn run(&self, subcommand: &[&str], switches: bool) -> Result<ChildExit, CallError> {
        let finished = self.finish(subcommand, switches).await?;
        self.done(subcommand, switches, finished)
    }

    /// Runs the tool to its end. `switches` is true if the call may have had an effect when its result is lost.
    async fn finish(&self, subcommand: &[&str], switches: bool) -> Result<ChildExit, CallError> {
        child::run(&self.call(subcommand)).await.map_err(|error| {
            let (class, maybe_done) = match &error {
                ChildError::Missing { .. } => (FaultClass::Permanent, false),
                ChildError::Start { .. } => (FaultClass::Transient, false),
                ChildError::TimedOut { .. } | ChildError::Wait { .. } => (FaultClass::Transient, switches),
            };
            let text = format!("{} failed: {}", self.line(subcommand), tachi_text::chain(&error));
            CallError {
                source: Some(Box::new(error)),
                ..fault(class, None, maybe_done, text)
            }
        })
    }

    fn line(&self, subcommand: &[&str]) -> String {
        format!("{}: {}", self.endpoint, subcommand.join(" "))
    }

    fn done(&self, subcommand: &[&str], switches: bool, finished: ChildExit) -> Result<ChildExit, CallError> {
        if finished.code == Some(0) {
            return Ok(finished);
        }
        let failure_cause = output::failure_cause(&finished.stderr);
        let maybe_done = switches && failure_cause.in_session && failure_cause.class != FaultClass::Permanent;
        let ended = finished
            .code
            .map_or("by a signal".to_owned(), |code| format!("with {code}"));
        let message = self.secret_filter.line(&output::without_noise(&finished.stderr));
        let advice = failure_cause
            .advice
            .map(|advice| format!(" ({advice})"))
            .unwrap_or_default();
        let line = self.line(subcommand);
        let text = format!("{line} failed: ipmitool exited {ended}: {message}{advice}");
        Err(fault(failure_cause.class, None, maybe_done, text))
    }

    async fn switch(&self, verb: &str, expected: &str) -> Result<(), CallError> {
        let finished = self.power(verb).await?;
        if finished.stdout.to_ascii_lowercase().contains(expected) {
            return Ok(());
        }
        let message = self.secret_filter.line(&finished.stdout);
        let text = format!("{}: chassis power {verb} returned {message:?}", self.endpoint);
        Err(fault(FaultClass::Transient, None, true, text))
    }
}

#[async_trait]
impl Device for Ipmi {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn kind(&self) -> Kind {
        Kind::Ipmi
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[instrument(name = "ipmi::read_power", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError> {
        // The machine is read first, so that the decisive reading of the power is the later one.
        let machine = self.machine(plug).await?;
        let finished = self.power("status").await?;
        let power = output::power(&finished.stdout);
        let raw = if power == Power::Unknown {
            self.secret_filter.line(&finished.stdout)
        } else {
            output::line_about_power(&finished.stdout)
        };
        Ok(PowerReading {
            power,
            raw,
            device: self.endpoint.clone(),
            at: self.clock.wall(),
            machine,
        })
    }

    /// Returns the GUID of the system, or that of the controller if the system has none.
    #[instrument(name = "ipmi::machine", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn machine(&self, plug: &Plug) -> Result<Option<MachineId>, CallError> {
        match self.guid(SYSTEM_GUID).await? {
            Some(machine) => Ok(Some(machine)),
            None => self.guid(DEVICE_GUID).await,
        }
    }

    #[instrument(name = "ipmi::power_off", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn power_off(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.switch("off", "chassis power control: down/off").await
    }

    #[instrument(name = "ipmi::power_on", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn power_on(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.switch("on", "chassis power control: up/on").await
    }
}
