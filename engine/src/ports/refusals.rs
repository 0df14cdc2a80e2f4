//! Counts of rejected reports. For people: no decision depends on them.

use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::refusal::RefusalReason;
use uuid::Uuid;

use super::JournalError;

/// Length of a time slot: rejected reports within a slot are counted together.
pub const SLOT_LENGTH: Duration = Duration::from_mins(10);

/// Retention time of the counts.
pub const RETENTION: Duration = Duration::from_hours(24 * 30);

/// Limit of stored rows.
pub const MAX_STORED_ROWS: u64 = 100_000;

/// Maximum length of a stored name, in characters. Longer names are truncated.
pub const MAX_NAME_CHARS: usize = 255;

/// The number of rejected reports with the same reporter and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    pub kind: NotificationType,
    /// The reporter, for people; empty if there are too many to count separately.
    pub reporter: String,
    pub reason: RefusalReason,
    pub times: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// Similar rejected reports of one time slot, as one process of the API has counted them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// The start of the slot.
    pub slot: Timestamp,
    /// The process that counts, and the only writer of this row.
    pub writer: Uuid,
    /// The number of this row among the writer's rows of the slot.
    pub number: u32,
    /// The host in the report; empty if there are too many hosts to count separately.
    pub host: String,
    pub count: RefusalCount,
}

/// The store of the counts.
#[async_trait]
pub trait RefusalLog: Send + Sync {
    /// Writes rows with their current counts. Writing a row twice stores it once.
    ///
    /// # Errors
    ///
    /// The database failed. Some rows may have been written.
    async fn write_refusals(&self, rows: &[Refusals]) -> Result<(), JournalError>;

    /// Deletes rows whose slot started before `before`, and rows beyond [`MOST_KEPT`].
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn forget_refusals(&self, before: Timestamp) -> Result<(), JournalError>;
}
