//! How a process is, and when that may have changed.

use async_trait::async_trait;

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It runs.
    Up,
    /// It is on its way, and somebody else sees to it.
    Changing,
    /// It does not, because of this.
    Down(String),
    /// That cannot be told now.
    Unknown(String),
}

/// Looks at one process.
#[async_trait]
pub(super) trait Probe: Send {
    /// How it is now. Takes no longer than a few seconds.
    async fn state(&mut self) -> State;

    /// Ends when it may be otherwise than it was; perhaps never.
    ///
    /// # Cancel safety
    ///
    /// Safe: what happens meanwhile is seen by the next `state`.
    async fn changed(&mut self);
}

/// Does what an entry says.
#[async_trait]
pub(super) trait Hands: Send + Sync {
    /// Does one thing. Takes no longer than the configuration allows.
    async fn run(&self, command: &super::list::Command, as_root: bool) -> Result<(), String>;
}

/// Where it is told that a process is gone for good, or is back.
#[async_trait]
pub(super) trait Outlet: Send + Sync {
    /// It is gone. Fails if that could not be kept.
    async fn gone(&self, process: &str) -> Result<(), String>;
    /// It is back: what was said before and not heard yet is not so any more.
    async fn back(&self, process: &str);
}
