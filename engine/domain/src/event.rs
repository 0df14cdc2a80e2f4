//! What is told to whoever listens: that something is about to be done, has been done, or has failed.
//!
//! An event is a fact for people and their programs; nothing in Tachi depends on one. How it looks on the wire is the
//! business of the adapter that sends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entity::host::{HostChange, NewHost};
use crate::entity::notification::{NewNotification, NotificationStatus};
use crate::entity::segment::{NewSegment, RecoveryMethod, SegmentChange};
use crate::entity::vmove::VmoveStatus;
use crate::entity::{Host, Notification, Segment};
use crate::freeze::Freeze;
use crate::id::{HostId, NotificationId, RecoveryId, SegmentId, ServerId, VmoveId};
use crate::recovery::RecoveryKind;
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// Where in its course the thing is that an event tells of.
    Phase {
        /// It begins.
        Start = "start",
        /// It is done.
        End = "end",
        /// It has failed.
        Error = "error",
    }
}

words! {
    /// What is done to a segment or a host.
    Change {
        /// It is added.
        Create = "create",
        /// It is changed.
        Update = "update",
        /// It is deleted.
        Delete = "delete",
    }
}

words! {
    /// What is done with a notification.
    Handling {
        /// It is accepted.
        Create = "create",
        /// It is worked on.
        Process = "process",
    }
}

words! {
    /// What happens to a recovery.
    Turn {
        /// The work itself; the only one with phases.
        Process = "process",
        /// Another engine goes on with it.
        TakeOver = "take_over",
        /// Its host is proven off.
        Proof = "proof",
        /// It waits for an operator.
        Hold = "hold",
        /// It waits no longer.
        Resume = "resume",
        /// Its host is watched no longer.
        Close = "close",
    }
}

words! {
    /// How far a freeze is.
    Thawing {
        /// Its time is nearly over.
        EndsSoon = "ends_soon",
        /// Its time is over.
        End = "end",
    }
}

words! {
    /// How loud an event is.
    Priority {
        /// As it should be.
        Info = "INFO",
        /// Something has failed, or needs an operator.
        Error = "ERROR",
    }
}

words! {
    /// In whose name an event is sent. Listeners choose by it.
    Publisher {
        /// The API, and whoever else changes what the API keeps.
        Api = "masakari-api",
        /// The engine.
        Engine = "masakari-engine",
    }
}

/// What caused an event: the request, and who made it; or the recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Under which the work is known across services; of the form `req-UUID`.
    pub request_id: String,
    /// The id its caller gave to the greater work it is part of.
    pub global_request_id: Option<String>,
    /// Who asked; `None` for a recovery.
    pub user_id: Option<String>,
    /// The name of who asked.
    pub user_name: Option<String>,
    /// The domain of who asked.
    pub user_domain_id: Option<String>,
    /// The project the request was made in.
    pub project_id: Option<String>,
    /// That project's domain.
    pub project_domain_id: Option<String>,
    /// The domain the request was made in.
    pub domain_id: Option<String>,
    /// `all` if the request was made for the whole system.
    pub system_scope: Option<String>,
    /// The roles held there.
    pub roles: Vec<String>,
    /// Whether the policy calls who asked an administrator.
    pub is_admin: bool,
}

/// Why something failed, in the words of Masakari's exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The name Masakari has for it, such as `HostRecoveryFailureException`.
    pub exception: String,
    /// For people.
    pub message: String,
    /// The part of Tachi that met it.
    pub module: String,
    /// What that part was doing.
    pub function: String,
    /// How it came to this, one cause a line.
    pub trace: String,
}

/// What an event shows of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown<Entity, New, Id> {
    /// All of it: as it is, or would have been with a change.
    Entity(Entity),
    /// What it was to be made of. It was not made, so it has no id.
    New(New),
    /// Its id alone: it could not be read.
    Id(Id),
}

/// A segment.
pub type ShownSegment = Shown<Segment, NewSegment, SegmentId>;
/// A host; a new one with its segment.
pub type ShownHost = Shown<Host, (NewHost, Segment), HostId>;
/// A notification.
pub type ShownNotification = Shown<Notification, NewNotification, NotificationId>;

impl ShownSegment {
    /// The same with a change.
    #[must_use]
    pub fn with(self, change: &SegmentChange) -> Self {
        match self {
            Self::Entity(segment) => Self::Entity(change.applied_to(segment)),
            Self::New(_) | Self::Id(_) => self,
        }
    }
}

impl ShownHost {
    /// The same with a change.
    #[must_use]
    pub fn with(self, change: &HostChange) -> Self {
        match self {
            Self::Entity(host) => Self::Entity(change.applied_to(host)),
            Self::New(_) | Self::Id(_) => self,
        }
    }
}

/// An instance of a host recovery, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmoveTold {
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

/// A recovery, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryTold {
    /// Its id.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// What it is about.
    pub kind: RecoveryKind,
    /// The host.
    pub host: HostId,
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

/// What an event is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A segment.
    Segment(Change, ShownSegment),
    /// A host.
    Host(Change, ShownHost),
    /// A notification.
    Notification(Handling, ShownNotification),
    /// An instance of a host recovery.
    Vmove(VmoveTold),
    /// A recovery.
    Recovery(Turn, RecoveryTold),
    /// A freeze.
    Freeze(Thawing, Freeze),
}

/// One fact, told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When; wall time of the machine that tells.
    pub at: Timestamp,
    /// What caused it.
    pub cause: Arc<Cause>,
    /// What it is about.
    pub subject: Subject,
    /// See [`Phase`]; `None` for what happens at once.
    pub phase: Option<Phase>,
    /// Why it failed, or needs an operator.
    pub trouble: Option<Trouble>,
}

impl Event {
    /// Its name, by which listeners know what its payload is.
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

    /// Whether it tells that something begins to be made, which has no id then.
    pub fn begins_making(&self) -> bool {
        self.phase == Some(Phase::Start)
            && matches!(
                self.subject,
                Subject::Segment(Change::Create, _)
                    | Subject::Host(Change::Create, _)
                    | Subject::Notification(Handling::Create, _)
            )
    }

    /// How loud it is: with a trouble `ERROR`, as Masakari has it.
    pub fn priority(&self) -> Priority {
        if self.trouble.is_some() {
            Priority::Error
        } else {
            Priority::Info
        }
    }

    /// In whose name it is sent. Changes of segments and hosts bear the API's, whoever makes them, as they always did.
    pub fn publisher(&self) -> Publisher {
        match &self.subject {
            Subject::Segment(..) | Subject::Host(..) | Subject::Notification(Handling::Create, _) => {
                Publisher::Api
            }
            Subject::Notification(Handling::Process, _)
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
            trouble: None,
        }
    }

    #[test]
    fn names_and_publishers() {
        let id = uuid::Uuid::nil();
        let segment = |change| Subject::Segment(change, Shown::Id(id.into()));
        let host = |change| Subject::Host(change, Shown::Id(id.into()));
        let notification = |handling| Subject::Notification(handling, Shown::Id(id.into()));
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
                notification(Handling::Create),
                Some(Phase::Error),
                "notification.create.error",
                "masakari-api",
            ),
            (
                notification(Handling::Process),
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
            Subject::Segment(Change::Delete, Shown::Id(uuid::Uuid::nil().into())),
            Some(Phase::Error),
        );
        assert_eq!(event.priority(), Priority::Info);
        event.trouble = Some(Trouble {
            exception: "DBError".into(),
            message: String::new(),
            module: String::new(),
            function: String::new(),
            trace: String::new(),
        });
        assert_eq!(event.priority(), Priority::Error);
    }
}
