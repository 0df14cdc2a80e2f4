//! The middleware of every request: applies faults, writes the journal, and sets `Date` to region time.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::SandboxState;
use super::faults::ApiEffect;
use super::requests::RequestEntry;

/// Limit of a request's body.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The middleware around all services.
pub(crate) async fn pass(State(app): State<SandboxState>, request: Request, next: Next) -> Response {
    let template = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let template = template.unwrap_or_else(|| "(no such route)".to_owned());
    if template.starts_with("/admin") {
        return next.run(request).await;
    }
    let target = request.uri().to_string();
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let changes = parts.method != Method::GET && parts.method != Method::HEAD;
    let body = if changes { readable(&bytes) } else { None };
    let mut route = format!("{} {template}", parts.method);
    if let Some(action) = action_of(&template, body.as_ref(), parts.uri.query()) {
        route.push('#');
        route.push_str(&action);
    }
    let global_request_id = parts
        .headers
        .get("x-openstack-request-id")
        .and_then(|id| id.to_str().ok())
        .map(ToOwned::to_owned);
    let request = Request::from_parts(parts, Body::from(bytes));
    let effect = app.region.api_faults().take_fault(&route);
    let note = |app: &SandboxState, status: u16, at: f64| {
        // The journal contains no passwords, because tests print it.
        let body = body.clone().filter(|_| !route.contains("/auth/tokens"));
        app.region.requests().note(RequestEntry {
            at_seconds: at,
            until_seconds: app.region.clock().now().age().as_secs_f64(),
            route: route.clone(),
            target: target.clone(),
            global_request_id: global_request_id.clone(),
            status,
            body,
        });
    };
    let at = app.region.clock().now().age().as_secs_f64();
    if effect.is_some_and(goes_unanswered) {
        note(&app, 0, at);
        return unanswered(&app, effect, request, next).await;
    }
    let mut response = answered(&app, effect, request, next).await;
    note(&app, response.status().as_u16(), at);
    let clock = app.region.clock();
    if let Ok(date) = HeaderValue::from_str(&clock.http_date(clock.now())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Returns a JSON body as it is, and a short form body as text.
fn readable(bytes: &Bytes) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return Some(value);
    }
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty() && text.len() <= 2048)
        .map(Value::from)
}

fn goes_unanswered(effect: ApiEffect) -> bool {
    match effect {
        ApiEffect::BreakAfterAct | ApiEffect::Break | ApiEffect::Hang => true,
        ApiEffect::Late { answer_millis, .. } => answer_millis.is_none(),
        ApiEffect::Status { .. } | ApiEffect::StatusAfterAct { .. } | ApiEffect::Delay { .. } => false,
    }
}

async fn unanswered(app: &SandboxState, effect: Option<ApiEffect>, request: Request, next: Next) -> Response {
    match effect {
        Some(ApiEffect::BreakAfterAct) => {
            next.run(request).await;
            broken()
        }
        Some(ApiEffect::Break) => broken(),
        Some(ApiEffect::Late { act_millis, .. }) => {
            act_later(app, act_millis, request, next);
            silence(app).await
        }
        _ => silence(app).await,
    }
}

async fn answered(app: &SandboxState, effect: Option<ApiEffect>, request: Request, next: Next) -> Response {
    match effect {
        Some(ApiEffect::Status { status, retry_after }) => {
            let mut response = error(status);
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Some(ApiEffect::StatusAfterAct { status }) => {
            next.run(request).await;
            error(status)
        }
        Some(ApiEffect::Delay { millis }) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            next.run(request).await
        }
        Some(ApiEffect::Late {
            act_millis,
            answer_millis,
        }) => {
            act_later(app, act_millis, request, next);
            tokio::time::sleep(Duration::from_millis(answer_millis.unwrap_or_default())).await;
            error(504)
        }
        Some(ApiEffect::BreakAfterAct | ApiEffect::Break | ApiEffect::Hang) | None => next.run(request).await,
    }
}

/// Executes a request after its caller has timed out.
fn act_later(app: &SandboxState, millis: u64, request: Request, next: Next) {
    let stop = app.stop.clone();
    app.tasks.spawn(async move {
        let act = async {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            next.run(request).await
        };
        // At the end of the region the request may be dropped at any point.
        tokio::select! { () = stop.cancelled() => {}, _ = act => {} }
    });
}

/// Returns no answer until the region ends.
pub(crate) async fn silence(app: &SandboxState) -> Response {
    app.stop.cancelled().await;
    error(504)
}

/// Returns a response with a truncated body, so that the client sees a broken connection.
pub(crate) fn broken() -> Response {
    let cut = stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::Error::other("the sandbox cuts this connection")),
    ]);
    let mut response = Response::new(Body::from_stream(cut));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
    response
}

fn error(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::json!({"error": {"code": status.as_u16(), "message": "injected by the sandbox"}});
    (status, axum::Json(body)).into_response()
}

/// Returns the name of an action: Nova's is in the body, MAAS's in the query.
fn action_of(template: &str, body: Option<&Value>, query: Option<&str>) -> Option<String> {
    if template.ends_with("/action") {
        return body?.as_object()?.keys().next().cloned();
    }
    if template.starts_with("/MAAS") {
        return query?
            .split('&')
            .find_map(|pair| pair.strip_prefix("op="))
            .map(str::to_owned);
    }
    None
}

/// Removes trailing slashes, which only some services use.
pub(crate) fn trim_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') {
        let trimmed = path.trim_end_matches('/');
        let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
        let target = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(uri) = target.parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}
