//! Handlers of `/extensions`.

use axum::extract::State;

use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::reply;
use crate::state::ApiState;
use crate::types::extension::{ALL, ExtensionView};

/// Lists the extensions (E1).
pub(crate) async fn list(State(app): State<ApiState>, request: AuthorisedRequest) -> Answer {
    let visible: Vec<_> = visible(&app, &request).collect();
    reply::ok("extensions", &visible)
}

/// Returns an extension (E2).
pub(crate) async fn show(
    State(app): State<ApiState>,
    Ids(alias): Ids<String>,
    request: AuthorisedRequest,
) -> Answer {
    let found = visible(&app, &request).find(|extension| extension.alias == alias);
    reply::ok("extension", found.ok_or_else(ApiError::no_resource)?)
}

/// Returns the extensions that the caller may see.
fn visible(app: &ApiState, request: &AuthorisedRequest) -> impl Iterator<Item = &'static ExtensionView> {
    ALL.iter()
        .filter(|extension| app.policy.allows(extension.rule, &request.caller))
}
