//! Fence devices.

use std::fmt;

use async_trait::async_trait;
use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;

use super::CallError;

/// The kind of call to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceOperation {
    /// A query.
    Read,
    /// A power command.
    Switch,
}

/// A permit for one call: one of the device's slots for concurrent calls. Dropping it releases the slot.
pub struct DevicePermit(#[expect(dead_code, reason = "only the drop has an effect")] Option<Box<dyn Send>>);

impl DevicePermit {
    /// Returns the permit of a device without a limit.
    pub const fn free() -> Self {
        Self(None)
    }

    /// Returns a permit that releases `place` when it is dropped.
    pub fn with(place: impl Send + 'static) -> Self {
        Self(Some(Box::new(place)))
    }
}

impl fmt::Debug for DevicePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// Reads and switches the power of hosts. The domain, not the fencer, decides when a host counts as off and which
/// device comes next.
#[async_trait]
pub trait Fencer: Send + Sync {
    /// Returns the devices of `host` in the order in which they are tried, as currently configured; empty if it has
    /// none.
    fn levels(&self, host: &str) -> Vec<Level>;

    /// Waits until a call may be made. A waiting call is not sent yet, so an intent that expires meanwhile can be written
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only releases its place in the queue.
    async fn permit(&self, _host: &str, _target: &Target, _work: DeviceOperation) -> DevicePermit {
        DevicePermit::free()
    }

    /// Reads the power state from the device, never from a cache.
    ///
    /// # Errors
    ///
    /// The device or the way to it failed. The error is permanent if the device is unknown, not switchable or refuses
    /// the credentials, or if no device is configured any more as `target` says.
    async fn read_power(&self, host: &str, target: &Target) -> Result<PowerReading, CallError>;

    /// Returns the machine that the device switches, as the device reports it now; `None` if it cannot identify it.
    /// Power readings include it.
    ///
    /// # Errors
    ///
    /// The same errors as [`Fencer::read_power`].
    async fn machine(&self, _host: &str, _target: &Target) -> Result<Option<MachineId>, CallError> {
        Ok(None)
    }

    /// Requests a hard power off. `Ok` means only that the device accepted the request; a later reading shows "off".
    /// Idempotent.
    ///
    /// # Errors
    ///
    /// The same errors as [`Fencer::read_power`]; after a time-out the request may still take effect.
    async fn power_off(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError>;

    /// Requests power on. Only for a host that was read off.
    ///
    /// # Errors
    ///
    /// The same errors as [`Fencer::power_off`].
    async fn power_on(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError>;
}
