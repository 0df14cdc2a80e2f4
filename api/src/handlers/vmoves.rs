//! Handlers of `/notifications/{notification}/vmoves`.

use axum::extract::State;
use tachi_domain::NotificationId;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::entity::vmove::VmoveFilter;

use super::{identifiers, notifications};
use crate::error::{ApiError, ErrorScope};
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::query::Params;
use crate::reply;
use crate::state::ApiState;
use crate::types::vmove::VmoveView;

/// Lists the vmoves of a notification (V1).
pub(crate) async fn list(
    State(app): State<ApiState>,
    Ids(notification): Ids<String>,
    params: Params,
    _: AuthorisedRequest,
) -> Answer {
    let paging = params.paging(Vmove::SORT_KEYS, "uuid", app.max_limit)?;
    let owner = owner(&app, &notification).await?;
    let filter = VmoveFilter {
        status: params.text("status"),
        kind: params.text("type"),
        row: None,
    };
    let vmoves = app.registry.list_vmoves(owner, &paging.of(filter)).await;
    let vmoves = vmoves.map_err(|error| ErrorScope::Nothing.refused(error))?;
    let views: Vec<_> = vmoves.iter().map(VmoveView::from).collect();
    reply::ok("vmoves", &views)
}

/// Returns a vmove (V2).
pub(crate) async fn show(
    State(app): State<ApiState>,
    Ids((notification, vmove)): Ids<(String, String)>,
    _: AuthorisedRequest,
) -> Answer {
    let owner = owner(&app, &notification).await?;
    let missing = || ApiError::not_found(format!("No vm move with id {vmove}."));
    let id = identifiers::vmove(&app, owner, &vmove)
        .await?
        .ok_or_else(missing)?;
    let found = app.registry.get_vmove(owner, id).await;
    let found = found
        .map_err(|error| ErrorScope::Nothing.refused(error))?
        .ok_or_else(missing)?;
    reply::ok("vmove", &VmoveView::from(&found))
}

/// Returns the id of the vmoves' notification. Only a notification of type `COMPUTE_HOST` has vmoves.
async fn owner(app: &ApiState, id: &str) -> Result<NotificationId, ApiError> {
    let notification = notifications::find(app, id).await?;
    match notification.kind {
        NotificationType::ComputeHost => Ok(notification.id),
        NotificationType::Vm | NotificationType::Process => Err(ApiError::bad_request(format!(
            "This notification {id} without vm moves."
        ))),
    }
}
