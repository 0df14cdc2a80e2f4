//! Vmoves: the instances of a host recovery, as the API shows them.

use super::Stamps;
use crate::id::{NotificationId, VmoveId};
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The progress of one instance.
    VmoveStatus {
        /// The instance is to be moved.
        Pending = "pending",
        /// Nova has received the request, or is about to.
        Ongoing = "ongoing",
        /// The instance was excluded from the move; `message` names the rule.
        Ignored = "ignored",
        /// The instance was not moved; `message` gives the reason and what to do.
        Failed = "failed",
        /// The instance runs, or is kept, on `dest_host`.
        Succeeded = "succeeded",
    }
}

string_enum! {
    /// The way an instance is moved.
    VmoveType {
        /// The instance is rebuilt on another host after its host died.
        Evacuation = "evacuation",
        /// Cold migration; kept for readers of old rows.
        Migration = "migration",
        /// Live migration; kept for readers of old rows.
        LiveMigration = "live_migration",
    }
}

/// The part of a vmove that its recovery writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmoveState {
    pub id: VmoveId,
    /// The server's name.
    pub name: String,
    /// The Nova service host the instance was on.
    pub source_host: String,
    /// The Nova service host the instance is on, or to which it moves.
    pub dest_host: Option<String>,
    /// The time of the first request to Nova.
    pub start_time: Option<Timestamp>,
    /// The time the move finished, with either result.
    pub end_time: Option<Timestamp>,
    /// The status that the API shows.
    pub status: VmoveStatus,
    /// The text for operators.
    pub message: Option<String>,
}

/// One instance of a host recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmove {
    /// The integer primary key; clients use it for pagination.
    pub row: i64,
    /// The id that clients use.
    pub id: VmoveId,
    /// The notification whose recovery moves the instance.
    pub notification: NotificationId,
    /// Nova's server id, as stored.
    pub instance_uuid: String,
    /// The server's name.
    pub instance_name: String,
    /// The Nova service host the instance was on.
    pub source_host: Option<String>,
    /// The Nova service host the instance is on now.
    pub dest_host: Option<String>,
    /// The time of the request to Nova.
    pub start_time: Option<Timestamp>,
    /// The time the move finished, with either result.
    pub end_time: Option<Timestamp>,
    /// The type, as Masakari's API shows it.
    pub kind: Option<VmoveType>,
    /// The status, as Masakari's API shows it.
    pub status: Option<VmoveStatus>,
    /// The text for operators.
    pub message: Option<String>,
    pub stamps: Stamps,
}

impl Vmove {
    /// The column names that a list may be sorted by.
    pub const SORT_KEYS: &'static [&'static str] = &[
        "id",
        "uuid",
        "notification_uuid",
        "instance_uuid",
        "instance_name",
        "source_host",
        "dest_host",
        "start_time",
        "end_time",
        "type",
        "status",
        "message",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted",
    ];
}

/// The filters of a list of a notification's vmoves. Texts have to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmoveFilter {
    /// A value that no vmove can have matches none.
    pub status: Option<String>,
    pub kind: Option<String>,
    /// The integer id of the only row to list.
    pub row: Option<i64>,
}
