//! Probes: the state of a process, and its changes.

use async_trait::async_trait;

/// The state of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The process is running.
    Up,
    /// Another program is changing the process.
    Changing,
    /// The process is not running, for this reason.
    Down(String),
    /// The state is unknown at the moment.
    Unknown(String),
}

/// A probe of one process.
#[async_trait]
pub(super) trait Probe: Send {
    /// Returns the current state. Takes no longer than a few seconds.
    async fn state(&mut self) -> State;

    /// Waits until the state may have changed; perhaps forever.
    ///
    /// # Cancel safety
    ///
    /// Safe: the next `state` shows any change in between.
    async fn changed(&mut self);
}

/// The executor of an entry's commands.
#[async_trait]
pub(super) trait CommandRunner: Send + Sync {
    /// Runs one command. Takes no longer than the configuration allows.
    async fn run(&self, command: &super::list::Command, as_root: bool) -> Result<(), String>;
}

/// The destination of reports.
#[async_trait]
pub(super) trait Outlet: Send + Sync {
    /// Reports that the process could not be restarted. Fails if the report cannot be stored.
    async fn gone(&self, process: &str) -> Result<(), String>;
    /// Reports that the process is back, and withdraws an undelivered report.
    async fn back(&self, process: &str);
}
