//! Freezes set by operators.

use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::freeze::{Freeze, FreezeScope};

use super::JournalError;

/// The fact in the registry entry of an engine that supports freezes. A caller freezes only if every engine has it.
pub const FREEZES_FACT: &str = "freezes";

/// Retention time of freezes that have ended.
pub const ENDED_FREEZE_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// The duration of a freeze, its reason and its condition, as the operator gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeTerms {
    /// The duration from now.
    pub lasts: Duration,
    pub reason: String,
    /// True if the freeze ends early when a second host of a segment fails.
    pub unless_worse: bool,
}

/// A request for a freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFreeze {
    pub scope: FreezeScope,
    /// The uuid of the segment, the host or the instance; empty for everything.
    pub target: String,
    /// The target's name, for people.
    pub name: String,
    pub by: String,
    pub terms: FreezeTerms,
}

/// A freeze that is in force, or was until just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeLine {
    /// The freeze with its target, end, author and reason.
    pub freeze: Freeze,
    /// The id of the frozen target.
    pub target: String,
    /// The start of the freeze, by the database's clock.
    pub since: Timestamp,
    /// The time left, by the same clock.
    pub left: Duration,
    /// True if a drain of the host has set it.
    pub by_drain: bool,
}

/// The result of a request for a freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezeOutcome {
    /// The freeze is in force.
    Started {
        /// The freeze as it was written.
        line: FreezeLine,
        /// The freeze that it replaces, which would have ended earlier.
        before: Option<FreezeLine>,
    },
    /// Not written: the freeze in force of the same target lasts longer, or has fewer reasons to end early. A
    /// request never shortens another operator's freeze.
    Longer(FreezeLine),
}

/// An event about a freeze, reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezeEvent {
    /// The freeze is about to end.
    EndsSoon(FreezeLine),
    /// The freeze has ended.
    Ended(FreezeLine),
}

/// The store of freezes, for operators and maintenance. Recoveries see freezes in each of their transactions.
#[async_trait]
pub trait Freezes: Send + Sync {
    /// Freezes a target, in place of a shorter freeze of the same target. Every intent that is
    /// written after the commit has checked it.
    ///
    /// # Errors
    ///
    /// The database failed; the target may be frozen anyway.
    async fn freeze(&self, new: &NewFreeze) -> Result<FreezeOutcome, JournalError>;

    /// Ends the freeze with this number; `None` if it is not in force. A freeze that has replaced it continues,
    /// because the caller has not seen that one.
    ///
    /// # Errors
    ///
    /// The database failed; the freeze may have ended anyway.
    async fn thaw(&self, number: i64, by: &str) -> Result<Option<FreezeLine>, JournalError>;

    /// Returns the freezes in force, ordered by their end.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError>;

    /// Returns freezes that have ended or end within `soon`; each event only once, over all callers. Deletes freezes that
    /// ended long ago.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn take_freeze_events(&self, soon: Duration) -> Result<Vec<FreezeEvent>, JournalError>;
}
