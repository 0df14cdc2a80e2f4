//! `/metrics`, for Prometheus on this machine or on the addresses that the operator allows.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::state::ApiState;

/// Returns the metrics to clients that may read them.
pub(crate) async fn answer(State(app): State<ApiState>, request: Request) -> Response {
    match &app.metrics {
        Some(access) => access.answer(app.registry.pool(), &request),
        None => ApiError::no_resource().into_response(),
    }
}
