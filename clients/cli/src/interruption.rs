//! Ctrl-C of an operator who waits for a command.

use tachi_operator::Failure;
use tokio::signal::unix::{SignalKind, signal};

/// Completes with the first Ctrl-C from now on, even with one before the first poll.
pub fn ctrl_c() -> Result<impl Future<Output = ()>, Failure> {
    let signals = signal(SignalKind::interrupt());
    let mut signals = signals.map_err(|error| Failure::new("listening for Ctrl-C", error))?;
    Ok(async move {
        signals.recv().await;
    })
}
