//! Operator actions from the board: `[board] actions`.
//!
//! An action is forwarded to the routes of `/operator/v1`, which authorize it, write it into the audit log and carry it out. This
//! module only ensures that the user sent it, and not another page in the same browser. It accepts only actions that destroy
//! nothing by mistake: the board cannot confirm that a host is off or that an instance does not run, and cannot switch power.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BoardState, FIRST_REQUEST_PATH, check_page, cookie, forward};
use crate::auth::{self, Caller};
use crate::error::ApiError;
use crate::handlers::actions::refuse_monitors;
use crate::limits::{self, MALFORMED, read_body};
use crate::reply;
use crate::routes::{ACT, OPERATOR};
use crate::state::ApiState;

/// The actions on recoveries.
const RECOVERY_ACTIONS: [&str; 2] = ["approve", "abort"];

/// The user of the board and their permissions.
#[derive(Serialize, Deserialize)]
pub(super) struct RightsView {
    /// True if the user may use the board's actions.
    pub(super) act: bool,
    /// The user's name; the user's id if the name is unknown.
    pub(super) user: String,
    /// The user's roles in the scope of the token.
    pub(super) roles: Vec<String>,
}

/// Returns a router that answers with the caller's permissions. It requires authentication, like every other route.
pub(super) fn rights_of(app: &ApiState, actions: bool) -> Router {
    let preview = move |State(app): State<ApiState>, Extension(caller): Extension<Caller>| async move {
        let act = actions && app.policy.allows(ACT, &caller) && refuse_monitors(&app, &caller).is_ok();
        let who = &caller.identity;
        let user = who.user_name.clone().unwrap_or_else(|| who.user_id.clone());
        let roles = who.roles.clone();
        reply::ok("rights", &RightsView { act, user, roles })
    };
    Router::new()
        .fallback(get(preview))
        .with_state(app.clone())
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
}

/// Returns the permissions of the user whose token is in the cookie.
pub(super) async fn rights(State(state): State<BoardState>, request: Request) -> Response {
    let token = cookie::token(request.headers());
    // Access rules apply to the board's first request here: an application credential that may read the board gets its permissions.
    forward(&state.rights, request, FIRST_REQUEST_PATH, token.as_ref()).await
}

/// A request to the operators' routes.
#[derive(Debug, PartialEq, Eq)]
struct ActionRequest {
    method: Method,
    path: String,
    body: Option<Value>,
}

/// Submits an action with the cookie's token.
pub(super) async fn submit(State(state): State<BoardState>, request: Request) -> Result<Response, ApiError> {
    limits::check(&state.app, &request)?;
    check_page(request.headers())?;
    check_origin(&state.app, request.headers())?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&state.app, body).await?;
    let body = serde_json::from_slice(&bytes).map_err(|_| ApiError::bad_request(MALFORMED))?;
    let action = parse(body).ok_or_else(|| {
        ApiError::bad_request(
            "The board accepts only approve and abort of a recovery, freeze and thaw. Use the tachi command for \
             everything else.",
        )
    })?;
    // The parsed action is forwarded, and not the bytes sent: another parser could read those differently.
    let body = action.body.map(|body| body.to_string()).unwrap_or_default();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = action.method;
    *request.extensions_mut() = parts.extensions;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let token = cookie::token(&parts.headers);
    Ok(state.operators(request, &action.path, token.as_ref()).await)
}

/// Parses an action. `{"word": ...}` and `{"freeze": ...}` are the bodies of the routes of that name;
/// `{"thaw": {"number": 7}}` ends a freeze.
fn parse(body: Value) -> Option<ActionRequest> {
    let Value::Object(body) = body else {
        return None;
    };
    let mut all = body.into_iter();
    let (Some((key, what)), None) = (all.next(), all.next()) else {
        return None;
    };
    let post = |path: &str| ActionRequest {
        method: Method::POST,
        path: format!("{OPERATOR}/{path}"),
        body: Some(Value::Object(Map::from_iter([(key.clone(), what.clone())]))),
    };
    match key.as_str() {
        "word" => {
            let action = what.get("word").and_then(Value::as_str)?;
            RECOVERY_ACTIONS.contains(&action).then(|| post("words"))
        }
        "freeze" => Some(post("freezes")),
        "thaw" => {
            let number = what.get("number").and_then(Value::as_u64)?;
            Some(ActionRequest {
                method: Method::DELETE,
                path: format!("{OPERATOR}/freezes/{number}"),
                body: None,
            })
        }
        _ => None,
    }
}

/// Refuses a request unless its `Origin`, set by the browser, is this API. A page of another origin cannot forge it.
fn check_origin(app: &ApiState, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut origins = headers.get_all(ORIGIN).into_iter();
    let (one, more) = (origins.next(), origins.next());
    let origin = one.filter(|_| more.is_none());
    let uri: Option<Uri> = origin.and_then(|origin| origin.to_str().ok()?.parse().ok());
    if uri.is_some_and(|uri| app.links.is_own_origin(&uri, headers)) {
        return Ok(());
    }
    Err(ApiError::NotYours {
        message: "Refused: the origin of the page is not the address of this API. A proxy must forward Host as the \
            browser sent it, or set Forwarded, with [oslo_middleware] enable_proxy_headers_parsing = true here."
            .to_owned(),
    })
}
