//! What a monitor is.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::health::Health;
use crate::reporter::Reporter;

/// Watches something and reports what happens.
#[async_trait]
pub trait Monitor: Send {
    /// Watches until `stop`, or until it cannot go on.
    ///
    /// What it watches may be away when it starts and go away later: that is told to `health` and tried again, and is no
    /// reason to end. [`Health::beat`] is called each time its loop comes round, at least every few seconds.
    ///
    /// # Errors
    ///
    /// It can never work like this: the service manager is to start it anew, or a person to look at it.
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure>;
}
