//! The interface of a monitor.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::health::Health;
use crate::reporter::Reporter;

/// Watches something and reports what happens.
#[async_trait]
pub trait Monitor: Send {
    /// Watches until `stop`, or until it cannot continue.
    ///
    /// The watched service may be down at the start and later: the monitor reports that to `health` and retries, and
    /// does not end. It calls [`Health::beat`] at each turn of its loop, at least every few seconds.
    ///
    /// # Errors
    ///
    /// It can never work like this: the service manager must restart it, or an operator must fix it.
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure>;
}
