//! Answers in the document: the envelopes of errors, their headers, and the list of answers of each operation.

use serde_json::{Map, Value, json};
use tachi_operator::not_found;

use super::operations::{Operation, Success};

/// An error status: the root key of its body, its name in the components, and its cause.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    about: &'static str,
}

const fn refusal(status: u16, key: &'static str, name: &'static str, about: &'static str) -> Refusal {
    Refusal {
        status,
        key,
        name,
        about,
    }
}

/// All error statuses.
#[rustfmt::skip] // A line for a status.
pub(super) const REFUSALS: &[Refusal] = &[
    refusal(400, "badRequest", "BadRequest", "The microversion, the project in the path, the body or a parameter is wrong."),
    refusal(401, "error", "Unauthorized", "The token is missing or invalid."),
    refusal(403, "forbidden", "Forbidden", "The policy or Nova does not allow it."),
    refusal(404, "itemNotFound", "NotFound", "There is no such resource."),
    refusal(405, "badMethod", "MethodNotAllowed", "The method is never allowed on this resource."),
    refusal(406, "masakariFault", "NotAcceptable", "The API does not support the microversion."),
    refusal(408, "masakariFault", "RequestTimeout", "The body did not arrive in time."),
    refusal(409, "conflictingRequest", "Conflict", "The stored state does not allow it."),
    refusal(413, "overLimit", "ContentTooLarge", "The body is larger than `max_request_body_size`."),
    refusal(414, "masakariFault", "UriTooLong", "The path and its query are longer than `max_header_line`."),
    refusal(415, "badMediaType", "UnsupportedMediaType", "`Content-Type` is not JSON."),
    refusal(429, "overLimit", "TooManyRequests", "Too many requests; `Retry-After` has the time to wait."),
    refusal(431, "masakariFault", "RequestHeaderFieldsTooLarge", "A header is longer than `max_header_line`."),
    refusal(500, "masakariFault", "InternalServerError", "An internal error; the log has the cause with the request's id."),
    refusal(503, "serviceUnavailable", "ServiceUnavailable", "Keystone, Nova or the database cannot be reached; try again later."),
];

/// The error statuses of every route that needs a token.
const COMMON_STATUSES: &[u16] = &[400, 401, 406, 413, 414, 415, 431, 500, 503];

/// Returns the shared error responses.
pub(super) fn all() -> Value {
    let responses: Map<String, Value> = REFUSALS
        .iter()
        .map(|refusal| (refusal.name.to_owned(), refused(refusal, refusal.about)))
        .collect();
    Value::Object(responses)
}

