//! Monitors that sign that they are at work. For people and for numbers: no decision of a recovery rests on it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tachi_domain::monitor::{MonitorKind, Signature};
use tachi_domain::situation::Monitor;

use super::JournalError;

/// Where they sign.
#[async_trait]
pub trait Monitors: Send + Sync {
    /// Writes signatures; each replaces the one before of the same monitor. Gives the hosts that are in no segment: theirs are
    /// not written.
    ///
    /// # Errors
    ///
    /// The database failed. Some may be written.
    async fn sign_monitors(&self, signatures: &[Signature]) -> Result<BTreeSet<String>, JournalError>;

    /// Those that have ever signed, by host.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn monitors(&self) -> Result<Vec<Monitor>, JournalError>;

    /// Forgets a monitor that was taken away; `false` if there is none.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn forget_monitor(&self, host: &str, kind: MonitorKind) -> Result<bool, JournalError>;
}
