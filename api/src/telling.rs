//! Tells of what requests change.
//!
//! A change is told when its transaction has ended: that it began, at the time it did, and what came of it. What is refused
//! is told only if Masakari tells of it, which asks most questions before it begins.

use std::sync::Arc;

use tachi_domain::Timestamp;
use tachi_domain::event::{Cause, Event, Phase, Subject, Trouble};
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

    /// A change has ended: with `Ok` what is so now, with an error what would be so.
    pub(crate) fn tell<T>(
        &self,
        app: &App,
        outcome: &Result<T, RegistryError>,
        done: impl FnOnce(&T) -> Subject,
        wanted: impl FnOnce() -> Subject,
    ) {
        match outcome {
            Ok(now) => self.done(app, done(now)),
            Err(error) => {
                let wanted = wanted();
                if let Some(trouble) = trouble(error, &wanted) {
                    self.ended(app, wanted, Phase::Error, Some(trouble));
                }
            }
        }
    }

    /// A change was made.
    pub(crate) fn done(&self, app: &App, subject: Subject) {
        self.ended(app, subject, Phase::End, None);
    }

    fn ended(&self, app: &App, subject: Subject, phase: Phase, trouble: Option<Trouble>) {
        self.emit(app, subject.clone(), Phase::Start, self.began, None);
        self.emit(app, subject, phase, app.clock.wall(), trouble);
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

/// Masakari's name for what was tried.
fn function(subject: &Subject) -> String {
    match subject {
        Subject::Segment(change, _) => format!("{change}_segment"),
        Subject::Host(change, _) => format!("{change}_host"),
        Subject::Notification(handling, _) => format!("{handling}_notification"),
        Subject::Vmove(_) | Subject::Recovery(..) | Subject::Freeze(..) => String::new(),
    }
}

/// What is told of a failure, by Masakari's names for it; `None` if it is a refusal that nobody is told of.
fn trouble(error: &RegistryError, wanted: &Subject) -> Option<Trouble> {
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
        function: function(wanted),
        trace: trace.join("\n"),
    })
}
