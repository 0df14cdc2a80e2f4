//! Vmoves: the instances of a host recovery, as the API shows them.

use super::Stamps;
use crate::id::{NotificationId, VmoveId};
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// How far one instance is.
    VmoveStatus {
        /// To be moved.
        Pending = "pending",
        /// Nova has been asked, or is about to be.
        Ongoing = "ongoing",
        /// Left where it was, by a stated policy; `message` says which.
        Ignored = "ignored",
        /// Not moved; `message` says why and what to do.
        Failed = "failed",
        /// Runs, or is kept, on `dest_host`.
        Succeeded = "succeeded",
    }
}

words! {
    /// How an instance is moved.
    VmoveType {
        /// Rebuilt elsewhere after its host died.
        Evacuation = "evacuation",
        /// Cold migration; kept for readers of old rows.
        Migration = "migration",
        /// Live migration; kept for readers of old rows.
        LiveMigration = "live_migration",
    }
}

/// One instance of a host recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmove {
    /// The integer primary key; clients page by it.
    pub row: i64,
    /// The id clients use.
    pub id: VmoveId,
    /// The notification whose recovery it belongs to.
    pub notification: NotificationId,
    /// Nova's server id, as stored.
    pub instance_uuid: String,
    /// The server's name.
    pub instance_name: String,
    /// Nova's service host the instance was on.
    pub source_host: Option<String>,
    /// Nova's service host it is on now.
    pub dest_host: Option<String>,
    /// When Nova was asked.
    pub start_time: Option<Timestamp>,
    /// When it was over, either way.
    pub end_time: Option<Timestamp>,
    /// As Masakari's API shows it.
    pub kind: Option<VmoveType>,
    /// As Masakari's API shows it.
    pub status: Option<VmoveStatus>,
    /// What a person should know.
    pub message: Option<String>,
    /// When made and changed.
    pub stamps: Stamps,
}

impl Vmove {
    /// The column names a list may be sorted by.
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

/// Which vmoves of a notification to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmoveFilter {
    /// Exactly this word; one that no vmove can have matches none.
    pub status: Option<String>,
    /// Exactly this word.
    pub kind: Option<String>,
    /// Only the row with this integer id.
    pub row: Option<i64>,
}
