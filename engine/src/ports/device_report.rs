//! The result of testing a fence device before it is needed.

use std::time::Duration;

use tachi_domain::level::Target;
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::Power;

/// A reason to suspect that a device's reading is of another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Another machine responds than expected.
    ForeignMachine,
    /// The device reads off while the host is up in Nova.
    OffWhileUp,
}

/// The result of testing one device of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The host.
    pub host: String,
    /// The level's number; 0 if the host has none.
    pub level: u32,
    /// The device's name; empty if there is none.
    pub device: String,
    /// The kind of the device.
    pub kind: String,
    /// The device's endpoint, and its name for the host.
    pub target: Option<Target>,
    /// The reading, if there is one.
    pub power: Option<Power>,
    /// The device's own text.
    pub raw: String,
    /// The identity of the machine that answered, if the device states one.
    pub machine: Option<MachineId>,
    /// Duration, without the wait for a permit.
    pub latency: Duration,
    /// The reason why the device could not be relied on.
    pub fault: Option<String>,
    /// Set if the fault is permanent and is reported at once.
    pub alarm: Option<Alarm>,
    /// Problems that may prevent a later power-off.
    pub warnings: Vec<String>,
    /// The reason why a power-off would be refused. The warnings contain it, too.
    pub obstacle: Option<String>,
}

impl Report {
    /// Returns the report about a level of a host without a device; `fault` is what is wrong with it.
    pub fn of(host: &str, level: u32, fault: Option<String>) -> Self {
        Self {
            host: host.to_owned(),
            level,
            device: String::new(),
            kind: String::new(),
            target: None,
            power: None,
            raw: String::new(),
            machine: None,
            latency: Duration::ZERO,
            fault,
            alarm: None,
            warnings: Vec::new(),
            obstacle: None,
        }
    }

    /// Returns the report about this device.
    #[must_use]
    pub fn at(mut self, target: &Target) -> Self {
        self.device.clone_from(&target.device);
        self.kind.clone_from(&target.kind);
        self.target = Some(target.clone());
        self
    }

    /// Returns the report with the obstacle to a power-off, if any, as its fault.
    #[must_use]
    pub fn strict(mut self) -> Self {
        if let Some(obstacle) = self.obstacle.take() {
            self.warnings.retain(|warning| *warning != obstacle);
            self.fault.get_or_insert(obstacle);
        }
        self
    }
}
