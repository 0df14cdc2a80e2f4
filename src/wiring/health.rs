//! The health of this process's engine, over HTTP.

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::StatusCode;
use tachi_operator::engine_heartbeat::Health;

/// Returns the route `/healthz`: 200, or 503 with what is wrong.
pub(super) fn router(health: Health) -> Router {
    let answer = move || async move {
        match health.problem() {
            None => (StatusCode::OK, "ok\n".to_owned()).into_response(),
            Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
        }
    };
    Router::new().route("/healthz", get(answer))
}
