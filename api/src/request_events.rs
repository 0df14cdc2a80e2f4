//! Events (OpenStack notifications) about changes that requests make.
//!
//! The events of a change are emitted when its transaction has finished: a start event with the actual start time, and a result.
//! A refusal emits an error event only where Masakari does; Masakari makes most checks before its start event.

use std::sync::Arc;

use tachi_domain::Timestamp;
use tachi_domain::event::{Cause, Event, FailureCause, Phase, Subject};
use tachi_engine::ports::RegistryError;

use crate::auth::Caller;
use crate::state::ApiState;

/// The ids of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestIds {
    /// The request's own id.
    pub(crate) own: String,
    /// The id of the larger operation that the request is part of, if the caller sent one.
    pub(crate) global: Option<String>,
}

/// The source of the events of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestEvents {
    cause: Arc<Cause>,
    started_at: Timestamp,
}

impl RequestEvents {
    /// Returns the event source for a request by `caller`; `None` if events are disabled.
    pub(crate) fn of(app: &ApiState, caller: &Caller, ids: &RequestIds) -> Option<Self> {
        if !app.events.is_enabled() {
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
            started_at: app.clock.wall(),
        })
    }

    /// Emits the events of a finished change: `done` describes the new state, `requested` the requested state after an error.
    pub(crate) fn emit_outcome<T>(
        &self,
        app: &ApiState,
        outcome: &Result<T, RegistryError>,
        done: impl FnOnce(&T) -> Subject,
        requested: impl FnOnce() -> Subject,
    ) {
        match outcome {
            Ok(now) => self.done(app, done(now)),
            Err(error) => {
                let requested = requested();
                if let Some(failure) = failure(error, &requested) {
                    self.ended(app, requested, Phase::Error, Some(failure));
                }
            }
        }
    }

    /// Emits the events of a successful change.
    pub(crate) fn done(&self, app: &ApiState, subject: Subject) {
        self.ended(app, subject, Phase::End, None);
    }

    fn ended(&self, app: &ApiState, subject: Subject, phase: Phase, failure: Option<FailureCause>) {
        self.emit(app, subject.clone(), Phase::Start, self.started_at, None);
        self.emit(app, subject, phase, app.clock.wall(), failure);
    }

    fn emit(
        &self,
        app: &ApiState,
        subject: Subject,
        phase: Phase,
        at: Timestamp,
        failure: Option<FailureCause>,
    ) {
        app.events.emit(Event {
            at,
            cause: Arc::clone(&self.cause),
            subject,
            phase: Some(phase),
            failure,
        });
    }
}

/// Returns Masakari's function name for the change.
fn function(subject: &Subject) -> String {
    match subject {
        Subject::Segment(change, _) => format!("{change}_segment"),
        Subject::Host(change, _) => format!("{change}_host"),
        Subject::Notification(handling, _) => format!("{handling}_notification"),
        Subject::Vmove(_) | Subject::Recovery(..) | Subject::Freeze(..) => String::new(),
    }
}

/// Returns the details of an error event with Masakari's names; `None` for a refusal without an event.
fn failure(error: &RegistryError, requested: &Subject) -> Option<FailureCause> {
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
        // The last pattern covers refusals that may be added later.
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
    Some(FailureCause {
        exception: exception.to_owned(),
        message,
        module: "tachi.api".to_owned(),
        function: function(requested),
        trace: trace.join("\n"),
    })
}
