//! The registry of engines, and the backlog of work, for people and metrics. No decision depends on it: claims decide
//! which engine may work on a recovery.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::recovery::{Life, RecoveryKind};

use super::JournalError;

/// The heartbeat of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineHeartbeat {
    /// The name in its claims.
    pub name: String,
    pub version: String,
    /// The start time, by its own wall clock.
    pub started_at: Timestamp,
    /// The state of its parts, such as `broker`.
    pub facts: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRow {
    /// The last heartbeat.
    pub heartbeat: EngineHeartbeat,
    /// The time of the last heartbeat, by the engine's own wall clock.
    pub seen_at: Timestamp,
    /// The number of heartbeats.
    pub beat: u64,
}

/// The open work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The number of notifications on which no engine has started to work.
    pub new: u64,
    /// The time of acceptance of the oldest of them, to the second.
    pub oldest_new: Option<Timestamp>,
    /// The number of recoveries that are open or watching.
    pub unsettled: BTreeMap<(RecoveryKind, Life), u64>,
}

/// The registry of engines.
#[async_trait]
pub trait EngineRegistry: Send + Sync {
    /// Writes a heartbeat, and deletes engines without a heartbeat for a day.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn heartbeat(&self, heartbeat: &EngineHeartbeat) -> Result<(), JournalError>;

    /// Removes an engine from the registry, at its shutdown.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn deregister(&self, name: &str) -> Result<(), JournalError>;

    /// Returns the engines in the registry, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn engines(&self) -> Result<Vec<EngineRow>, JournalError>;

    /// Returns the open work.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn backlog(&self) -> Result<Backlog, JournalError>;
}
