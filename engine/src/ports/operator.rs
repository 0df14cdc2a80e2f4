//! What an operator can see and say of recoveries.

use async_trait::async_trait;
use tachi_domain::recovery::{Life, RecoveryKind, Word};
use tachi_domain::{NotificationId, RecoveryId, Timestamp};

use super::JournalError;

/// A recovery in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySummary {
    /// Which.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// What it is about.
    pub kind: RecoveryKind,
    /// The host's name.
    pub host: String,
    /// Open, watching or closed.
    pub life: Life,
    /// The notification's status word.
    pub status: String,
    /// Why it is held, or what came of it.
    pub message: Option<String>,
    /// The engine that owns it.
    pub owner: Option<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// One line of the step journal, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    /// When.
    pub at: Timestamp,
    /// Under which claim.
    pub epoch: u64,
    /// Masakari's task class name.
    pub task: String,
    /// `intent`, `outcome` or `note`.
    pub kind: String,
    /// The instance, if one.
    pub server: Option<String>,
    /// What.
    pub text: String,
}

/// What came of an operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Written; the owner hears it with its next beat.
    Heard,
    /// There is no such recovery.
    Unknown,
    /// It is not open any more.
    Over,
}

/// The operator's side of the journal.
#[async_trait]
pub trait OperatorDesk: Send + Sync {
    /// The recoveries, newest first; only open and watching ones unless `all`.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn recoveries(&self, all: bool) -> Result<Vec<RecoverySummary>, JournalError>;

    /// The step journal of one recovery, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn steps(&self, id: RecoveryId) -> Result<Vec<StepLine>, JournalError>;

    /// Says a word about a recovery.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn say(&self, id: RecoveryId, word: Word, by: &str) -> Result<Said, JournalError>;
}
