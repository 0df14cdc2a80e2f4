//! `/operator/v1/hosts/{hostname}/drain` and `/giveback`: planned moves for running hosts. The command uses the same code. Nova is
//! not queried here: the data that an engine has read counts, and the engine re-checks it before each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::HostView;
use tachi_operator::planning::{self, Away, BegunPlan, HostService, InvalidPlan, PlanRequest, Planner};
use tachi_operator::{AwayView, FailurePreview, GivebackView, RegionSnapshot, Time, report_host};

use super::actions::{name_of, not_for_monitors, refused};
use super::freezes::to_the_end;
use super::operator::away;
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
    seen: Arc<RegionSnapshot>,
    service: Option<HostService>,
    /// The reason that blocks planning now, if any.
    against: Option<String>,
}

async fn look(app: &ApiState, name: &str, kind: RecoveryKind) -> Result<HostSnapshot, ApiError> {
    let view = report_host::named(app.desk.as_ref(), name)
        .await
        .map_err(refused)?;
    let seen = app.lookout.look().await.map_err(away)?;
    let freezes = app.freezes.freezes().await.map_err(away)?;
    let (service, unknown) = match planning::service_in(&seen, &view.host.name) {
        Ok(service) => (service, None),
        Err(why) => (None, Some(why)),
    };
    let against = planning::preconditions(kind, &view, &freezes, &seen, service.as_ref());
    Ok(HostSnapshot {
        view,
        seen,
        service,
        // Missing data is reported before any reason derived from it.
        against: unknown.or(against),
    })
}

/// Returns the consequences of a drain.
pub(crate) async fn drain_outlook(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let looked = look(&app, &name, RecoveryKind::Drain).await?;
    let host = looked.view.host.name;
    let consequences = looked.service.as_ref();
    let consequences = consequences.map(|service| planning::drain_comes_to(&host, service));
    let preview = FailurePreview {
        host,
        against: looked.against,
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
    let looked = look(&app, &name, RecoveryKind::Giveback).await?;
    let all = moved(&app, &looked).await?;
    let preview = GivebackView {
        host: looked.view.host.name,
        against: looked.against,
        seen_at: looked
            .seen
            .facts
            .instances
            .as_ref()
            .map(|known| Time(known.as_of)),
        instances: all.iter().map(AwayView::from).collect(),
    };
    reply::ok("giveback", &preview)
}

async fn moved(app: &ApiState, looked: &HostSnapshot) -> Result<Vec<Away>, ApiError> {
    let (plans, desk) = (app.plans.as_ref(), app.desk.as_ref());
    let all = planning::seen_away(plans, desk, &looked.seen, &looked.view.host.name).await;
    all.map_err(away)
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
    wish: PlanRequest,
) -> Answer {
    not_for_monitors(&app, caller)?;
    let wish = wish.validate().map_err(|why| {
        let (field, why) = match why {
            InvalidPlan::Lasts(why) => ("lasts_seconds", why),
            InvalidPlan::Limit(why) => ("limit_seconds", why),
            InvalidPlan::Reason(why) => ("reason", why),
        };
        ApiError::bad_request(format!("Invalid input for field/attribute {field}: {why}"))
    })?;
    let ids = access_log::request_ids(extensions).unwrap_or_default();
    to_the_end(write(app, name, name_of(caller), ids.own, wish)).await
}

async fn write(app: ApiState, name: String, by: String, request: String, wish: PlanRequest) -> Answer {
    let planner = Planner {
        desk: app.desk.as_ref(),
        plans: app.plans.as_ref(),
        audit: app.audit.as_ref(),
        by,
        request: Some(request),
    };
    let looked = look(&app, &name, wish.kind).await?;
    let already = planner.already(&looked.view, &wish, app.clock.wall()).await;
    if let Some(already) = already.map_err(away)? {
        return answer(&already);
    }
    if let Some(why) = &looked.against {
        return Err(refused(planning::refused(why)));
    }
    let instances = if wish.kind == RecoveryKind::Giveback {
        let instances = planning::given_back(&moved(&app, &looked).await?);
        if instances.is_empty() {
            let why = format!(
                "no instance that was moved away from {} can move back",
                looked.view.host.name
            );
            return Err(refused(planning::refused(&why)));
        }
        instances
    } else {
        BTreeMap::new()
    };
    let begun = planner.plan(&looked.view, &wish, instances).await;
    let begun = begun.map_err(refused)?;
    let view = &begun.view;
    tracing::info!(recovery = %view.recovery, host = %view.host, by = %view.by, kind = %view.kind, "plan accepted");
    if let Some(why) = &begun.unaudited {
        tracing::warn!(%why, "failed to write an operator action to the audit log");
    }
    app.notify.notify();
    answer(&begun)
}

fn answer(planned: &BegunPlan) -> Answer {
    reply::with_status(StatusCode::ACCEPTED, "plan", &planned.view)
}
