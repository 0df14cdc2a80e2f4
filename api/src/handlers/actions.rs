//! `/operator/v1/words`: operator actions. Each is in the audit log with the caller's Keystone identity before it is stored.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tachi_domain::RecoveryId;
use tachi_domain::recovery::{OperatorCommand, ResolutionKind};
use tachi_engine::ports::audit::{AuditAction, AuditEntry, AuditPhase};
use tachi_operator::actions::{self, ActionError};
use tachi_operator::failed_instance;

use super::operator::database_unavailable;
use crate::access_log;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, RequestExtensions};
use crate::reply;
use crate::state::ApiState;
use crate::types::action::{ActionKind, ActionView, NewAction};

/// The additional policy rule for confirming that an instance does not run on a host where it might still run.
pub(crate) const CONFIRM_NOT_RUNNING: &str = "os_masakari_api:operator:vouch";

/// Maximum length of the stored user name, in characters. The user's id and the reason have to fit beside it.
const MAX_NAME_CHARS: usize = 32;

/// Submits an action.
pub(crate) async fn submit(
    State(app): State<ApiState>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewAction>,
) -> Answer {
    refuse_monitors(&app, &caller)?;
    if body.kind == ActionKind::Failure && !app.policy.allows(CONFIRM_NOT_RUNNING, &caller) {
        return Err(ApiError::Forbidden {
            rule: CONFIRM_NOT_RUNNING,
        });
    }
    let by = actions::signed(&name_of(&caller), body.reason.as_deref())
        .map_err(|why| ApiError::bad_request(format!("Invalid input for field/attribute reason: {why}")))?;
    let ids = access_log::request_ids(&extensions).unwrap_or_default();
    let requester = Requester {
        app: &app,
        by,
        request: ids.own,
    };
    let accepted = match body.kind {
        ActionKind::Approve => requester.of_recovery(&body, OperatorCommand::Approve).await?,
        ActionKind::Abort => requester.of_recovery(&body, OperatorCommand::Reject).await?,
        ActionKind::Success => requester.of_instance(&body, ResolutionKind::Success).await?,
        ActionKind::Failure => requester.of_instance(&body, ResolutionKind::Failure).await?,
        ActionKind::Retry => requester.of_instance(&body, ResolutionKind::Retry).await?,
        ActionKind::Ignore => requester.of_instance(&body, ResolutionKind::Ignore).await?,
    };
    app.notify.notify();
    answer(&accepted)
}

/// Refuses callers that are bound to a host, regardless of the policy.
///
/// # Errors
///
/// 403: the caller is bound to a host.
pub(crate) fn refuse_monitors(app: &ApiState, caller: &Caller) -> Result<(), ApiError> {
    match app.binding.options.host_of(&caller.reporter()) {
        None => Ok(()),
        Some(host) => Err(ApiError::NotYours {
            message: format!(
                "This caller is a monitor, bound to host {host} by [api] reporter_binding. Monitors may only report \
                 failures."
            ),
        }),
    }
}

fn answer(view: &ActionView) -> Result<Response, ApiError> {
    reply::with_status(StatusCode::ACCEPTED, "word", view)
}

/// Returns the Keystone user for the audit log. Users can choose their names, so the id identifies the user.
pub(super) fn name_of(caller: &Caller) -> String {
    let who = &caller.identity;
    let name = who.user_name.as_deref().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    match (name.as_str(), who.user_id.as_str()) {
        ("", "") => "unauthenticated caller".to_owned(),
        ("", id) => format!("Keystone user {id}"),
        (name, id) => format!("{name}, Keystone user {id}"),
    }
}

pub(super) fn refused(why: ActionError) -> ApiError {
    match why {
        ActionError::Unknown(why) => ApiError::unknown_name(why),
        ActionError::Refused(why) | ActionError::Ambiguous(why) => ApiError::Conflict { message: why },
        ActionError::Unaudited { source, .. } => ApiError::Unavailable {
            service: "The audit log",
            source: Box::new(source),
        },
        ActionError::Failed(error) if error.denied => ApiError::Denied {
            source: Box::new(error),
        },
        ActionError::Failed(error) => database_unavailable(error),
    }
}

struct Requester<'a> {
    app: &'a ApiState,
    by: String,
    request: String,
}

