//! Facts about the cloud, which one engine at a time observes and stores for all readers.

use async_trait::async_trait;
use tachi_domain::Timestamp;

use super::JournalError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub kind: String,
    /// The subject; empty for a fact about everything.
    pub subject: String,
    /// The value, as JSON.
    pub value: String,
    /// The time of the observation.
    pub as_of: Timestamp,
}

/// The changes that one round writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The facts that are new or changed.
    pub put: Vec<Fact>,
    /// The kinds and subjects of facts to delete.
    pub discard: Vec<(&'static str, String)>,
}

/// A store of facts. A writer needs the current turn, a number that each round increments: of two concurrent writers
/// only one succeeds.
#[async_trait]
pub trait FactStore: Send + Sync {
    /// Returns the current turn; 0 if no engine ever had it.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn take_round(&self) -> Result<u64, JournalError>;

    /// Writes a round and increments the turn, if it is still `turn`. Returns `false` if another engine has incremented
    /// it.
    ///
    /// # Errors
    ///
    /// The database failed; the round may have been written anyway.
    async fn write_facts(&self, turn: u64, round: &Round) -> Result<bool, JournalError>;

    /// Writes facts that only commands write, such as device tests. They need no turn.
    ///
    /// # Errors
    ///
    /// The database failed; the facts may have been written anyway.
    async fn put_facts(&self, facts: &[Fact]) -> Result<(), JournalError>;

    /// Removes facts that no engine writes. A fact that was written again since it was read stays.
    ///
    /// # Errors
    ///
    /// The database failed; the facts may have been removed all the same.
    async fn remove_facts(&self, read: &[Fact]) -> Result<(), JournalError>;

    /// Returns all facts, or those of one kind.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn facts(&self, kind: Option<&str>) -> Result<Vec<Fact>, JournalError>;
}