/// Returns the shared headers.
pub(super) fn headers() -> Value {
    json!({
        "requestId": {
            "description": "The id of this request, as in the service's log",
            "required": true,
            "schema": {"type": "string", "pattern": "^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        },
        "microversion": {
            "description": "The microversion of this answer",
            "required": true,
            "schema": {"type": "string", "pattern": r"^instance-ha [0-9]+\.[0-9]+$"},
        },
        "vary": {
            "description": "The answer depends on the microversion",
            "required": true,
            "schema": {"type": "string", "const": "OpenStack-API-Version"},
        },
    })
}

/// Returns the schemas of the error envelopes.
pub(super) fn envelopes() -> Map<String, Value> {
    REFUSALS
        .iter()
        .map(|refusal| {
            let mut properties = Map::new();
            let mut required = vec!["code", "message"];
            properties.insert(
                "code".to_owned(),
                json!({"type": "integer", "const": refusal.status}),
            );
            properties.insert("message".to_owned(), json!({"type": "string", "minLength": 1}));
            if refusal.status == 401 {
                required.push("title");
                properties.insert("title".to_owned(), json!({"type": "string"}));
            }
            if refusal.status == 406 {
                required.extend(["min_version", "max_version"]);
                for key in ["min_version", "max_version"] {
                    properties.insert(key.to_owned(), json!({"type": "string"}));
                }
            }
            if refusal.status == 404 {
                let reason = json!({
                    "type": "string",
                    "enum": not_found::ALL,
                    "description": "The missing object, in answers of /operator/v1 alone. A 404 without it is that of an unknown path.",
                });
                properties.insert("reason".to_owned(), reason);
            }
            let fault = json!({"type": "object", "properties": properties, "required": required});
            let envelope = json!({
                "type": "object",
                "properties": {refusal.key: fault},
                "required": [refusal.key],
                "additionalProperties": false,
            });
            (refusal.name.to_owned(), envelope)
        })
        .collect()
}

/// Returns the answers of an operation.
pub(super) fn of(operation: &Operation) -> Value {
    let mut answers = Map::new();
    if let Some((status, answer)) = success(&operation.success) {
        answers.insert(status.to_string(), answer);
    }
    let open = matches!(operation.success, Success::Open(..));
    let mut statuses: Vec<u16> = operation.refusals.iter().map(|(status, _)| *status).collect();
    if !open {
        statuses.extend(COMMON_STATUSES);
        if operation.rule().is_some() {
            statuses.push(403);
        }
        if operation.body.is_some() {
            statuses.push(408);
        }
    }
    if matches!(operation.success, Success::Never) {
        statuses.push(405);
    }
    statuses.sort_unstable();
    statuses.dedup();
    for refusal in REFUSALS
        .iter()
        .filter(|refusal| statuses.contains(&refusal.status))
    {
        let why = operation
            .refusals
            .iter()
            .find(|(status, _)| *status == refusal.status);
        let answer = match why {
            Some((503, why)) if open => health(why),
            Some((_, why)) => refused(refusal, why),
            None => json!({"$ref": format!("#/components/responses/{}", refusal.name)}),
        };
        answers.insert(refusal.status.to_string(), answer);
    }
    Value::Object(answers)
}

fn success(success: &Success) -> Option<(u16, Value)> {
    match success {
        Success::Open(status, "Health") => Some((*status, health("The service accepts requests."))),
        Success::Open(status, schema) => {
            let content = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
            let answer = json!({
                "description": "The requested data.",
                "headers": request_id(),
                "content": {"application/json": content},
            });
            Some((*status, answer))
        }
        Success::One(status, key, schema, links) => {
            let item = json!({"$ref": format!("#/components/schemas/{schema}")});
            let mut answer = with_microversion("The requested data.", &rooted(key, &item));
            if !links.is_empty() {
                let links: Map<String, Value> = links
                    .iter()
                    .map(|(name, operation, parameters)| {
                        let parameters: Map<String, Value> = parameters
                            .iter()
                            .map(|(name, source)| ((*name).to_owned(), json!(source)))
                            .collect();
                        let link = json!({"operationId": operation, "parameters": parameters});
                        ((*name).to_owned(), link)
                    })
                    .collect();
                answer["links"] = Value::Object(links);
            }
            Some((*status, answer))
        }
        Success::Many(key, schema) => {
            let items = json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{schema}")}});
            Some((
                200,
                with_microversion("The requested data.", &rooted(key, &items)),
            ))
        }
        Success::Stream => {
            let content = json!({"schema": {"type": "string"}});
            let answer = json!({
                "description": "A stream of events, until the client or the server ends it.",
                "headers": microversion_headers(),
                "content": {"text/event-stream": content},
            });
            Some((200, answer))
        }
        Success::Text(kinds) => {
            let contents: Map<String, Value> = kinds
                .iter()
                .map(|kind| ((*kind).to_owned(), json!({"schema": {"type": "string"}})))
                .collect();
            let answer = json!({
                "description": "The requested data.",
                "headers": microversion_headers(),
                "content": contents,
            });
            Some((200, answer))
        }
        Success::Nothing => Some((
            204,
            json!({"description": "The action succeeded.", "headers": microversion_headers()}),
        )),
        Success::Never => None,
    }
}

/// Returns the schema of an object with one key.
fn rooted(key: &str, value: &Value) -> Value {
    json!({"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": false})
}

/// Returns an answer with microversion headers, in JSON by either of its media types.
fn with_microversion(about: &str, schema: &Value) -> Value {
    let content = json!({"schema": schema});
    json!({
        "description": about,
        "headers": microversion_headers(),
        "content": {"application/json": content, "application/vnd.openstack.masakari+json": content},
    })
}

fn microversion_headers() -> Value {
    json!({
        "x-openstack-request-id": {"$ref": "#/components/headers/requestId"},
        "OpenStack-API-Version": {"$ref": "#/components/headers/microversion"},
        "Vary": {"$ref": "#/components/headers/vary"},
    })
}

fn request_id() -> Value {
    json!({"x-openstack-request-id": {"$ref": "#/components/headers/requestId"}})
}

fn refused(refusal: &Refusal, about: &str) -> Value {
    let mut headers = request_id();
    if refusal.status == 401 {
        headers["WWW-Authenticate"] = json!({
            "description": "The address of Keystone",
            "required": true,
            "schema": {"type": "string"},
        });
    }
    json!({
        "description": about,
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{}", refusal.name)}}},
    })
}

/// Returns the answer of the health check, in its three media types.
fn health(about: &str) -> Value {
    json!({
        "description": about,
        "headers": request_id(),
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "text/html": {"schema": {"type": "string"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/Health"}},
        },
    })
}
