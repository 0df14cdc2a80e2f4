//! Probes: the state of a process, and its changes.

use async_trait::async_trait;

/// The state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It runs.
    Up,
    /// It is changing, by another program.
    Changing,
    /// It does not run, for this reason.
    Down(String),
    /// Unknown at the moment.
    Unknown(String),
}

/// Looks at one process.
#[async_trait]
pub(super) trait Probe: Send {
    /// Returns the current state. Takes no longer than a few seconds.
    async fn state(&mut self) -> State;

    /// Ends when it may be otherwise than it was; perhaps never.
    ///
    /// # Cancel safety
    ///
    /// Safe: what happens meanwhile is seen by the next `state`.
    async fn changed(&mut self);
}

/// Runs the commands of an entry.
#[async_trait]
pub(super) trait Hands: Send + Sync {
    /// Does one thing. Takes no longer than the configuration allows.
    async fn run(&self, command: &super::list::Command, as_root: bool) -> Result<(), String>;
}

/// The destination of reports.
#[async_trait]
pub(super) trait Outlet: Send + Sync {
    /// Reports that it could not be restarted. Fails if the report cannot be stored.
    async fn gone(&self, process: &str) -> Result<(), String>;
    /// Reports that it is back, and withdraws an undelivered report.
    async fn back(&self, process: &str);
}
