//! Nova's migration records.

use serde::{Deserialize, Serialize};

use crate::id::{MigrationId, ServerId};
use crate::timestamp::Timestamp;

/// The kind of move of a migration record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationType {
    /// A rebuild on another host.
    Evacuation,
    /// Nova's `live-migration`.
    LiveMigration,
    /// A cold migration.
    Migration,
    Resize,
    /// A value that this version does not know.
    Other(String),
}

impl MigrationType {
    /// Parses Nova's value.
    pub fn from_nova(value: &str) -> Self {
        match value {
            "evacuation" => Self::Evacuation,
            "live-migration" => Self::LiveMigration,
            "migration" => Self::Migration,
            "resize" => Self::Resize,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The state of a migration. Nova has no list of these states: each kind of migration sets its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MigrationStatus {
    /// The migration waits for another one.
    Queued,
    /// Requested; no service has picked it up.
    Accepted,
    /// A live migration is being checked.
    Preparing,
    /// A destination has picked it up.
    PreMigrating,
    Migrating,
    /// A live migration is in progress.
    Running,
    /// The instance has arrived.
    PostMigrating,
    /// The instance has arrived, and its owner has not confirmed the move yet.
    Finished,
    Confirming,
    /// The instance stays on the destination.
    Confirmed,
    Reverting,
    /// The instance is back on its source.
    Reverted,
    /// An evacuation has arrived, and its source has not closed it.
    Done,
    Completed,
    /// A compute host has given it up.
    Failed,
    /// A conductor or a compute host has given it up.
    Error,
    /// A caller has aborted it.
    Cancelled,
    /// A value that this version does not know: it may mean anything.
    Other(String),
}

impl MigrationStatus {
    /// Returns Nova's value.
    pub fn as_nova(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::PreMigrating => "pre-migrating",
            Self::Migrating => "migrating",
            Self::Running => "running",
            Self::PostMigrating => "post-migrating",
            Self::Finished => "finished",
            Self::Confirming => "confirming",
            Self::Confirmed => "confirmed",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
            Self::Done => "done",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Other(value) => value,
        }
    }

    /// True if the migration is done, whatever its kind.
    pub fn is_finished(&self) -> bool {
        self.is_failed() || self.has_moved() || matches!(self, Self::Finished | Self::Reverted)
    }

    /// True if it has moved its instance to another host, where the instance stays.
    pub fn has_moved(&self) -> bool {
        self.is_done() || *self == Self::Confirmed
    }

    /// True if it is an evacuation that has arrived.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Completed)
    }

    pub fn is_failed(&self) -> bool {
        self.may_have_spawned() || *self == Self::Error
    }

    /// True if a failed evacuation may have left a guest at its destination. The conductor sets `error` before any call to a
    /// compute host.
    pub fn may_have_spawned(&self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

impl From<String> for MigrationStatus {
    fn from(value: String) -> Self {
        match value.as_str() {
            "queued" => Self::Queued,
            "accepted" => Self::Accepted,
            "preparing" => Self::Preparing,
            "pre-migrating" => Self::PreMigrating,
            "migrating" => Self::Migrating,
            "running" => Self::Running,
            "post-migrating" => Self::PostMigrating,
            "finished" => Self::Finished,
            "confirming" => Self::Confirming,
            "confirmed" => Self::Confirmed,
            "reverting" => Self::Reverting,
            "reverted" => Self::Reverted,
            "done" => Self::Done,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "error" => Self::Error,
            "cancelled" => Self::Cancelled,
            _ => Self::Other(value),
        }
    }
}

impl From<&str> for MigrationStatus {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<MigrationStatus> for String {
    fn from(status: MigrationStatus) -> Self {
        status.as_nova().to_owned()
    }
}

impl std::fmt::Display for MigrationStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_nova())
    }
}

/// A migration record, read by `GET /os-migrations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Nova's integer id.
    pub id: MigrationId,
    pub server: ServerId,
    pub kind: MigrationType,
    pub status: MigrationStatus,
    /// The source service host, `source_compute`.
    pub source: Option<String>,
    /// The destination service host, `dest_compute`; unset until Nova's scheduler has chosen.
    pub dest: Option<String>,
    /// The time of creation, by Nova's clock.
    pub created_at: Option<Timestamp>,
    /// The time of the last change, by Nova's clock; unset until a compute host has changed it.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

impl Migration {
    /// True if it is an evacuation of an instance from that host.
    pub fn is_evacuation_from(&self, host: &str) -> bool {
        self.kind == MigrationType::Evacuation && self.source.as_deref() == Some(host)
    }

    /// Returns the time of creation or last change, by Nova's clock. A new record has no `updated_at`.
    pub fn touched_at(&self) -> Option<Timestamp> {
        self.updated_at.or(self.created_at)
    }

    /// True if it is an evacuation that no conductor has picked up.
    pub fn is_unpicked(&self) -> bool {
        self.status == MigrationStatus::Accepted && self.dest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_stored_as_novas_value() {
        let statuses = [
            "queued",
            "accepted",
            "preparing",
            "pre-migrating",
            "migrating",
            "running",
            "post-migrating",
            "finished",
            "confirming",
            "confirmed",
            "reverting",
            "reverted",
            "done",
            "completed",
            "failed",
            "error",
            "cancelled",
        ];
        for value in statuses {
            let status = MigrationStatus::from(value);
            assert!(!matches!(status, MigrationStatus::Other(_)), "{value}");
            let stored = serde_json::to_string(&status).unwrap();
            assert_eq!(stored, format!("{value:?}"));
            assert_eq!(serde_json::from_str::<MigrationStatus>(&stored).unwrap(), status);
        }
    }

    #[test]
    fn an_unknown_status_is_kept_and_counts_as_unfinished() {
        let status = MigrationStatus::from("Done");
        assert_eq!(status, MigrationStatus::Other("Done".into()));
        assert_eq!(serde_json::to_string(&status).unwrap(), "\"Done\"");
        assert!(!status.is_finished() && !status.has_moved() && !status.is_failed());
    }
}
