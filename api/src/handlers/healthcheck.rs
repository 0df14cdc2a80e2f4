//! `/healthcheck`, for load balancers: anybody may ask, any method will do.

use std::path::Path;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::app::App;

/// 200, or 503 while the operator's file is there.
pub(crate) async fn answer(State(app): State<App>, method: Method, headers: HeaderMap) -> Response {
    let (status, reason) = if is_disabled(app.healthcheck_disable_file.as_deref()).await {
        (StatusCode::SERVICE_UNAVAILABLE, "DISABLED BY FILE")
    } else {
        (StatusCode::OK, "OK")
    };
    if method == Method::HEAD {
        return if status.is_success() {
            StatusCode::NO_CONTENT
        } else {
            status
        }
        .into_response();
    }
    let (content_type, body) = match preferred(&headers) {
        Kind::Text => ("text/plain; charset=UTF-8", reason.to_owned()),
        Kind::Json => (
            "application/json",
            json!({"detailed": false, "reasons": [reason]}).to_string(),
        ),
        Kind::Html => (
            "text/html; charset=UTF-8",
            format!(
                "<!DOCTYPE html>\n<html><head><title>Healthcheck</title></head><body><table>\
                 <tr><th>Result</th></tr><tr><td>{reason}</td></tr></table></body></html>\n"
            ),
        ),
    };
    (status, [(CONTENT_TYPE, content_type)], body).into_response()
}

async fn is_disabled(file: Option<&Path>) -> bool {
    match file {
        // A file that cannot be looked for is not there, as far as this process can tell.
        Some(file) => tokio::fs::try_exists(file).await.unwrap_or(false),
        None => false,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Json,
    Html,
}

/// The first type of the list that is known here.
fn preferred(headers: &HeaderMap) -> Kind {
    let accepted = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accepted
        .split(',')
        .find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Kind::Json),
            "text/html" => Some(Kind::Html),
            "text/plain" => Some(Kind::Text),
            _ => None,
        })
        .unwrap_or(Kind::Text)
}
