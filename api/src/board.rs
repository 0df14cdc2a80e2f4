//! The web board: files for a browser, a login, what `/operator/v1` tells, and, if that is wanted, some of what can be said there,
//! below `/board`.
//!
//! The board knows nothing of its own. What is below `/board/api` is asked of `/operator/v1`, by the same handlers under the
//! same rules; the only difference is that the token comes in a cookie, because a page cannot set a header on everything it
//! asks for. Pages are made of the same answers ([`pages`]), and words go the same way ([`words`]). Nothing outside of `/board` ever
//! looks at a cookie.

mod assets;
mod cookie;
mod login;
mod pages;
mod words;

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

use crate::app::App;
use crate::error::ApiError;
use crate::front;
use crate::ports::Login;
use crate::routes::OPERATOR;
use assets::Asset;

/// Where it is.
pub(crate) const BOARD: &str = "/board";

/// What the page asks for when somebody has come in; whoever may not read it has no use for the board.
const FIRST: &str = "/operator/v1/situation";

/// How many people log in at once: each is a question to Keystone, and whoever guesses passwords must not make us flood it.
const LOGINS_AT_ONCE: usize = 8;

/// With it the board's own page asks for what is not only looked at.
const FROM_BOARD: &str = "x-tachi-board";

/// What a browser may do with any answer below `/board`.
const GUARDS: &[(&str, &str)] = &[
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

/// The headers by which a request says who it is. Below `/board` only the cookie does.
const CLAIMS: &[&str] = &["x-auth-token", "x-storage-token", "x-service-token"];

/// What the board needs besides the API.
#[derive(Clone)]
pub struct Board {
    /// Gets tokens for people; `None` where nobody is asked for one.
    pub login: Option<Arc<dyn Login>>,
    /// `[board] actions`: whether words are said with it.
    pub actions: bool,
}

/// The state of its routes.
#[derive(Clone)]
struct Desk {
    app: App,
    login: Option<Arc<dyn Login>>,
    /// `/operator/v1`, with every check before it.
    operators: Router,
    /// What whoever asks may do.
    rights: Router,
    turns: Arc<Semaphore>,
    assets: Arc<[Asset]>,
}

/// Everything below `/board`. `operators` has `/operator/v1`.
pub(crate) fn router(app: App, board: Board, operators: Router) -> Router {
    let desk = Desk {
        rights: words::rights_of(&app, board.actions),
        app,
        login: board.login,
        operators,
        turns: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
        assets: assets::all().into(),
    };
    let mut router = Router::new();
    if board.actions {
        router = router.route("/board/words", post(words::say));
    }
    router
        .route("/board", get(slash))
        .route("/board/", get(assets::index))
        .route("/board/{file}", get(assets::file))
        .route("/board/rights", get(words::rights))
        .route("/board/login", post(login::log_in))
        .route("/board/logout", post(login::log_out))
        // No routes of their own: the parameters and the name of the route that answers are those of `/operator/v1`.
        .fallback(ask)
        .method_not_allowed_fallback(nothing_here)
        .with_state(desk)
        .layer(from_fn(front::note))
        .layer(from_fn(guard))
}

/// Whether the path is the board's.
pub(crate) fn is_below(path: &str) -> bool {
    path.strip_prefix(BOARD)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The pages name each other relative to the folder. So does this, and works behind a proxy that takes a prefix away.
async fn slash() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "board/")]).into_response()
}

async fn nothing_here() -> ApiError {
    ApiError::nothing_here()
}

/// The layer: what a browser may do with the answer, whatever it is.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// No other page can send the header: a browser asks first, and is not allowed to. It also says itself whose page it is.
fn check_page(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(FROM_BOARD) && site.is_none_or(|site| site == b"same-origin") {
        return Ok(());
    }
    Err(ApiError::NotYours {
        message: "Only the board's own page does this.".to_owned(),
    })
}

/// `/board/api/...` is `/operator/v1/...` for whom the cookie's token belongs to, and `/board/pages/...` is made of that. Only reading is.
async fn ask(State(desk): State<Desk>, request: Request) -> Response {
    if request.method() != Method::GET {
        return ApiError::nothing_here().into_response();
    }
    let path = request.uri().path();
    if let Some(page) = path.strip_prefix("/board/pages/") {
        let page = page.to_owned();
        return pages::show(&desk, &page, request).await;
    }
    let Some(path) = path
        .strip_prefix("/board/api/")
        .map(|rest| format!("{OPERATOR}/{rest}"))
    else {
        return ApiError::nothing_here().into_response();
    };
    let token = cookie::token(request.headers());
    desk.operators(request, &path, token.as_ref()).await
}

impl Desk {
    /// Asks for `path` of `/operator/v1` in place of what `request` asks for.
    async fn operators(&self, request: Request, path: &str, token: Option<&HeaderValue>) -> Response {
        hand_on(&self.operators, request, path, token).await
    }
}

/// Asks `router` for `path` with the cookie's token, and nothing else that says who it is.
async fn hand_on(router: &Router, mut request: Request, path: &str, token: Option<&HeaderValue>) -> Response {
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(target) = target.parse::<PathAndQuery>() else {
        return ApiError::nothing_here().into_response();
    };
    let uri = Uri::from(target);
    // Access rules of application credentials are about the API's path.
    request.extensions_mut().insert(OriginalUri(uri.clone()));
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for name in CLAIMS {
        headers.remove(*name);
    }
    headers.remove(AUTHORIZATION);
    headers.remove(COOKIE);
    // No other page may read the answer, whatever `[cors]` allows for the API.
    headers.remove(ORIGIN);
    if let Some(token) = token {
        headers.insert("x-auth-token", token.clone());
    }
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
