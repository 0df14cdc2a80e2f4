//! The API's description as an `OpenAPI` 3.1 document, and a page rendered from it.
//!
//! ```text
//! wire::rules, wire::fields (request bodies) ───┐
//! wire views (answers, utoipa) ─────────────────┼─> document ─> /openapi.json, `tachi openapi`, the page
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
Instance high availability for OpenStack: segments of hosts that stand in for one another, notifications of what has \
failed, and the moves of the instances that were there. The service type is `instance-ha`.

**Paths.** Every path below `/v1/` is there a second time as `/v1/{project_id}/...`, which is what service catalogs hold. \
The project must be the token's. This document describes the short form. A path that is not below `/v1` and not named \
here is answered with 300 and the way to `/v1/`; HEAD and methods that a path does not have are answered with 404.

**Microversions.** The header `OpenStack-API-Version: instance-ha X.Y` (or `latest`) chooses one; without it the oldest \
is spoken. This document describes the newest. What differs: `recovery_workflow_details` of a notification is shown from \
1.1 on; `enabled` may be sent for a segment from 1.2 on (it is always shown).

**Lists** are pages of at most `osapi_max_limit` rows. The `id` of the last row is the `marker` of the next page. Parameters \
that are not known are ignored, and of one that may be given once the last counts.

**Problems** of a body are all told at once, in the message of one 400, joined by `; `.";

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
            "description": "The root of the service; a catalog's URL is this and `v1/{project_id}`",
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
                "description": "A token of Keystone. A service that passes a request on may add its own as `X-Service-Token`; \
                                if it is there it must be good.",
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
