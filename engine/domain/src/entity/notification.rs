//! Notifications, the reports of monitors.

use std::collections::BTreeMap;

use super::Stamps;
use crate::evidence::GivenEvidence;
use crate::id::{HostId, NotificationId, SegmentId};
use crate::reporter::Reporter;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The kind of object that failed.
    NotificationType {
        ComputeHost = "COMPUTE_HOST",
        Vm = "VM",
        Process = "PROCESS",
    }
}

string_enum! {
    /// The progress of a notification.
    NotificationStatus {
        /// Accepted; no engine has claimed it yet.
        New = "new",
        /// An engine is working on it, or it is on hold for an operator; then `message` gives the reason.
        Running = "running",
        /// Masakari's state between two attempts. Tachi reads it and never leaves a row in it.
        Error = "error",
        /// Done: not everything could be recovered.
        Failed = "failed",
        /// Done: deliberately not acted on.
        Ignored = "ignored",
        /// Done: successful, or nothing to do.
        Finished = "finished",
    }
}

impl NotificationStatus {
    /// True if work is in progress or still to come.
    pub const fn is_open(self) -> bool {
        match self {
            Self::New | Self::Running | Self::Error => true,
            Self::Failed | Self::Ignored | Self::Finished => false,
        }
    }
}

/// A monitor's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The integer primary key; clients use it for pagination.
    pub row: i64,
    /// The id that clients use.
    pub id: NotificationId,
    /// The kind of object that failed.
    pub kind: NotificationType,
    /// The time at which the reporter noticed the failure, by the reporter's clock.
    pub generated_time: Timestamp,
    /// The host the report is about. There is no foreign key: the host may have been deleted since.
    pub source_host: HostId,
    /// The host's segment; `None` in rows older than that column.
    pub segment: Option<SegmentId>,
    /// The reporter's key/value pairs, checked by type when accepted.
    pub payload: BTreeMap<String, String>,
    /// The status, as Masakari's API shows it.
    pub status: NotificationStatus,
    /// The text for operators: the reason why it is on hold, ignored or failed.
    pub message: Option<String>,
    /// The reporter; `None` in rows that Masakari or an older version has written.
    pub reporter: Option<Box<Reporter>>,
    pub stamps: Stamps,
}

impl Notification {
    /// The column names that a list may be sorted by.
    pub const SORT_KEYS: &'static [&'static str] = &[
        "id",
        "notification_uuid",
        "generated_time",
        "type",
        "payload",
        "status",
        "source_host_uuid",
        "failover_segment_uuid",
        "message",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted",
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// The kind of object that failed.
    pub kind: NotificationType,
    /// The host's name, as the reporter knows it.
    pub hostname: String,
    pub generated_time: Timestamp,
    pub payload: BTreeMap<String, String>,
    /// The reporter's evidence of a fencing, if the policy allows that user to give it.
    pub evidence: Option<Box<GivenEvidence>>,
    pub reporter: Option<Box<Reporter>>,
}

/// The filters of a list of notifications. Texts have to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// A value that no notification can have matches none.
    pub status: Option<String>,
    pub kind: Option<String>,
    pub source_host: Option<String>,
    /// The earliest generated time.
    pub generated_since: Option<Timestamp>,
    /// The integer id of the only row to list.
    pub row: Option<i64>,
}
