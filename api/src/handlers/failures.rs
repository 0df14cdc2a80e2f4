//! `/operator/v1/hosts/{hostname}/failure`: an operator reports a host as dead. The report is handled like a monitor's and has
//! the same weight. The command uses the same code.

use axum::extract::State;
use http::StatusCode;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::event::{EventSnapshot, HandlingMethod, Subject};
use tachi_engine::ports::operator::HostView;
use tachi_operator::actions;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::report_host::{self, FailureReport};

use super::actions::{name_of, refuse_monitors, refused};
use super::freezes::run_to_completion;
use super::operator::database_unavailable;
use crate::access_log;
use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, Ids, RequestExtensions};
use crate::metrics;
use crate::reply;
use crate::request_events::RequestEvents;
use crate::state::ApiState;
use crate::types::failure::NewFailure;

/// Returns the expected consequences of a report.
pub(crate) async fn preview(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let view = report_host::named(app.operator_journal.as_ref(), &name)
        .await
        .map_err(refused)?;
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let nova = report_host::nova_state(&snapshot, &view.host.name);
    let preview = report_host::preview(app.freezes.as_ref(), &view, snapshot.fencing.mode, nova).await;
    reply::ok("failure", &preview.map_err(refused)?)
}

/// Reports the host as dead.
pub(crate) async fn report(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest {
        caller, body, events, ..
    }: AuthorisedRequest<NewFailure>,
) -> Answer {
    refuse_monitors(&app, &caller)?;
    let by = actions::signed(&name_of(&caller), Some(&body.reason))
        .map_err(|why| ApiError::bad_request(format!("Invalid input for field/attribute reason: {why}")))?;
    let view = report_host::named(app.operator_journal.as_ref(), &name)
        .await
        .map_err(refused)?;
    let mut new = report_host::notification(&view.host.name, app.clock.wall());
    // A caller who may act may report any host. Contradictory names in the caller's credentials are refused nevertheless.
    let judged = app.binding.options.judge(caller.reporter(), || true, &mut new);
    judged.map_err(|why| ApiError::NotYours {
        message: format!("This reporter may not report {}: {why}.", view.host.name),
    })?;
    let ids = access_log::request_ids(&extensions).unwrap_or_default();
    run_to_completion(write(app, by, ids.own, view, new, events)).await
}

async fn write(
    app: ApiState,
    by: String,
    request: String,
    view: HostView,
    new: NewNotification,
    events: Option<RequestEvents>,
) -> Answer {
    let kind = new.kind.as_str();
    let failing = FailureReport {
        operator_journal: app.operator_journal.as_ref(),
        reports: app.registry.as_ref(),
        operator: AuditedOperator {
            audit: app.audit.as_ref(),
            by,
            request: Some(request),
        },
        window: app.duplicate_window_seconds,
    };
    let report = failing
        .report(&view, new, app.clock.wall())
        .await
        .map_err(refused)?;
    if let Some(accepted) = &report.accepted {
        let result = if report.view.set_aside {
            "set_aside"
        } else {
            "accepted"
        };
        metrics::notification(kind, result);
        if let Some(events) = &events {
            events.done(
                &app,
                Subject::Notification(HandlingMethod::Create, EventSnapshot::Entity(accepted.clone())),
            );
        }
        tracing::info!(notification = %accepted.id, host = %view.host.name, by = %report.view.by, "operator reported a host as failed");
        app.report_limit.remember(&view.host.name, accepted.segment);
    }
    if let Some(why) = report.unaudited {
        tracing::warn!(%why, "failed to write an operator action to the audit log");
    }
    app.notify.notify();
    reply::with_status(StatusCode::ACCEPTED, "failure", &report.view)
}
