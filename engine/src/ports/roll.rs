//! The roll of engines, and what waits for them: for people and for metrics. Nothing is decided by it; who may work on a
//! recovery is the matter of claims.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::recovery::{Life, RecoveryKind};

use super::JournalError;

/// What an engine signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSignature {
    /// The name it claims under.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// When it began; its own wall clock.
    pub started_at: Timestamp,
    /// How its parts are, such as `broker`: a few words each.
    pub facts: BTreeMap<String, String>,
}

/// An engine on the roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLine {
    /// What it signed with.
    pub signature: EngineSignature,
    /// When it signed last; its own wall clock.
    pub seen_at: Timestamp,
    /// How often it has signed.
    pub beat: u64,
}

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Notifications nobody has begun to work on.
    pub new: u64,
    /// When the oldest of them was accepted, to the second.
    pub oldest_new: Option<Timestamp>,
    /// Recoveries that are open or watching.
    pub unsettled: BTreeMap<(RecoveryKind, Life), u64>,
}

/// The roll.
#[async_trait]
pub trait Roll: Send + Sync {
    /// Signs; forgets engines that have not signed for a day.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn sign(&self, signature: &EngineSignature) -> Result<(), JournalError>;

    /// Takes an engine that ends off the roll.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn strike(&self, name: &str) -> Result<(), JournalError>;

    /// Who has signed and was not struck off, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn engines(&self) -> Result<Vec<EngineLine>, JournalError>;

    /// What there is to do.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn backlog(&self) -> Result<Backlog, JournalError>;
}
