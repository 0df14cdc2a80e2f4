//! The facts that one engine at a time observes of the cloud, stored for all readers.

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
    pub forget: Vec<(&'static str, String)>,
}

/// A store of facts. A writer needs the turn: a number that rises with each round, so that of two concurrent writers
/// only one succeeds.
#[async_trait]
pub trait FactStore: Send + Sync {
    /// Returns the current turn; 0 if no engine ever had it.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn take_round(&self) -> Result<u64, JournalError>;

    /// Writes a round if the turn is still `turn`, and raises it by one; `false` if another engine has raised it.
    ///
    /// # Errors
    ///
    /// The database failed; the round may have been written all the same.
    async fn write_facts(&self, turn: u64, round: &Round) -> Result<bool, JournalError>;

    /// Writes facts that no engine writes, such as what a command has tested; no turn is needed for them.
    ///
    /// # Errors
    ///
    /// The database failed; the facts may have been written all the same.
    async fn put_facts(&self, facts: &[Fact]) -> Result<(), JournalError>;

    /// Removes facts that no engine writes, by their kind and subject.
    ///
    /// # Errors
    ///
    /// The database failed; the facts may have been removed all the same.
    async fn remove_facts(&self, kind: &'static str, subjects: &[String]) -> Result<(), JournalError>;

    /// Returns all facts, or those of one kind.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn facts(&self, kind: Option<&str>) -> Result<Vec<Fact>, JournalError>;
}
