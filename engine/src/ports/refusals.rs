//! Reports that were not accepted, counted. For people: no decision rests on it.

use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::refusal::RefusalReason;
use uuid::Uuid;

use super::JournalError;

/// What comes within this time is counted together.
pub const SLOT: Duration = Duration::from_mins(10);

/// So long they are kept.
pub const KEPT: Duration = Duration::from_hours(24 * 30);

/// So many rows are kept, whoever fills them.
pub const MOST_KEPT: u64 = 100_000;

/// Names are cut to so many characters.
pub const LONGEST: usize = 255;

/// Refusals that are alike, of ten minutes, as one process of the API has counted them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// When the ten minutes began.
    pub slot: Timestamp,
    /// Which process counts. Only it writes this row.
    pub writer: Uuid,
    /// Which of its rows of these ten minutes.
    pub number: u32,
    /// The host, as the report names it; empty for those of too many hosts to be kept apart.
    pub host: String,
    /// What was reported.
    pub kind: NotificationType,
    /// Who reported, for people; empty for too many to be kept apart.
    pub reporter: String,
    /// Why it was refused.
    pub reason: RefusalReason,
    /// How many.
    pub times: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
}

/// Where they are kept.
#[async_trait]
pub trait RefusalLog: Send + Sync {
    /// Writes rows, each as it is now: written twice, it stands there once.
    ///
    /// # Errors
    ///
    /// The database failed. Some may be written.
    async fn write_refusals(&self, rows: &[Refusals]) -> Result<(), JournalError>;

    /// Removes what began before this, and what is more than [`MOST_KEPT`].
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn forget_refusals(&self, before: Timestamp) -> Result<(), JournalError>;
}
