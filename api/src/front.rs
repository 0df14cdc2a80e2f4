//! What every request below `/v1` meets first, whoever sends it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::ORIGIN;

use crate::app::App;
use crate::{access_log, limits};

/// The layer: OPTIONS is answered to everybody, as the CORS layer of an `OpenStack` service does; what is too large is
/// refused; and a browser is told which pages may see the answer, whatever it is.
pub(crate) async fn receive(State(app): State<App>, request: Request, next: Next) -> Response {
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

/// The layer beside `/v1`: only notes which way a request takes.
pub(crate) async fn note(request: Request, next: Next) -> Response {
    access_log::note_route(request.extensions());
    next.run(request).await
}
