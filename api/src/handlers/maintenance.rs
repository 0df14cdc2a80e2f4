//! `/operator/v1`: muted reporters, removed monitors, and new attempts of failed recoveries. The commands use the same
//! code.

use axum::extract::State;
use http::StatusCode;
use tachi_domain::RecoveryId;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::maintenance::MaintenanceOperator;
use tachi_operator::{ReporterView, actions};

use super::actions::{name_of, refuse_monitors, refused};
use super::freezes::run_to_completion;
use super::monitors::kind_of;
use super::operator::database_unavailable;
use crate::access_log;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, Ids, RequestExtensions};
use crate::reply;
use crate::state::ApiState;
use crate::types::maintenance::{NewRetry, NewUnmute};

/// The caller of an action and the id of the request.
struct Requester {
    name: String,
    request: String,
}

impl Requester {
    fn of(
        app: &ApiState,
        caller: &Caller,
        extensions: &http::Extensions,
        reason: Option<&str>,
    ) -> Result<Self, ApiError> {
        refuse_monitors(app, caller)?;
        let name = actions::signed(&name_of(caller), reason).map_err(|why| {
            ApiError::bad_request(format!("Invalid input for field/attribute reason: {why}"))
        })?;
        let ids = access_log::request_ids(extensions).unwrap_or_default();
        Ok(Self {
            name,
            request: ids.own,
        })
    }

    fn maintenance_operator<'a>(&self, app: &'a ApiState) -> MaintenanceOperator<'a> {
        MaintenanceOperator {
            operator_journal: app.operator_journal.as_ref(),
            monitors: app.monitors.as_ref(),
            operator: AuditedOperator {
                audit: app.audit.as_ref(),
                by: self.name.clone(),
                request: Some(self.request.clone()),
            },
        }
    }
}

fn warned(unaudited: Option<&String>) {
    if let Some(why) = unaudited {
        tracing::warn!(%why, "failed to write an operator action to the audit log");
    }
}

/// Lists the reporters that are muted, or would be if the limit allowed it.
pub(crate) async fn reporters(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    let listed = app
        .operator_journal
        .muted_reporters()
        .await
        .map_err(database_unavailable)?;
    let views: Vec<_> = listed.iter().map(ReporterView::from).collect();
    reply::ok("reporters", &views)
}

/// Unmutes a reporter.
pub(crate) async fn unmute(
    State(app): State<ApiState>,
    Ids(reporter): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewUnmute>,
) -> Answer {
    let by = Requester::of(&app, &caller, &extensions, body.reason.as_deref())?;
    run_to_completion(async move {
        let done = by.maintenance_operator(&app).unmute(&reporter).await.map_err(refused)?;
        tracing::info!(reporter = %done.view.lifted.reporter, by = %done.view.by, "reporter is no longer muted");
        warned(done.unaudited.as_ref());
        reply::ok("lift", &done.view)
    })
    .await
}

/// Removes a decommissioned monitor.
pub(crate) async fn forget(
    State(app): State<ApiState>,
    Ids((host, kind)): Ids<(String, String)>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, .. }: AuthorisedRequest,
) -> Answer {
    let by = Requester::of(&app, &caller, &extensions, None)?;
    let kind = kind_of(&kind)?;
    run_to_completion(async move {
        let done = by
            .maintenance_operator(&app)
            .forget(&host, kind)
            .await
            .map_err(refused)?;
        tracing::info!(host, %kind, by = %done.view.by, "monitor removed");
        warned(done.unaudited.as_ref());
        reply::ok("monitor", &done.view)
    })
    .await
}

/// Starts another attempt of a failed recovery.
pub(crate) async fn retry(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewRetry>,
) -> Answer {
    let by = Requester::of(&app, &caller, &extensions, body.reason.as_deref())?;
    let missing = || ApiError::unknown_name(format!("No recovery has the id {id}."));
    let id: RecoveryId = id.parse().map_err(|_| missing())?;
    run_to_completion(async move {
        let now = app.clock.wall();
        let done = by.maintenance_operator(&app).retry(id, now).await.map_err(refused)?;
        let view = &done.view;
        tracing::info!(recovery = %view.recovery, of = %id, by = %view.by, already = view.already, "operator requested another attempt of a recovery");
        warned(done.unaudited.as_ref());
        app.notify.notify();
        reply::with_status(StatusCode::ACCEPTED, "retry", view)
    })
    .await
}
