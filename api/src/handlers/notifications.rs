//! Handlers of `/notifications`.

use axum::extract::State;
use http::StatusCode;
use tachi_domain::entity::Notification;
use tachi_domain::entity::notification::{NewNotification, NotificationFilter};
use tachi_domain::event::{EventSnapshot, HandlingMethod, Subject};
use tachi_domain::refusal::RefusalReason;
use tachi_engine::ports::RegistryError;

use super::identifiers;
use crate::binding;
use crate::error::{ApiError, ErrorScope};
use crate::evidence;
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::metrics;
use crate::microversion::Microversion;
use crate::query::Params;
use crate::refusals;
use crate::reply;
use crate::state::ApiState;
use crate::types::notification::NotificationView;
use crate::types::payload;

/// Lists the notifications (N1).
pub(crate) async fn list(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let paging = params.paging(Notification::SORT_KEYS, "notification_uuid", app.max_limit)?;
    let filter = NotificationFilter {
        status: params.text("status"),
        kind: params.text("type"),
        source_host: params.text("source_host_uuid"),
        generated_since: params.time("generated-since")?,
        row: None,
    };
    let notifications = app.registry.list_notifications(&paging.of(filter)).await;
    let notifications = notifications.map_err(|error| ErrorScope::Nothing.refused(error))?;
    let views: Vec<_> = notifications.iter().map(NotificationView::from).collect();
    reply::ok("notifications", &views)
}

/// Creates a notification (N2). The row is the queue: once it is written, the notification is safe. The wake-up only
/// makes an engine start sooner.
pub(crate) async fn create(
    State(app): State<ApiState>,
    request: AuthorisedRequest<NewNotification>,
) -> Answer {
    let mut new = request.body;
    // Until binding has judged it, a report contains no reporter.
    let reporter = request.caller.reporter();
    let refused = |new: &NewNotification, reason| {
        let reporter = new.reporter.as_deref().unwrap_or(&reporter);
        app.refusals.count(new, reporter, reason);
    };
    payload::check(new.kind, &new.payload).inspect_err(|_| refused(&new, RefusalReason::Malformed))?;
    let judged = binding::judge(&app, &request.caller, &mut new);
    judged.inspect_err(|_| refused(&new, RefusalReason::NotYours))?;
    let evidence = evidence::given(&app, &request.caller, &request.headers, &new);
    new.evidence = evidence.inspect_err(|_| refused(&new, RefusalReason::Malformed))?;
    if !app.policy.is_admin(&request.caller) {
        let taken = app.report_limit.count(&new, app.clock.boot());
        taken.map_err(|wait| {
            metrics::notification(new.kind.as_str(), "limited");
            refused(&new, RefusalReason::TooMany);
            tracing::warn!(
                host = %new.hostname, user = %request.caller.identity.user_id,
                "notification refused; its reporter exceeds [api] notifications_per_segment for this segment"
            );
            ApiError::too_many(wait)
        })?;
    }
    let about = ErrorScope::Notification {
        hostname: &new.hostname,
        kind: new.kind.as_str(),
    };
    let window = app.duplicate_window_seconds;
    let accepted = app
        .registry
        .accept_notification(&new, window, app.clock.wall())
        .await;
    let is_muted = |notification: &Notification| notification.reporter.as_ref().is_some_and(|who| who.muted);
    let result = match &accepted {
        Ok(one) if is_muted(one) => "set_aside",
        Ok(_) => "accepted",
        Err(RegistryError::Duplicate) => "duplicate",
        Err(RegistryError::Database { .. }) => "failed",
        Err(_) => "refused",
    };
    metrics::notification(new.kind.as_str(), result);
    if let Err(error) = &accepted {
        refused(&new, refusals::reason(error));
    }
    if let Some(events) = &request.events {
        let subject = |known| Subject::Notification(HandlingMethod::Create, known);
        let done = |now: &Notification| subject(EventSnapshot::Entity(now.clone()));
        events.emit_outcome(&app, &accepted, done, || subject(EventSnapshot::New(new.clone())));
    }
    let accepted = accepted.map_err(|error| about.refused(error))?;
    if is_muted(&accepted) {
        tracing::warn!(
            notification = %accepted.id,
            host = %new.hostname,
            reporter = new.reporter.as_deref().map(tracing::field::display),
            "reporter is muted; its report is stored and starts no recovery"
        );
    }
    app.notify.notify();
    app.report_limit.remember(&new.hostname, accepted.segment);
    tracing::info!(
        notification = %accepted.id,
        host = %new.hostname,
        kind = %new.kind,
        reporter = new.reporter.as_deref().map(tracing::field::display),
        "notification accepted"
    );
    reply::with_status(
        StatusCode::ACCEPTED,
        "notification",
        &NotificationView::from(&accepted),
    )
}

/// Returns a notification (N3).
pub(crate) async fn show(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    request: AuthorisedRequest,
) -> Answer {
    let notification = find(&app, &id).await?;
    let view = NotificationView::from(&notification);
    if request.version < Microversion::PROGRESS {
        return reply::ok("notification", &view);
    }
    let tasks = app.registry.progress(notification.id).await;
    let tasks = tasks.map_err(|error| ErrorScope::Nothing.refused(error))?;
    reply::ok("notification", &view.with_progress(&tasks))
}

/// Returns the notification that a path identifies.
pub(super) async fn find(app: &ApiState, id: &str) -> Result<Notification, ApiError> {
    let missing = || ApiError::not_found(format!("No notification with id {id}."));
    let id = identifiers::notification(app, id).await?.ok_or_else(missing)?;
    let found = app.registry.get_notification(id).await;
    found
        .map_err(|error| ErrorScope::Nothing.refused(error))?
        .ok_or_else(missing)
}
