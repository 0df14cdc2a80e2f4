//! What one engine at a time sees of the cloud, kept for everybody who asks.

use async_trait::async_trait;
use tachi_domain::Timestamp;

use super::JournalError;

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Of what kind.
    pub kind: String,
    /// About whom; empty for a fact about everything.
    pub subject: String,
    /// JSON.
    pub value: String,
    /// When it was so.
    pub as_of: Timestamp,
}

/// What is to be written of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// New, or changed.
    pub put: Vec<Fact>,
    /// Not there any more: kind and subject.
    pub forget: Vec<(&'static str, String)>,
}

/// Keeps them. Who writes has the turn: a number that moves on with each round, so that of two that write only one does.
#[async_trait]
pub trait FactStore: Send + Sync {
    /// The turn as it stands; 0 if nobody ever had it.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn turn(&self) -> Result<u64, JournalError>;

    /// Writes a round if the turn is still `turn`, and moves it on by one; `false` if somebody else has.
    ///
    /// # Errors
    ///
    /// The database failed; it may have been written all the same.
    async fn write_facts(&self, turn: u64, round: &Round) -> Result<bool, JournalError>;

    /// All of them, or those of one kind.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn facts(&self, kind: Option<&str>) -> Result<Vec<Fact>, JournalError>;
}
