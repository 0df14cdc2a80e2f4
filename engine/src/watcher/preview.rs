//! The guards' answers before a failure.

use async_trait::async_trait;
use tachi_domain::guard::{JointLoss, NovaView, WouldHold};

/// The guards' answers before a failure.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    /// The hosts whose recovery would be on hold if they alone failed.
    pub hosts: Vec<WouldHold>,
    /// The losses of several hosts at once.
    pub together: Vec<JointLoss>,
}

/// The guards, evaluated before a failure.
#[async_trait]
pub trait Preview: Send + Sync {
    /// Returns the recoveries that would be on hold if hosts failed now; `None` if unknown. `nova`: what was just read from
    /// Nova, so that it is not read twice; `None` if it has to be read. May be dropped at any time.
    async fn would_hold(&self, nova: Option<NovaView>) -> Option<Holds>;
}
