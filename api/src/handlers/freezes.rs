//! `/operator/v1/freezes`: pauses of fencing and evacuation. The command uses the same code.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use tachi_operator::FreezeView;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::freezes::{self, FreezeOperator, FreezeRequest, FreezeTarget, InvalidFreeze};

use super::actions::{name_of, refuse_monitors, refused};
use super::operator::database_unavailable;
use crate::access_log;
use crate::auth::Caller;
use crate::error::{ApiError, Bug};
use crate::extract::{Answer, AuthorisedRequest, Ids, RequestExtensions};
use crate::reply;
use crate::state::ApiState;
use crate::types::freeze::NewFreeze;

/// Maximum time that an answer waits for the engines to apply a freeze. It is below the clients' timeout; a client that
/// repeats the request continues to wait.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// Lists the active freezes, by their end.
pub(crate) async fn list(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    let listed = app.freezes.freezes().await.map_err(database_unavailable)?;
    let views: Vec<_> = listed.iter().map(FreezeView::from).collect();
    reply::ok("freezes", &views)
}

/// The caller of an action.
struct Requester {
    name: String,
    request: String,
}

impl Requester {
    fn of(app: &ApiState, caller: &Caller, extensions: &http::Extensions) -> Result<Self, ApiError> {
        refuse_monitors(app, caller)?;
        let ids = access_log::request_ids(extensions).unwrap_or_default();
        Ok(Self {
            name: name_of(caller),
            request: ids.own,
        })
    }

    fn freeze_operator(self, app: &ApiState) -> FreezeOperator<'_> {
        FreezeOperator {
            freezes: app.freezes.as_ref(),
            operator: AuditedOperator {
                audit: app.audit.as_ref(),
                by: self.name,
                request: Some(self.request),
            },
        }
    }
}

/// Completes the work even if the caller disconnects, so that the outcome of every started action is in the audit log.
pub(super) async fn run_to_completion(work: impl Future<Output = Answer> + Send + 'static) -> Answer {
    let done = tokio::spawn(work).await;
    done.map_err(|_| Bug("a request without an answer"))?
}

/// Starts a freeze.
pub(crate) async fn freeze(
    State(app): State<ApiState>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewFreeze>,
) -> Answer {
    let by = Requester::of(&app, &caller, &extensions)?;
    body.is_named()
        .map_err(|why| ApiError::bad_request(format!("Invalid input for field/attribute name: {why}")))?;
    let freeze_request = body.0.validate("force").map_err(|why| {
        let (field, why) = match why {
            InvalidFreeze::Lasts(why) => ("lasts_seconds", why),
            InvalidFreeze::Reason(why) => ("reason", why),
        };
        ApiError::bad_request(format!("Invalid input for field/attribute {field}: {why}"))
    })?;
    run_to_completion(begin(app, by, freeze_request)).await
}

async fn begin(app: ApiState, by: Requester, freeze_request: FreezeRequest) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let what = FreezeTarget::find(freeze_request.scope, &freeze_request.name, &snapshot).map_err(refused)?;
    let freeze_operator = by.freeze_operator(&app);
    let written = freeze_operator
        .freeze(&what, &freeze_request, &snapshot)
        .await
        .map_err(refused)?;
    if !written.already {
        tracing::info!(by = %freeze_operator.operator.by, freeze = %written.line.freeze.sentence(), "freeze started");
    }
    app.notify.notify();
    let waited = freezes::wait(app.operator_journal.as_ref(), &what, WAIT_LIMIT, |_| {}).await;
    let waited = waited.map_err(database_unavailable)?;
    let view = freezes::render_frozen(&written, &what, &waited, &snapshot);
    reply::with_status(StatusCode::CREATED, "freeze", &view)
}

/// Ends a freeze.
pub(crate) async fn thaw(
    State(app): State<ApiState>,
    Ids(number): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, .. }: AuthorisedRequest,
) -> Answer {
    let by = Requester::of(&app, &caller, &extensions)?;
    run_to_completion(end(app, by, number)).await
}

async fn end(app: ApiState, by: Requester, number: String) -> Answer {
    let listed = app.freezes.freezes().await.map_err(database_unavailable)?;
    let found = listed
        .iter()
        .find(|line| line.freeze.number.to_string() == number);
    let found =
        found.ok_or_else(|| ApiError::unknown_name(format!("No active freeze has the number {number}.")))?;
    let freeze_operator = by.freeze_operator(&app);
    let (thawed, unaudited) = freeze_operator
        .thaw(&FreezeView::from(found))
        .await
        .map_err(refused)?;
    tracing::info!(by = %freeze_operator.operator.by, freeze = %found.freeze.what(), "freeze ended by an operator");
    if let Some(why) = unaudited {
        tracing::warn!(%why, "failed to write an operator action to the audit log");
    }
    app.notify.notify();
    reply::ok("freeze", &thawed)
}
