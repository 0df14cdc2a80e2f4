//! The web board below `/board`: files for a browser, a login, the data of `/operator/v1` and, if enabled, some of its
//! actions.
//!
//! The board has no data of its own. It forwards requests below `/board/api` to the handlers of `/operator/v1`, under the
//! same rules. The only difference is that the token comes in a cookie, because a page cannot set a header on every
//! request. Pages render the same answers ([`pages`]), and actions use the same handlers ([`actions`]). No code outside
//! `/board` ever reads a cookie.

mod actions;
mod assets;
mod cookie;
mod login;
mod pages;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, LOCATION, ORIGIN};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::error::ApiError;
use crate::headers;
use crate::ports::Login;
use crate::routes::OPERATOR;
use crate::state::ApiState;
use assets::Asset;

/// The path of the board.
pub(crate) const BOARD: &str = "/board";

/// The first request after a login. A user who may not read it cannot use the board.
const FIRST_REQUEST_PATH: &str = "/operator/v1/situation";

/// Maximum number of concurrent logins. Each sends a request to Keystone, and guessed passwords must not flood Keystone.
const MAX_CONCURRENT_LOGINS: usize = 8;

/// The header that the board's own page sends with requests other than reads.
const BOARD_HEADER: &str = "x-tachi-board";

/// Security headers of every answer below `/board`.
const SECURITY_HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The headers that carry credentials. Below `/board` only the cookie does.
const CREDENTIAL_HEADERS: &[&str] = &["x-auth-token", "x-storage-token", "x-service-token"];

/// Configuration of the board.
#[derive(Clone)]
pub struct Board {
    /// Gets tokens for users; `None` if no login is required.
    pub login: Option<Arc<dyn Login>>,
    /// `[board] actions`: true if the board offers actions.
    pub actions: bool,
}

/// The state of the board's routes.
#[derive(Clone)]
struct BoardState {
    app: ApiState,
    login: Option<Arc<dyn Login>>,
    /// The router of `/operator/v1`, with all its checks.
    operators: Router,
    /// Returns the caller's permissions.
    rights: Router,
    logins: Arc<Semaphore>,
    assets: Arc<[Asset]>,
}

/// Returns the routes below `/board`. `operators` contains `/operator/v1`.
pub(crate) fn router(app: ApiState, board: Board, operators: Router) -> Router {
    let state = BoardState {
        rights: actions::rights_of(&app, board.actions),
        app,
        login: board.login,
        operators,
        logins: Arc::new(Semaphore::new(MAX_CONCURRENT_LOGINS)),
        assets: assets::all().into(),
    };
    let mut router = Router::new();
    if board.actions {
        router = router.route("/board/words", post(actions::submit));
    }
    router
        .route("/board", get(slash))
        .route("/board/", get(assets::index))
        .route("/board/{file}", get(assets::file))
        .route("/board/rights", get(actions::rights))
        .route("/board/login", post(login::log_in))
        .route("/board/logout", post(login::log_out))
        // These have no routes of their own: the parameters and the route name come from `/operator/v1`.
        .fallback(ask)
        .method_not_allowed_fallback(no_resource)
        .with_state(state)
        .layer(from_fn(headers::note))
        .layer(from_fn(guard))
}

/// True for a path of the board.
pub(crate) fn is_below(path: &str) -> bool {
    path.strip_prefix(BOARD)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Redirects to the folder. The path is relative, like all links of the pages, so it works behind a proxy that strips a prefix.
async fn slash() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "board/")]).into_response()
}

async fn no_resource() -> ApiError {
    ApiError::no_resource()
}

/// The middleware that adds the security headers to every answer.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests of other pages: a browser sends them no such header without a CORS preflight, which fails. It also sends
/// `Sec-Fetch-Site`.
fn check_page(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(BOARD_HEADER) && site.is_none_or(|site| site == b"same-origin") {
        return Ok(());
    }
    Err(ApiError::NotYours {
        message: "Only the board's own page may send this request.".to_owned(),
    })
}

/// Serves `/board/api/...` as `/operator/v1/...` with the cookie's token, and `/board/pages/...` from such answers. Reads only.
async fn ask(State(state): State<BoardState>, request: Request) -> Response {
    if request.method() != Method::GET {
        return ApiError::no_resource().into_response();
    }
    let path = request.uri().path();
    if let Some(page) = path.strip_prefix("/board/pages/") {
        let page = page.to_owned();
        return pages::show(&state, &page, request).await;
    }
    let Some(path) = path
        .strip_prefix("/board/api/")
        .map(|rest| format!("{OPERATOR}/{rest}"))
    else {
        return ApiError::no_resource().into_response();
    };
    let token = cookie::token(request.headers());
    state.operators(request, &path, token.as_ref()).await
}

impl BoardState {
    /// Forwards `request` to `path` of `/operator/v1`.
    async fn operators(&self, request: Request, path: &str, token: Option<&HeaderValue>) -> Response {
        forward(&self.operators, request, path, token).await
    }
}

/// Forwards a request to `path` of `router` with the cookie's token and no other credentials.
async fn forward(router: &Router, mut request: Request, path: &str, token: Option<&HeaderValue>) -> Response {
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(target) = target.parse::<PathAndQuery>() else {
        return ApiError::no_resource().into_response();
    };
    let uri = Uri::from(target);
    // Access rules of application credentials apply to the API's path.
    request.extensions_mut().insert(OriginalUri(uri.clone()));
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for name in CREDENTIAL_HEADERS {
        headers.remove(*name);
    }
    headers.remove(AUTHORIZATION);
    headers.remove(COOKIE);
    // No other page may read the answer, even if `[cors]` allows that for the API.
    headers.remove(ORIGIN);
    if let Some(token) = token {
        headers.insert("x-auth-token", token.clone());
    }
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
