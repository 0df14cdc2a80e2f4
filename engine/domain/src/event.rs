//! Events for listeners: an operation is about to start, is done, or has failed.
//!
//! An event is a fact for people and their programs; nothing in Tachi depends on one. The adapter that sends an event
//! decides its wire format.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entity::host::{HostAttributes, NewHost};
use crate::entity::notification::{NewNotification, NotificationStatus};
use crate::entity::segment::{NewSegment, RecoveryMethod, SegmentChange};
use crate::entity::vmove::{VmoveState, VmoveStatus};
use crate::entity::{Host, Notification, Segment};
use crate::freeze::Freeze;
use crate::id::{HostId, NotificationId, RecoveryId, SegmentId, ServerId};
use crate::recovery::RecoveryKind;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The phase of an operation that an event reports.
    Phase {
        Start = "start",
        End = "end",
        Error = "error",
    }
}

string_enum! {
    /// A change of a segment or a host.
    Change {
        Create = "create",
        Update = "update",
        Delete = "delete",
    }
}

string_enum! {
    /// A step in the handling of a notification.
    HandlingMethod {
        Create = "create",
        Process = "process",
    }
}

string_enum! {
    /// A step of a recovery.
    RecoveryEvent {
        /// The recovery's own work; the only step with phases.
        Process = "process",
        /// Another engine continues the recovery.
        TakeOver = "take_over",
        /// The host is confirmed off.
        Proof = "proof",
        /// The recovery is on hold, waiting for an operator.
        Hold = "hold",
        /// The recovery is no longer on hold.
        Resume = "resume",
        /// The host is no longer watched.
        Close = "close",
    }
}

string_enum! {
    /// The progress of a freeze towards its end.
    ThawCause {
        /// The freeze is about to expire.
        EndsSoon = "ends_soon",
        /// The freeze has expired.
        End = "end",
    }
}

string_enum! {
    /// The priority of an event.
    Priority {
        /// Normal operation.
        Info = "INFO",
        /// Something has failed, or needs an operator.
        Error = "ERROR",
    }
}

string_enum! {
    /// The publisher in whose name an event is sent. Listeners filter by it.
    Publisher {
        /// The API, and every other component that changes the objects of the API.
        Api = "masakari-api",
        /// The engine.
        Engine = "masakari-engine",
    }
}

/// The cause of an event: either a request and its caller, or a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The id that identifies the work across services, of the form `req-UUID`.
    pub request_id: String,
    /// The caller's id for the larger operation this request is part of.
    pub global_request_id: Option<String>,
    /// The caller; `None` for a recovery.
    pub user_id: Option<String>,
    pub user_name: Option<String>,
    pub user_domain_id: Option<String>,
    /// The project the request was made in.
    pub project_id: Option<String>,
    pub project_domain_id: Option<String>,
    /// The domain the request was made in.
    pub domain_id: Option<String>,
    /// `all` if the request was made for the whole system.
    pub system_scope: Option<String>,
    /// The caller's roles in that scope.
    pub roles: Vec<String>,
    /// True if the policy treats the caller as an administrator.
    pub is_admin: bool,
}

/// The reason for a failure, in the terms of Masakari's exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCause {
    /// Masakari's name of the exception, such as `HostRecoveryFailureException`.
    pub exception: String,
    /// The text for people.
    pub message: String,
    /// The part of Tachi in which the failure occurred.
    pub module: String,
    /// The operation that failed in that part.
    pub function: String,
    /// The chain of causes, one per line.
    pub trace: String,
}

/// The content of an object in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSnapshot<Entity, New, Id> {
    /// The whole object: as it is, or as it would be after a change.
    Entity(Entity),
    /// The data for a new object that was not created, and so has no id.
    New(New),
    /// Only the id, because the object could not be read.
    Id(Id),
}

/// A segment in an event.
pub type ShownSegment = EventSnapshot<Segment, NewSegment, SegmentId>;
/// A host in an event; a new host comes with its segment.
pub type ShownHost = EventSnapshot<Host, (NewHost, Segment), HostId>;
/// A notification in an event.
pub type ShownNotification = EventSnapshot<Notification, NewNotification, NotificationId>;

impl ShownSegment {
    /// Returns the segment as it would be after `change`.
    #[must_use]
    pub fn with(self, change: &SegmentChange) -> Self {
        match self {
            Self::Entity(segment) => Self::Entity(change.applied_to(segment)),
            Self::New(_) | Self::Id(_) => self,
        }
    }
}

impl ShownHost {
    /// Returns the host as it would be after `change`.
    #[must_use]
    pub fn with(self, change: &HostAttributes) -> Self {
        match self {
            Self::Entity(host) => Self::Entity(change.applied_to(host)),
            Self::New(_) | Self::Id(_) => self,
        }
    }
}

/// An instance of a host recovery, as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmoveSnapshot {
    /// The notification whose recovery moves the instance.
    pub notification: NotificationId,
    pub recovery: RecoveryId,
    pub server: ServerId,
    pub state: VmoveState,
}

