//! `/operator/v1/hosts/{hostname}/drain` and `/giveback`: planned moves for running hosts. The command uses the same code. Nova is
//! not queried here: the data that an engine has read counts, and the engine re-checks it before each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::HostView;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::plans::{self, AwayInstance, BegunPlan, HostService, InvalidPlan, PlanRequest, Planner};
use tachi_operator::{AwayView, FailurePreview, GivebackView, RegionSnapshot, Time, report_host};

use super::actions::{name_of, refuse_monitors, refused};
use super::freezes::run_to_completion;
use super::operator::database_unavailable;
use crate::access_log;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, Ids, RequestExtensions};
use crate::reply;
use crate::state::ApiState;
use crate::types::plan::{NewDrain, NewGiveback};

/// A host with its current data.
struct HostSnapshot {
    view: HostView,
    region: Arc<RegionSnapshot>,
    service: Option<HostService>,
    /// The reason that blocks planning now, if any.
    blocker: Option<String>,
}

async fn snapshot(app: &ApiState, name: &str, kind: RecoveryKind) -> Result<HostSnapshot, ApiError> {
    let view = report_host::named(app.operator_journal.as_ref(), name)
        .await
        .map_err(refused)?;
    let region = app.region.snapshot().await.map_err(database_unavailable)?;
    let freezes = app.freezes.freezes().await.map_err(database_unavailable)?;
    let (service, unknown) = match plans::service_in(&region, &view.host.name) {
        Ok(service) => (service, None),
        Err(why) => (None, Some(why)),
    };
    let blocker = plans::preconditions(kind, &view, &freezes, &region, service.as_ref());
    Ok(HostSnapshot {
        view,
        region,
        service,
        // Missing data is reported before any reason derived from it.
        blocker: unknown.or(blocker),
    })
}

/// Returns the consequences of a drain.
pub(crate) async fn drain_outlook(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let target = snapshot(&app, &name, RecoveryKind::Drain).await?;
    let host = target.view.host.name;
    let consequences = target.service.as_ref();
    let consequences = consequences.map(|service| plans::drain_consequences(&host, service));
    let preview = FailurePreview {
        host,
        against: target.blocker,
        consequences: consequences.unwrap_or_default(),
    };
    reply::ok("drain", &preview)
}

/// Returns the instances that a giveback would move back to the host.
pub(crate) async fn giveback_outlook(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let target = snapshot(&app, &name, RecoveryKind::Giveback).await?;
    let all = moved(&app, &target).await?;
    let preview = GivebackView {
        host: target.view.host.name,
        against: target.blocker,
        seen_at: target
            .region
            .facts
            .instances
            .as_ref()
            .map(|known| Time(known.as_of)),
        instances: all.iter().map(AwayView::from).collect(),
    };
    reply::ok("giveback", &preview)
}

async fn moved(app: &ApiState, target: &HostSnapshot) -> Result<Vec<AwayInstance>, ApiError> {
    let (plans, operator_journal) = (app.plans.as_ref(), app.operator_journal.as_ref());
    let all = plans::list_away(plans, operator_journal, &target.region, &target.view.host.name).await;
    all.map_err(database_unavailable)
}

/// Starts a drain.
pub(crate) async fn drain(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewDrain>,
) -> Answer {
    plan(app, name, &extensions, &caller, body.0).await
}

/// Starts a giveback.
pub(crate) async fn giveback(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewGiveback>,
) -> Answer {
    plan(app, name, &extensions, &caller, body.0).await
}

async fn plan(
    app: ApiState,
    name: String,
    extensions: &http::Extensions,
    caller: &Caller,
    plan_request: PlanRequest,
) -> Answer {
    refuse_monitors(&app, caller)?;
    let plan_request = plan_request.validate().map_err(|why| {
        let (field, why) = match why {
            InvalidPlan::Lasts(why) => ("lasts_seconds", why),
            InvalidPlan::Limit(why) => ("limit_seconds", why),
            InvalidPlan::Reason(why) => ("reason", why),
        };
        ApiError::bad_request(format!("Invalid input for field/attribute {field}: {why}"))
    })?;
    let ids = access_log::request_ids(extensions).unwrap_or_default();
    run_to_completion(write(app, name, name_of(caller), ids.own, plan_request)).await
}

async fn write(
    app: ApiState,
    name: String,
    by: String,
    request: String,
    plan_request: PlanRequest,
) -> Answer {
    let planner = Planner {
        operator_journal: app.operator_journal.as_ref(),
        plans: app.plans.as_ref(),
        operator: AuditedOperator {
            audit: app.audit.as_ref(),
            by,
            request: Some(request),
        },
    };
    let target = snapshot(&app, &name, plan_request.kind).await?;
    let already = planner
        .already(&target.view, &plan_request, app.clock.wall())
        .await;
    if let Some(already) = already.map_err(database_unavailable)? {
        return answer(&already);
    }
    if let Some(why) = &target.blocker {
        return Err(refused(plans::refused(why)));
    }
    let instances = if plan_request.kind == RecoveryKind::Giveback {
        let instances = plans::instances_to_return(&moved(&app, &target).await?);
        if instances.is_empty() {
            let why = format!(
                "no instance that was moved away from {} can move back",
                target.view.host.name
            );
            return Err(refused(plans::refused(&why)));
        }
        instances
    } else {
        BTreeMap::new()
    };
    let started = planner.plan(&target.view, &plan_request, instances).await;
    let started = started.map_err(refused)?;
    let view = &started.view;
    tracing::info!(recovery = %view.recovery, host = %view.host, by = %view.by, kind = %view.kind, "plan accepted");
    if let Some(why) = &started.unaudited {
        tracing::warn!(%why, "failed to write an operator action to the audit log");
    }
    app.notify.notify();
    answer(&started)
}

fn answer(planned: &BegunPlan) -> Answer {
    reply::with_status(StatusCode::ACCEPTED, "plan", &planned.view)
}
