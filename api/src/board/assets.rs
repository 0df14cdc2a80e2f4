//! The files of the board. They are compiled in: no request names a file on disk.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use super::BoardState;
use crate::error::ApiError;

const PAGE: &str = "index.html";
const ICON: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: &[(&str, &str, &[u8])] = &[
    (
        PAGE,
        "text/html; charset=utf-8",
        include_bytes!("files/index.html"),
    ),
    (
        "board.css",
        "text/css; charset=utf-8",
        include_bytes!("files/board.css"),
    ),
    ("icon.svg", ICON, include_bytes!("files/icon.svg")),
    ("icon-ok.svg", ICON, include_bytes!("files/icon-ok.svg")),
    ("icon-warn.svg", ICON, include_bytes!("files/icon-warn.svg")),
    ("icon-unknown.svg", ICON, include_bytes!("files/icon-unknown.svg")),
    ("icon-err.svg", ICON, include_bytes!("files/icon-err.svg")),
    ("main.js", SCRIPT, include_bytes!("files/main.js")),
    ("live.js", SCRIPT, include_bytes!("files/live.js")),
    ("draw.js", SCRIPT, include_bytes!("files/draw.js")),
    ("words.js", SCRIPT, include_bytes!("files/words.js")),
    ("login.js", SCRIPT, include_bytes!("files/login.js")),
];

/// A file with its entity tag.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: Option<HeaderValue>,
}

pub(super) fn all() -> Vec<Asset> {
    let files = FILES.iter().map(|&(name, kind, bytes)| Asset {
        name,
        kind,
        bytes,
        tag: tag_of(bytes),
    });
    files.collect()
}

/// Returns an entity tag, derived from the content.
pub(super) fn tag_of(bytes: &[u8]) -> Option<HeaderValue> {
    let hash = Sha256::digest(bytes);
    let number = hash
        .iter()
        .take(16)
        .fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
    HeaderValue::from_str(&format!("\"{number:032x}\"")).ok()
}

pub(super) async fn index(State(state): State<BoardState>, headers: HeaderMap) -> Response {
    answer(&state, PAGE, &headers)
}

pub(super) async fn file(
    State(state): State<BoardState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(&state, &name, &headers)
}

fn answer(state: &BoardState, name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = state.assets.iter().find(|asset| asset.name == name) else {
        return ApiError::no_resource().into_response();
    };
    // The browser must revalidate each time, so that a page never runs with a script of another version.
    let known = headers.get(IF_NONE_MATCH).is_some() && headers.get(IF_NONE_MATCH) == asset.tag.as_ref();
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(tag) = &asset.tag {
        headers.insert(ETAG, tag.clone());
    }
    response
}
