//! The middleware in front of every request below `/v1`, before authentication.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::ORIGIN;

use crate::state::ApiState;
use crate::{access_log, limits};

/// The middleware. It answers OPTIONS without authentication, like the CORS layer of an `OpenStack` service. It refuses requests
/// that are too large, and adds CORS headers to every answer, also to errors.
pub(crate) async fn receive(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    access_log::note_route(request.extensions());
    if request.method() == Method::OPTIONS {
        return app.cors.preflight(request.headers());
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match limits::check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    app.cors.mark(origin.as_ref(), response.headers_mut());
    response
}

/// The middleware for other paths. It only records the route.
pub(crate) async fn note(request: Request, next: Next) -> Response {
    access_log::note_route(request.extensions());
    next.run(request).await
}
