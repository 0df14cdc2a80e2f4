//! Power controllers.

use async_trait::async_trait;
use tachi_domain::power::PowerReading;

use super::CallError;

/// Reads and switches the power of hosts. The rule when a host counts as off is the domain's, not the fencer's.
#[async_trait]
pub trait Fencer: Send + Sync {
    /// Whether a device is configured for `host` at all.
    fn covers(&self, host: &str) -> bool;

    /// Asks the device itself, never a cache.
    ///
    /// # Errors
    ///
    /// The device or the way to it failed; permanent if it is not known, not switchable or refuses the credentials.
    async fn read_power(&self, host: &str) -> Result<PowerReading, CallError>;

    /// Asks for a hard power off. `Ok` means the request was accepted, no more: only a later reading shows "off".
    /// Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`Fencer::read_power`]; after a time-out the request may still take effect.
    async fn power_off(&self, host: &str, reason: &str) -> Result<(), CallError>;
}
