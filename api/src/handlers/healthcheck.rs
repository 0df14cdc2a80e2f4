//! `/healthcheck`, for load balancers. Every method is accepted.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::health::{BackendResult, HealthOptions};
use crate::media;
use crate::peer::{self, Peer};
use crate::state::ApiState;

/// The media types of the answer. The first is used when the client has no preference.
const MEDIA_TYPES: [&str; 3] = ["text/plain", "text/html", "application/json"];

/// Returns 200 if all checks pass, else 503. A client that may not use the route gets 404.
pub(crate) async fn answer(State(app): State<ApiState>, request: Request) -> Response {
    let options = &app.health.options;
    if !may_ask(options, &request) {
        return ApiError::no_resource().into_response();
    }
    let (parts, _) = request.into_parts();
    let port = parts.extensions.get::<Peer>().map(|peer| peer.port);
    let findings = app
        .health
        .run(app.registry.as_ref(), app.notify.as_ref(), port)
        .await;
    let is_good = findings.iter().all(|finding| finding.is_good);
    let bad = StatusCode::SERVICE_UNAVAILABLE;
    if parts.method == Method::HEAD {
        return if is_good { StatusCode::NO_CONTENT } else { bad }.into_response();
    }
    let status = if is_good { StatusCode::OK } else { bad };
    let (kind, body) = match media::best(&parts.headers, &MEDIA_TYPES) {
        "application/json" => ("application/json", json_body(options, &findings)),
        "text/html" => ("text/html; charset=UTF-8", html_body(options, &findings)),
        _ => ("text/plain; charset=UTF-8", reasons(&findings).join("\n")),
    };
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}

fn may_ask(options: &HealthOptions, request: &Request) -> bool {
    let ranges = &options.allowed_source_ranges;
    (ranges.is_empty() || peer::is_within(request.extensions(), ranges))
        && !(options.ignore_proxied_requests && peer::is_proxied(request.headers()))
}

/// Returns the reasons of the findings. Without checks there are none, and the service counts as healthy.
fn reasons(findings: &[BackendResult]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.reason).collect()
}

fn json_body(options: &HealthOptions, findings: &[BackendResult]) -> String {
    let body = if options.detailed {
        let reasons: Vec<Value> = findings
            .iter()
            .map(|finding| {
                json!({"class": finding.class, "details": finding.details, "reason": finding.reason})
            })
            .collect();
        json!({"detailed": true, "version": env!("CARGO_PKG_VERSION"), "reasons": reasons})
    } else {
        json!({"detailed": false, "reasons": reasons(findings)})
    };
    body.to_string()
}

fn html_body(options: &HealthOptions, findings: &[BackendResult]) -> String {
    let row = |finding: &BackendResult| {
        let cells = if options.detailed {
            vec![finding.class, finding.reason, &finding.details]
        } else {
            vec![finding.reason]
        };
        let cells: Vec<String> = cells.into_iter().map(escaped).collect();
        format!("<tr><td>{}</td></tr>", cells.join("</td><td>"))
    };
    let head = if options.detailed {
        "<tr><th>Kind</th><th>Reason</th><th>Details</th></tr>"
    } else {
        "<tr><th>Reason</th></tr>"
    };
    let rows = findings.iter().map(row).collect::<Vec<_>>().concat();
    format!(
        "<!DOCTYPE html>\n<html><head><title>Healthcheck Status</title></head><body>\
         <h2>Result of {} checks:</h2><table>{head}{rows}</table></body></html>\n",
        findings.len()
    )
}

/// Escapes a text for HTML. Paths come from the operator's configuration and may contain any character.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
