//! Notifications: what monitors report.

use std::collections::BTreeMap;

use super::Stamps;
use crate::evidence::GivenEvidence;
use crate::id::{HostId, NotificationId, SegmentId};
use crate::reporter::Reporter;
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// What failed.
    NotificationType {
        /// A whole host.
        ComputeHost = "COMPUTE_HOST",
        /// One instance.
        Vm = "VM",
        /// A process on a host.
        Process = "PROCESS",
    }
}

words! {
    /// How far the work on a notification is.
    NotificationStatus {
        /// Accepted; no engine has claimed it yet.
        New = "new",
        /// An engine works on it, or it is held for a person (then `message` says why).
        Running = "running",
        /// Masakari's state between two attempts. Tachi reads it and never leaves a row in it (R21).
        Error = "error",
        /// Ended: not everything could be recovered.
        Failed = "failed",
        /// Ended: deliberately not acted on.
        Ignored = "ignored",
        /// Ended: done, or nothing to do.
        Finished = "finished",
    }
}

impl NotificationStatus {
    /// Whether work is still going on or to come.
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
    /// The integer primary key; clients page by it.
    pub row: i64,
    /// The id clients use.
    pub id: NotificationId,
    /// What failed.
    pub kind: NotificationType,
    /// When the reporter says it noticed; the reporter's clock.
    pub generated_time: Timestamp,
    /// The host it is about. There is no foreign key: the host may have been deleted since.
    pub source_host: HostId,
    /// The host's segment; `None` in rows older than that column.
    pub segment: Option<SegmentId>,
    /// The reporter's key/value pairs, checked by type when accepted.
    pub payload: BTreeMap<String, String>,
    /// As Masakari's API shows it.
    pub status: NotificationStatus,
    /// What a person should know: why it is held, ignored or failed.
    pub message: Option<String>,
    /// Who reported it; `None` in what Masakari or an older version has written.
    pub reporter: Option<Box<Reporter>>,
    /// When made and changed.
    pub stamps: Stamps,
}

impl Notification {
    /// The column names a list may be sorted by.
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

/// What a new notification is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Notification`")]
pub struct NewNotification {
    /// What failed.
    pub kind: NotificationType,
    /// The host's name, as the reporter knows it.
    pub hostname: String,
    pub generated_time: Timestamp,
    pub payload: BTreeMap<String, String>,
    /// What its reporter knows of the fence, if that user may say so.
    pub evidence: Option<Box<GivenEvidence>>,
    /// Who says so.
    pub reporter: Option<Box<Reporter>>,
}

/// Which notifications to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Exactly this word; one that no notification can have matches none.
    pub status: Option<String>,
    /// Exactly this word.
    pub kind: Option<String>,
    /// Exactly this text.
    pub source_host: Option<String>,
    /// Generated at this time or later.
    pub generated_since: Option<Timestamp>,
    /// Only the row with this integer id.
    pub row: Option<i64>,
}
