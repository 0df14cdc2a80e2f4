//! Things as an event shows them. What is not known yet, such as the id of what is about to be added, is left out.

use std::collections::BTreeMap;

use crate::entity::host::{HostChange, NewHost};
use crate::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use crate::entity::segment::{NewSegment, RecoveryMethod, SegmentChange};
use crate::entity::vmove::VmoveStatus;
use crate::entity::{Host, Notification, Segment};
use crate::id::{HostId, NotificationId, RecoveryId, SegmentId, ServerId, VmoveId};
use crate::recovery::RecoveryKind;
use crate::timestamp::Timestamp;

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Segment`")]
pub struct SegmentPicture {
    /// The integer primary key.
    pub row: Option<i64>,
    /// Its id.
    pub id: Option<SegmentId>,
    pub name: Option<String>,
    pub service_type: Option<String>,
    pub description: Option<Option<String>>,
    pub recovery_method: Option<RecoveryMethod>,
    pub enabled: Option<bool>,
}

impl SegmentPicture {
    /// Only its id.
    pub fn of_id(id: SegmentId) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// The same before it was added.
    #[must_use]
    pub fn unborn(self) -> Self {
        Self {
            row: None,
            id: None,
            ..self
        }
    }

    /// The same with a change.
    #[must_use]
    pub fn with(self, change: &SegmentChange) -> Self {
        Self {
            row: self.row,
            id: self.id,
            name: change.name.clone().or(self.name),
            service_type: change.service_type.clone().or(self.service_type),
            description: change.description.clone().or(self.description),
            recovery_method: change.recovery_method.or(self.recovery_method),
            enabled: change.enabled.or(self.enabled),
        }
    }
}

impl From<&Segment> for SegmentPicture {
    fn from(segment: &Segment) -> Self {
        Self {
            row: Some(segment.row),
            id: Some(segment.id),
            name: Some(segment.name.clone()),
            service_type: Some(segment.service_type.clone()),
            description: Some(segment.description.clone()),
            recovery_method: Some(segment.recovery_method),
            enabled: Some(segment.enabled),
        }
    }
}

impl From<&NewSegment> for SegmentPicture {
    fn from(new: &NewSegment) -> Self {
        Self {
            row: None,
            id: None,
            name: Some(new.name.clone()),
            service_type: Some(new.service_type.clone()),
            description: Some(new.description.clone()),
            recovery_method: Some(new.recovery_method),
            enabled: Some(new.enabled),
        }
    }
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Host`")]
pub struct HostPicture {
    /// The integer primary key.
    pub row: Option<i64>,
    /// Its id.
    pub id: Option<HostId>,
    pub name: Option<String>,
    pub segment: Option<Segment>,
    pub kind: Option<String>,
    pub control_attributes: Option<String>,
    pub reserved: Option<bool>,
    pub on_maintenance: Option<bool>,
}

impl HostPicture {
    /// Only its id.
    pub fn of_id(id: HostId) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// One that is to be added to `segment`.
    pub fn of_new(new: &NewHost, segment: &Segment) -> Self {
        Self {
            row: None,
            id: None,
            name: Some(new.name.clone()),
            segment: Some(segment.clone()),
            kind: Some(new.kind.clone()),
            control_attributes: Some(new.control_attributes.clone()),
            reserved: Some(new.reserved),
            on_maintenance: Some(new.on_maintenance),
        }
    }

    /// The same before it was added.
    #[must_use]
    pub fn unborn(self) -> Self {
        Self {
            row: None,
            id: None,
            ..self
        }
    }

    /// The same with a change.
    #[must_use]
    pub fn with(self, change: &HostChange) -> Self {
        Self {
            row: self.row,
            id: self.id,
            name: change.name.clone().or(self.name),
            segment: self.segment,
            kind: change.kind.clone().or(self.kind),
            control_attributes: change.control_attributes.clone().or(self.control_attributes),
            reserved: change.reserved.or(self.reserved),
            on_maintenance: change.on_maintenance.or(self.on_maintenance),
        }
    }
}

impl From<&Host> for HostPicture {
    fn from(host: &Host) -> Self {
        Self {
            row: Some(host.row),
            id: Some(host.id),
            name: Some(host.name.clone()),
            segment: Some(host.segment.clone()),
            kind: Some(host.kind.clone()),
            control_attributes: Some(host.control_attributes.clone()),
            reserved: Some(host.reserved),
            on_maintenance: Some(host.on_maintenance),
        }
    }
}

/// A notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Notification`")]
pub struct NotificationPicture {
    /// The integer primary key.
    pub row: Option<i64>,
    /// Its id.
    pub id: Option<NotificationId>,
    pub generated_time: Option<Timestamp>,
    pub source_host: Option<HostId>,
    pub kind: Option<NotificationType>,
    pub payload: Option<BTreeMap<String, String>>,
    pub status: Option<NotificationStatus>,
}

impl NotificationPicture {
    /// The same before it was added.
    #[must_use]
    pub fn unborn(self) -> Self {
        Self {
            row: None,
            id: None,
            ..self
        }
    }
}

impl From<&Notification> for NotificationPicture {
    fn from(notification: &Notification) -> Self {
        Self {
            row: Some(notification.row),
            id: Some(notification.id),
            generated_time: Some(notification.generated_time),
            source_host: Some(notification.source_host),
            kind: Some(notification.kind),
            payload: Some(notification.payload.clone()),
            status: Some(notification.status),
        }
    }
}

impl From<&NewNotification> for NotificationPicture {
    fn from(new: &NewNotification) -> Self {
        Self {
            row: None,
            id: None,
            generated_time: Some(new.generated_time),
            source_host: None,
            kind: Some(new.kind),
            payload: Some(new.payload.clone()),
            status: Some(NotificationStatus::New),
        }
    }
}

/// An instance of a host recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmovePicture {
    /// The vmove's id.
    pub id: VmoveId,
    /// The notification whose recovery it belongs to.
    pub notification: NotificationId,
    /// That recovery.
    pub recovery: RecoveryId,
    /// The instance.
    pub server: ServerId,
    /// The instance's name.
    pub name: String,
    /// Nova's service host it was on.
    pub source_host: String,
    /// Nova's service host it is on.
    pub dest_host: Option<String>,
    /// When Nova was first asked.
    pub start_time: Option<Timestamp>,
    /// When it was over.
    pub end_time: Option<Timestamp>,
    /// How far it is.
    pub status: VmoveStatus,
    /// What a person should know.
    pub message: Option<String>,
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPicture {
    /// Its id.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// What it is about.
    pub kind: RecoveryKind,
    /// The host.
    pub host: Option<HostId>,
    /// The host's name.
    pub host_name: Option<String>,
    /// The host's segment.
    pub segment: Option<SegmentId>,
    /// The segment's method; of a host recovery only.
    pub recovery_method: Option<RecoveryMethod>,
    /// The engine that works on it.
    pub engine: String,
    /// What its notification shows.
    pub status: NotificationStatus,
    /// What a person should know.
    pub message: Option<String>,
    /// How many of its instances are how far.
    pub moves: BTreeMap<VmoveStatus, u64>,
}
