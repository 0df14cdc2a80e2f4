//! Fence devices.

use std::fmt;

use async_trait::async_trait;
use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;

use super::CallError;

/// What is to be done at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A question.
    Read,
    /// A power command.
    Switch,
}

/// Leave to make one call: a place among the calls a device bears at a time. It is given back when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "what counts is when it is dropped")] Option<Box<dyn Send>>);

impl Turn {
    /// Of a device that bears any number of calls.
    pub const fn free() -> Self {
        Self(None)
    }

    /// Whatever `place` is, it is given back with the turn.
    pub fn with(place: impl Send + 'static) -> Self {
        Self(Some(Box::new(place)))
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// Reads and switches the power of hosts. The rule when a host counts as off, and which device comes next, is the domain's,
/// not the fencer's.
#[async_trait]
pub trait Fencer: Send + Sync {
    /// The devices of `host` in the order in which they are tried, as they are configured now; none if it has none.
    fn levels(&self, host: &str) -> Vec<Level>;

    /// Waits until a call may be made. What waits has not been sent: it costs the device none of its time, and an intent
    /// that grows old meanwhile is written anew (R4).
    ///
    /// # Cancel safety
    ///
    /// What is dropped half way has lost its place and nothing else.
    async fn turn(&self, _host: &str, _target: &Target, _work: Work) -> Turn {
        Turn::free()
    }

    /// Asks the device itself, never a cache.
    ///
    /// # Errors
    ///
    /// The device or the way to it failed; permanent if it is not known, not switchable or refuses the credentials, and if
    /// no device is configured any more as `target` says (I10).
    async fn read_power(&self, host: &str, target: &Target) -> Result<PowerReading, CallError>;

    /// Which machine the device switches, by its own word, asked for now; `None` if it has no word for that. Readings bring it
    /// along.
    ///
    /// # Errors
    ///
    /// As for [`Fencer::read_power`].
    async fn machine(&self, _host: &str, _target: &Target) -> Result<Option<MachineId>, CallError> {
        Ok(None)
    }

    /// Asks for a hard power off. `Ok` means the request was accepted, no more: only a later reading shows "off".
    /// Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`Fencer::read_power`]; after a time-out the request may still take effect.
    async fn power_off(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError>;

    /// Asks for power. To be asked of a host that was read off, and of no other.
    ///
    /// # Errors
    ///
    /// As for [`Fencer::power_off`].
    async fn power_on(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError>;
}