/// A recovery, as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySnapshot {
    pub id: RecoveryId,
    /// The notification that caused the recovery.
    pub notification: NotificationId,
    pub kind: RecoveryKind,
    pub host: HostId,
    pub host_name: Option<String>,
    /// The segment of the host.
    pub segment: Option<SegmentId>,
    /// The method of the segment; only for a host recovery.
    pub recovery_method: Option<RecoveryMethod>,
    /// The engine that runs the recovery.
    pub engine: String,
    /// The status of the recovery's notification.
    pub status: NotificationStatus,
    /// True if the report was a false alarm; then this is no failure.
    pub dismissed: bool,
    /// The text for operators.
    pub message: Option<String>,
    /// The number of its instances in each status.
    pub moves: BTreeMap<VmoveStatus, u64>,
}

/// The object an event is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    Segment(Change, ShownSegment),
    Host(Change, ShownHost),
    Notification(HandlingMethod, ShownNotification),
    /// An instance of a host recovery.
    Vmove(VmoveSnapshot),
    Recovery(RecoveryEvent, RecoverySnapshot),
    Freeze(ThawCause, Freeze),
}

/// An event, as it is sent to listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The wall-clock time of the machine that emits the event.
    pub at: Timestamp,
    pub cause: Arc<Cause>,
    pub subject: Subject,
    /// The phase of the operation; `None` for an event without a duration.
    pub phase: Option<Phase>,
    /// The reason for a failure, or for the need of an operator.
    pub failure: Option<FailureCause>,
}

impl Event {
    /// Returns the event's name. Listeners derive the structure of the payload from it.
    pub fn name(&self) -> String {
        let action = match &self.subject {
            Subject::Segment(change, _) => format!("segment.{change}"),
            Subject::Host(change, _) => format!("host.{change}"),
            Subject::Notification(handling, _) => format!("notification.{handling}"),
            Subject::Vmove(_) => "vmove.process".to_owned(),
            Subject::Recovery(turn, _) => format!("recovery.{turn}"),
            Subject::Freeze(thawing, _) => format!("freeze.{thawing}"),
        };
        match self.phase {
            Some(phase) => format!("{action}.{phase}"),
            None => action,
        }
    }

    /// True if the event reports that the creation of an object starts. The object has no id then.
    pub fn starts_creation(&self) -> bool {
        self.phase == Some(Phase::Start)
            && matches!(
                self.subject,
                Subject::Segment(Change::Create, _)
                    | Subject::Host(Change::Create, _)
                    | Subject::Notification(HandlingMethod::Create, _)
            )
    }

    /// Returns the priority: `ERROR` for an event that reports a failure or needs an operator, as in Masakari.
    pub fn priority(&self) -> Priority {
        if self.failure.is_some() {
            Priority::Error
        } else {
            Priority::Info
        }
    }

    /// Returns the publisher. Changes of segments and hosts always carry the API's name, whichever component makes them.
    pub fn publisher(&self) -> Publisher {
        match &self.subject {
            Subject::Segment(..) | Subject::Host(..) | Subject::Notification(HandlingMethod::Create, _) => {
                Publisher::Api
            }
            Subject::Notification(HandlingMethod::Process, _)
            | Subject::Vmove(_)
            | Subject::Recovery(..)
            | Subject::Freeze(..) => Publisher::Engine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: Subject, phase: Option<Phase>) -> Event {
        Event {
            at: Timestamp::from_micros(0),
            cause: Arc::default(),
            subject,
            phase,
            failure: None,
        }
    }

    #[test]
    fn names_and_publishers() {
        let id = uuid::Uuid::nil();
        let segment = |change| Subject::Segment(change, EventSnapshot::Id(id.into()));
        let host = |change| Subject::Host(change, EventSnapshot::Id(id.into()));
        let notification = |handling| Subject::Notification(handling, EventSnapshot::Id(id.into()));
        for (subject, phase, name, publisher) in [
            (
                segment(Change::Create),
                Some(Phase::Start),
                "segment.create.start",
                "masakari-api",
            ),
            (
                host(Change::Update),
                Some(Phase::End),
                "host.update.end",
                "masakari-api",
            ),
            (
                notification(HandlingMethod::Create),
                Some(Phase::Error),
                "notification.create.error",
                "masakari-api",
            ),
            (
                notification(HandlingMethod::Process),
                Some(Phase::Error),
                "notification.process.error",
                "masakari-engine",
            ),
        ] {
            let event = event(subject, phase);
            assert_eq!(event.name(), name);
            assert_eq!(event.publisher().as_str(), publisher, "{name}");
        }
    }

    #[test]
    fn what_has_failed_is_loud() {
        let mut event = event(
            Subject::Segment(Change::Delete, EventSnapshot::Id(uuid::Uuid::nil().into())),
            Some(Phase::Error),
        );
        assert_eq!(event.priority(), Priority::Info);
        event.failure = Some(FailureCause {
            exception: "DBError".into(),
            message: String::new(),
            module: String::new(),
            function: String::new(),
            trace: String::new(),
        });
        assert_eq!(event.priority(), Priority::Error);
    }
}
