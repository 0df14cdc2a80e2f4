//! The API's description as an `OpenAPI` 3.1 document, and a page rendered from it.
//!
//! ```text
//! types::rules, types::fields (request bodies) ─┐
//! types (views for answers, utoipa) ────────────┼─> document ─> /openapi.json, `tachi openapi`, the page
//! operations (metadata of each route) ──────────┘
//! ```
//!
//! Constraints are never repeated here: bodies get their schemas from the code that validates them, views from the serialized
//! types. A test compares the table of operations with the table of routes. Every answer to the fuzzer is checked against the
//! document.

mod answers;
mod operations;
mod page;
mod parameters;
mod schemas;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use self::operations::{Operation, Success, TAGS};
use crate::microversion::Microversion;

pub use page::page as openapi_page;

const ABOUT: &str = "\
Instance high availability for OpenStack: segments of hosts that take over instances from each other, notifications of \
failures, and the moves of the affected instances. The service type is `instance-ha`.

**Paths.** Every path below `/v1/` also exists as `/v1/{project_id}/...`, the form in service catalogs. The project must \
be that of the token. This document describes the short form. Any other path outside `/v1` gets 300 with a link to \
`/v1/`; HEAD and unsupported methods get 404.

**Microversions.** The header `OpenStack-API-Version: instance-ha X.Y` (or `latest`) selects one; the default is the \
oldest. This document describes the newest. Differences: from 1.1 on, a notification has `recovery_workflow_details`; \
from 1.2 on, requests may contain `enabled` of a segment (answers always do).

**Lists** are pages of at most `osapi_max_limit` rows. The `id` of the last row is the `marker` of the next page. Unknown \
parameters are ignored; if a parameter without repetition is repeated, the last one applies.

**Problems** of a body are all reported in the message of one 400, joined by `; `.";

/// Returns the `OpenAPI` document.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in operations::table() {
        let path = paths
            .entry(operation.path.to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(path) = path.as_object_mut() {
            if path.is_empty() {
                let parameters = parameters::of_path(operation.path);
                if !parameters.is_empty() {
                    path.insert("parameters".to_owned(), Value::Array(parameters));
                }
            }
            path.insert(
                operation.method.as_str().to_ascii_lowercase(),
                describe(&operation),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Instance-HA",
            "summary": "Instance high availability for OpenStack",
            "description": ABOUT,
            "version": Microversion::MAX.to_string(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{
            "url": "/",
            "description": "The root of the service; the URL in the catalog is this plus `v1/{project_id}`",
        }],
        "security": [{"token": []}],
        "tags": TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "responses": answers::all(),
            "headers": answers::headers(),
            "parameters": parameters::all(),
            "securitySchemes": {"token": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Auth-Token",
                "description": "A token of Keystone. A service that forwards a request may add its own as \
                 `X-Service-Token`; if present, it must be valid.",
            }},
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut described = Map::new();
    let mut put = |key: &str, value: Value| {
        described.insert(key.to_owned(), value);
    };
    put("operationId", json!(operation.id));
    put("tags", json!([operation.tag]));
    put("summary", json!(operation.summary));
    if !operation.about.is_empty() {
        put("description", json!(operation.about));
    }
    if let Some(rule) = operation.rule() {
        put("x-policy-rule", json!(rule));
    }
    if matches!(operation.success, Success::Open(..)) {
        put("security", json!([]));
    }
    let parameters = parameters::of(operation);
    if !parameters.is_empty() {
        put("parameters", Value::Array(parameters));
    }
    if let Some(body) = &operation.body {
        let content = json!({"schema": (body.schema)(), "examples": (body.examples)()});
        put(
            "requestBody",
            json!({"required": true, "content": {"application/json": content}}),
        );
    }
    put("responses", answers::of(operation));
    Value::Object(described)
}

static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_string());

/// Serves `/openapi.json`, without authentication.
pub(crate) async fn serve() -> Response {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
