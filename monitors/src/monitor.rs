//! The interface of a monitor.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::health::Health;
use crate::reporter::Reporter;

/// A monitor that watches something and reports failures.
#[async_trait]
pub trait Monitor: Send {
    /// Watches until `stop`, or until it cannot continue.
    ///
    /// The watched service may be down at the start and later: the monitor reports that to `health` and retries, and
    /// does not end. It calls [`Health::beat`] at each turn of its loop, at least every few seconds.
    ///
    /// # Errors
    ///
    /// The monitor cannot work in this environment: the service manager must restart it, or an operator must fix the
    /// cause.
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure>;
}
