//! Tells of what requests change.
//!
//! A change is told when its transaction has ended: that it began, at the time it did, and what came of it. What is refused
//! is told only if Masakari tells of it, which asks most questions before it begins.

use std::sync::Arc;

use tachi_domain::Timestamp;
use tachi_domain::event::{
    Cause, Change, Event, Handling, HostPicture, NotificationPicture, Phase, SegmentPicture, Subject, Trouble,
};
use tachi_engine::ports::RegistryError;

use crate::app::App;
use crate::auth::Caller;

/// What a request is known as.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestIds {
    /// Its own id.
    pub(crate) own: String,
    /// The id of the greater work it is part of.
    pub(crate) global: Option<String>,
}

/// A request that may have to be told of.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    cause: Arc<Cause>,
    began: Timestamp,
}

impl Story {
    /// Of a request by `caller`; `None` if nobody listens.
    pub(crate) fn of(app: &App, caller: &Caller, ids: &RequestIds) -> Option<Self> {
        if !app.events.wanted() {
            return None;
        }
        let who = &caller.identity;
        let cause = Cause {
            request_id: ids.own.clone(),
            global_request_id: ids.global.clone(),
            user_id: Some(who.user_id.clone()).filter(|id| !id.is_empty()),
            user_name: who.user_name.clone(),
            user_domain_id: who.user_domain_id.clone(),
            project_id: who.project_id.clone(),
            project_domain_id: who.project_domain_id.clone(),
            domain_id: who.domain_id.clone(),
            system_scope: who.system_scope.clone(),
            roles: who.roles.clone(),
            is_admin: caller.always_admin || app.policy.allows("context_is_admin", caller),
        };
        Some(Self {
            cause: Arc::new(cause),
            began: app.clock.wall(),
        })
    }

    /// A change of a segment has ended. `wanted` is how it would be.
    pub(crate) fn segment(
        &self,
        app: &App,
        change: Change,
        outcome: Result<SegmentPicture, &RegistryError>,
        wanted: impl FnOnce() -> SegmentPicture,
    ) {
        let function = match change {
            Change::Create => "create_segment",
            Change::Update => "update_segment",
            Change::Delete => "delete_segment",
        };
        match outcome {
            Ok(done) => {
                let begun = match change {
                    Change::Create => done.clone().unborn(),
                    Change::Update | Change::Delete => done.clone(),
                };
                self.done(
                    app,
                    Subject::Segment(change, begun),
                    Subject::Segment(change, done),
                );
            }
            Err(error) => self.failed(app, error, function, || Subject::Segment(change, wanted())),
        }
    }

    /// A change of a host has ended. `wanted` is how it would be.
    pub(crate) fn host(
        &self,
        app: &App,
        change: Change,
        outcome: Result<HostPicture, &RegistryError>,
        wanted: impl FnOnce() -> HostPicture,
    ) {
        let function = match change {
            Change::Create => "create_host",
            Change::Update => "update_host",
            Change::Delete => "delete_host",
        };
        match outcome {
            Ok(done) => {
                let begun = match change {
                    Change::Create => done.clone().unborn(),
                    Change::Update | Change::Delete => done.clone(),
                };
                self.done(app, Subject::Host(change, begun), Subject::Host(change, done));
            }
            Err(error) => self.failed(app, error, function, || Subject::Host(change, wanted())),
        }
    }

    /// A notification has been accepted, or not.
    pub(crate) fn notification(
        &self,
        app: &App,
        outcome: Result<NotificationPicture, &RegistryError>,
        wanted: impl FnOnce() -> NotificationPicture,
    ) {
        let subject = |picture| Subject::Notification(Handling::Create, picture);
        match outcome {
            Ok(done) => self.done(app, subject(done.clone().unborn()), subject(done)),
            Err(error) => self.failed(app, error, "create_notification", || subject(wanted())),
        }
    }

    fn done(&self, app: &App, begun: Subject, done: Subject) {
        self.emit(app, begun, Phase::Start, self.began, None);
        self.emit(app, done, Phase::End, app.clock.wall(), None);
    }

    fn failed(&self, app: &App, error: &RegistryError, function: &str, wanted: impl FnOnce() -> Subject) {
        let Some(trouble) = trouble(error, function) else {
            return;
        };
        let wanted = wanted();
        self.emit(app, wanted.clone(), Phase::Start, self.began, None);
        self.emit(app, wanted, Phase::Error, app.clock.wall(), Some(trouble));
    }

    fn emit(&self, app: &App, subject: Subject, phase: Phase, at: Timestamp, trouble: Option<Trouble>) {
        app.events.emit(Event {
            at,
            cause: Arc::clone(&self.cause),
            subject,
            phase: Some(phase),
            trouble,
        });
    }
}

/// What is told of a failure, by Masakari's names for it; `None` if it is a refusal that nobody is told of.
fn trouble(error: &RegistryError, function: &str) -> Option<Trouble> {
    let (exception, message) = match error {
        RegistryError::SegmentExists { name } => (
            "FailoverSegmentExists",
            format!("Failover segment with name {name} already exists."),
        ),
        RegistryError::HostExists { name } => {
            ("HostExists", format!("Host with name {name} already exists."))
        }
        RegistryError::Unavailable { .. } => ("DBConnectionError", error.to_string()),
        RegistryError::Database { .. } => ("DBError", error.to_string()),
        // And whatever refusals there may be one day.
        RegistryError::MarkerNotFound { .. }
        | RegistryError::SegmentNotFound { .. }
        | RegistryError::HostNotFound { .. }
        | RegistryError::InUse
        | RegistryError::UnknownHostName { .. }
        | RegistryError::OnMaintenance { .. }
        | RegistryError::Duplicate
        | _ => return None,
    };
    let mut trace = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        trace.push(error.to_string());
        cause = error.source();
    }
    Some(Trouble {
        exception: exception.to_owned(),
        message,
        module: "tachi.api".to_owned(),
        function: function.to_owned(),
        trace: trace.join("\n"),
    })
}