impl Requester<'_> {
    /// Writes the intent to the audit log before the action is stored, so that the operator of every action is known.
    async fn log_intent(&self, host: &str, recovery: RecoveryId, text: &str) -> Result<(), ApiError> {
        let mut entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, host);
        entry.recovery = Some(recovery.to_string());
        entry.operator = Some(self.by.clone());
        entry.text = format!("{text} ({})", self.request);
        let written = self.app.audit.write(entry).await;
        written.map_err(|error| ApiError::Unavailable {
            service: "The audit log",
            source: Box::new(error),
        })
    }

    async fn of_recovery(&self, body: &NewAction, command: OperatorCommand) -> Result<ActionView, ApiError> {
        let (kind, requested) = (body.kind, body.recovery.as_deref());
        if body.instance.is_some() || body.on.is_some() {
            return Err(ApiError::bad_request(format!(
                "{kind} applies to a recovery: omit instance and on"
            )));
        }
        let requested = requested.ok_or_else(|| {
            ApiError::bad_request(format!("{kind} applies to a recovery: set recovery to its id"))
        })?;
        let missing = || ApiError::unknown_name(format!("No recovery has the id {requested}."));
        let id: RecoveryId = requested.parse().map_err(|_| missing())?;
        let history = self
            .app
            .operator_journal
            .history(id)
            .await
            .map_err(database_unavailable)?
            .ok_or_else(missing)?;
        let view = |already| ActionView {
            word: kind,
            recovery: id,
            instance: None,
            by: self.by.clone(),
            already,
        };
        if actions::is_repeated(&history, command) {
            return Ok(view(true));
        }
        actions::accepts(&history, command, &body.waits).map_err(refused)?;
        self.log_intent(&history.summary.host, id, kind.as_str()).await?;
        let operator_journal = self.app.operator_journal.as_ref();
        actions::submit(operator_journal, id, command, &body.waits, &self.by)
            .await
            .map_err(refused)?;
        Ok(view(false))
    }

    async fn of_instance(
        &self,
        body: &NewAction,
        resolution: ResolutionKind,
    ) -> Result<ActionView, ApiError> {
        let kind = body.kind;
        let requested = body.instance.as_deref().ok_or_else(|| {
            ApiError::bad_request(format!(
                "{kind} applies to an instance: set instance to its id or name"
            ))
        })?;
        let operator_journal = self.app.operator_journal.as_ref();
        let line = match actions::instance(operator_journal, requested).await {
            Ok(line) => line,
            Err(ActionError::Unknown(why)) => {
                return self.of_failed_instance(body, resolution, requested, why).await;
            }
            Err(why) => return Err(refused(why)),
        };
        let id = line.line.recovery;
        if body
            .recovery
            .as_ref()
            .is_some_and(|named| *named != id.to_string())
        {
            return Err(ApiError::Conflict {
                message: format!("{requested} belongs to recovery {id}; nothing was changed"),
            });
        }
        line.accepts(resolution, body.on.as_deref()).map_err(refused)?;
        if let (ResolutionKind::Success, Some(host)) = (resolution, body.on.as_deref()) {
            let snapshot = self.app.region.snapshot().await.map_err(database_unavailable)?;
            actions::is_shown_on(&snapshot, &line, host).map_err(refused)?;
        }
        let verb = resolution.verb(body.on.as_deref());
        let text = format!("{verb} for instance {}", line.line.server);
        self.log_intent(&line.line.host, id, &text).await?;
        actions::resolve_instance(operator_journal, &line, resolution, body.on.clone(), &self.by)
            .await
            .map_err(refused)?;
        Ok(ActionView {
            word: kind,
            recovery: id,
            instance: Some(line.line.server.to_string()),
            by: self.by.clone(),
            already: false,
        })
    }

    /// Handles an action on an instance whose own recovery has failed. `unknown` is the message if there is none.
    async fn of_failed_instance(
        &self,
        body: &NewAction,
        word: ResolutionKind,
        requested: &str,
        unknown: String,
    ) -> Result<ActionView, ApiError> {
        let operator_journal = self.app.operator_journal.as_ref();
        let snapshot = self.app.region.snapshot().await.map_err(database_unavailable)?;
        let action = (word, body.on.as_deref());
        let found = failed_instance::find(operator_journal, &snapshot, requested, action).await;
        let one = found
            .and_then(|found| found.ok_or(ActionError::Unknown(unknown)))
            .map_err(refused)?;
        let named = body.recovery.as_ref();
        if named.is_some_and(|named| *named != one.recovery.to_string()) {
            return Err(ApiError::Conflict {
                message: format!(
                    "{requested} belongs to recovery {}; nothing was changed",
                    one.recovery
                ),
            });
        }
        let text = format!("{} for instance {}", word.verb(Some(&one.host)), one.server);
        self.log_intent(&one.host, one.recovery, &text).await?;
        one.runs(operator_journal, &self.by).await.map_err(refused)?;
        Ok(ActionView {
            word: body.kind,
            recovery: one.recovery,
            instance: Some(one.server.to_string()),
            by: self.by.clone(),
            already: false,
        })
    }
}
