//! The `OpenAPI` document describes exactly the behaviour of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::bench::{Bench, TestResponse, notification};
use crate::error::{ApiError, Bug};
use crate::{openapi, openapi_page, routes};

/// Routes outside `/v1` that are not in the table.
const BESIDE: &[&str] = &["/", "/healthcheck", "/openapi.json"];

/// Returns the documented statuses of a request; `None` if the request is not documented.
pub(super) fn documented(document: &Value, method: &str, path: &str) -> Option<BTreeSet<u16>> {
    let pieces: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == pieces.len()
            && template.iter().zip(&pieces).all(|(expected, piece)| {
                expected == piece || (expected.starts_with('{') && !piece.is_empty())
            })
    };
    let paths = document["paths"].as_object().unwrap();
    // A literal segment takes precedence over a parameter, as in the router.
    let found = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count());
    let operation = found?.1.get(method.to_ascii_lowercase())?;
    let statuses = operation["responses"].as_object().unwrap().keys();
    Some(statuses.map(|status| status.parse().unwrap()).collect())
}

fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        let operations = item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters");
        operations.map(move |(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    })
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = openapi();
    let described: BTreeSet<_> = operations(&document)
        .filter(|(_, path, _)| !BESIDE.contains(&path.as_str()))
        .map(|(method, path, _)| (method, path))
        .collect();
    let routed: BTreeSet<_> = routes()
        .into_iter()
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(described, routed);
}

#[tokio::test]
async fn routes_outside_the_table_need_no_token() {
    let bench = Bench::new();
    for path in BESIDE {
        let got = bench.raw("GET", path, &[], "").await;
        assert_eq!(got.status, 200, "{path}");
        assert!(
            documented(&openapi(), "GET", path).unwrap().contains(&200),
            "{path}"
        );
    }
    let got = bench.raw("GET", "/openapi.json", &[], "").await;
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.json(), openapi());
    let got = bench.raw("POST", "/openapi.json", &[], "").await;
    assert_eq!(got.status, 300, "only GET is more than any other path");
}

#[test]
fn names_are_unique_and_references_lead_somewhere() {
    let document = openapi();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(!id.is_empty() && ids.insert(id), "{method} {path}: {id:?}");
        let tag = &operation["tags"][0];
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|known| known["name"] == *tag), "{id}: {tag}");
    }
    let mut waiting = vec![&document];
    let mut references = 0;
    while let Some(value) = waiting.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(
                document.pointer(pointer).is_some_and(|found| !found.is_null()),
                "{reference}"
            );
            references += 1;
        }
        if let Some(operation) = value.get("operationId").and_then(Value::as_str) {
            assert!(ids.contains(operation), "{operation}");
        }
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(fields) => waiting.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert!(references > 100, "{references}");
}

/// One error of every kind; a new kind does not compile until it is added here.
fn every_error() -> Vec<ApiError> {
    let source = || Bug("test").into();
    let errors = vec![
        ApiError::bad_request("x"),
        ApiError::Unauthenticated {
            challenge: HeaderValue::from_static("x"),
        },
        ApiError::Forbidden { rule: "x" },
        ApiError::ForbiddenByNova { message: "x".into() },
        ApiError::NotYours { message: "x".into() },
        ApiError::not_found("x"),
        ApiError::MethodNotAllowed {
            method: Method::PUT,
            action: "x",
        },
        ApiError::VersionNotSupported {
            requested: "9.9".into(),
        },
        ApiError::BodyTimeout,
        ApiError::Conflict { message: "x".into() },
        ApiError::TooLarge { limit: 1 },
        ApiError::TargetTooLong { limit: 1 },
        ApiError::HeaderTooLong {
            name: http::header::COOKIE,
            limit: 1,
        },
        ApiError::too_many(std::time::Duration::ZERO),
        ApiError::UnsupportedMediaType,
        ApiError::Unavailable {
            service: "x",
            source: source(),
        },
        ApiError::Denied { source: source() },
        ApiError::Internal { source: source() },
    ];
    for error in &errors {
        match error {
            ApiError::BadRequest { .. }
            | ApiError::Unauthenticated { .. }
            | ApiError::Forbidden { .. }
            | ApiError::ForbiddenByNova { .. }
            | ApiError::NotYours { .. }
            | ApiError::NotFound { .. }
            | ApiError::MethodNotAllowed { .. }
            | ApiError::VersionNotSupported { .. }
            | ApiError::BodyTimeout
            | ApiError::Conflict { .. }
            | ApiError::TooLarge { .. }
            | ApiError::TargetTooLong { .. }
            | ApiError::HeaderTooLong { .. }
            | ApiError::TooMany { .. }
            | ApiError::UnsupportedMediaType
            | ApiError::Unavailable { .. }
            | ApiError::Denied { .. }
            | ApiError::Internal { .. } => {}
        }
    }
    errors
}

#[tokio::test]
async fn every_error_has_its_envelope() {
    use axum::response::IntoResponse;

    let document = openapi();
    let mut statuses = BTreeSet::new();
    for error in every_error() {
        let (parts, body) = error.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let (key, fault) = body.as_object().unwrap().iter().next().unwrap();
        let status = parts.status.as_u16();
        statuses.insert(status);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let envelope = schemas
            .values()
            .find(|schema| {
                schema.pointer(&format!("/properties/{key}/properties/code/const")) == Some(&json!(status))
            })
            .unwrap_or_else(|| panic!("no envelope for {body}"));
        let returned_keys: BTreeSet<_> = fault.as_object().unwrap().keys().collect();
        let shown = &envelope["properties"][key];
        let properties: BTreeSet<_> = shown["properties"].as_object().unwrap().keys().collect();
        let required = shown["required"].as_array().unwrap();
        assert!(returned_keys.is_subset(&properties), "{body}");
        assert!(
            required
                .iter()
                .all(|name| fault.get(name.as_str().unwrap()).is_some()),
            "{body}"
        );
    }
    let responses = document["components"]["responses"].as_object().unwrap();
    assert_eq!(responses.len(), statuses.len(), "none that is never given");
}

/// Compares a value with its schema: all required properties, and no others.
fn shown_as_described(document: &Value, name: &str, shown: &Value) {
    let schema = &document["components"]["schemas"][name];
    let keys: BTreeSet<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let properties = schema["properties"].as_object().unwrap();
    let needed: BTreeSet<&str> = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        needed.is_subset(&keys),
        "{name} lacks {:?}",
        needed.difference(&keys)
    );
    for key in keys {
        let property = properties
            .get(key)
            .unwrap_or_else(|| panic!("{name} has no {key}"));
        if shown[key].is_null() {
            assert!(property.to_string().contains("null"), "{name}.{key} is null");
        }
    }
}

#[tokio::test]
async fn views_are_described_key_by_key() {
    let document = openapi();
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let host = bench.host(&segment, "h").await;
    shown_as_described(&document, "Segment", &bench.get(&segment).await.root("segment"));
    let host = bench.get(&host).await.root("host");
    shown_as_described(&document, "Host", &host);
    shown_as_described(&document, "Segment", &host["failover_segment"]);
    let made = bench.notify("h", "2026-01-01").await.root("notification");
    shown_as_described(&document, "Notification", &made);
    let path = format!(
        "/v1/notifications/{}",
        made["notification_uuid"].as_str().unwrap()
    );
    let detailed = bench.get_at("1.3", &path).await.root("notification");
    assert!(detailed["recovery_workflow_details"].is_array());
    shown_as_described(&document, "Notification", &detailed);
    let extension = bench.get("/v1/extensions").await.root("extensions")[0].clone();
    shown_as_described(&document, "Extension", &extension);
    shown_as_described(&document, "Version", &bench.get("/v1").await.root("version"));
    shown_as_described(&document, "Version", &bench.get("/").await.root("versions")[0]);
}

fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let listed = operation["parameters"].as_array().into_iter().flatten();
    listed
        .map(|parameter| match parameter["$ref"].as_str() {
            Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => parameter,
        })
        .collect()
}

#[tokio::test]
async fn every_parameter_of_a_list_does_something() {
    let document = openapi();
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    bench.host(&segment, "h").await;
    let made = bench.notify("h", "2026-01-01").await.root("notification");
    let id = made["notification_uuid"].as_str().unwrap().to_owned();
    let segment_id = segment.rsplit('/').next().unwrap();
    let mut tried = BTreeMap::new();
    for (_, path, operation) in operations(&document)
        .filter(|(.., operation)| operation["operationId"].as_str().unwrap().starts_with("list"))
    {
        let real = path
            .replace("{segment}", segment_id)
            .replace("{notification}", &id);
        for parameter in parameters(&document, operation) {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let got: TestResponse = bench.get(&format!("{real}?{name}=no-such-thing")).await;
            let rows = || {
                got.json()
                    .as_object()
                    .unwrap()
                    .values()
                    .next()
                    .unwrap()
                    .as_array()
                    .unwrap()
                    .len()
            };
            assert!(got.status == 400 || rows() == 0, "{path}?{name}: {}", got.text);
            for value in parameter["schema"]["enum"].as_array().into_iter().flatten() {
                let got = bench
                    .get(&format!("{real}?{name}={}", value.as_str().unwrap()))
                    .await;
                assert_eq!(got.status, 200, "{path}?{name}={value}");
            }
            for value in parameter["schema"]["items"]["enum"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let got = bench
                    .get(&format!("{real}?{name}={}", value.as_str().unwrap()))
                    .await;
                assert_eq!(got.status, 200, "{path}?{name}={value}");
            }
            *tried.entry(path.clone()).or_insert(0) += 1;
        }
    }
    let tried: Vec<usize> = tried.into_values().collect();
    assert_eq!(
        tried,
        [1, 10, 9, 7, 8, 10],
        "instances, recoveries, notifications, their vmoves, segments, their hosts"
    );
}

#[tokio::test]
async fn examples_of_bodies_are_accepted() {
    let document = openapi();
    let mut tried = 0;
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        for (name, example) in content["examples"].as_object().into_iter().flatten() {
            let bench = Bench::new();
            super::operator::as_in_examples(&bench);
            let segment = bench.segment("s").await;
            let mut real = path.replace("/v1/segments/{segment}", &segment);
            if path != "/v1/segments/{segment}/hosts" {
                let host = bench.host(&segment, "compute-001").await;
                real = real.replace("{host}", host.rsplit('/').next().unwrap());
            }
            let real = real
                .replace("{hostname}/{kind}", "compute-001/host")
                .replace("{hostname}", "compute-001")
                .replace("{recovery}", "e241c4a2-1111-4222-8333-0123456789ab")
                .replace("{reporter}", "7");
            let got = bench.send(&method, &real, example["value"].clone()).await;
            // The region of these tests has a second host for plans, and no failed recovery.
            let refused = ["nothing was started: Nova has no", "no new attempt"];
            let is_read = got.status < 300 || refused.iter().any(|text| got.text.contains(text));
            assert!(is_read, "{method} {path}, {name}: {}", got.text);
            tried += 1;
        }
    }
    assert_eq!(tried, 19);
}

#[tokio::test]
async fn nul_is_refused_wherever_a_text_could_reach_a_database() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    bench.host(&segment, "h").await;
    for path in ["/v1/segments", "/v1/notifications", &format!("{segment}/hosts")] {
        for name in [
            "type",
            "status",
            "name",
            "service_type",
            "source_host_uuid",
            "unknown",
        ] {
            let got = bench.get(&format!("{path}?{name}=a%00b")).await;
            assert_eq!(got.status, 400, "{path} {name}");
        }
    }
    let bodies = [
        (
            "/v1/segments",
            json!({"segment": {"name": "a\0b", "recovery_method": "auto", "service_type": "C"}}),
        ),
        (
            "/v1/segments",
            json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "a\0"}}),
        ),
        (
            "/v1/segments",
            json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "C", "description": "\0"}}),
        ),
        (
            "/v1/notifications",
            notification("VM", "h\0", "2026-01-01", &json!({})),
        ),
        (
            "/v1/notifications",
            notification("VM", "h", "2026-01-01\0", &json!({})),
        ),
        (
            "/v1/notifications",
            notification("PROCESS", "h", "2026-01-01", &json!({"a\0": "b"})),
        ),
        (
            "/v1/notifications",
            notification(
                "PROCESS",
                "h",
                "2026-01-01",
                &json!({"event": "STOPPED", "process_name": "a\0b"}),
            ),
        ),
    ];
    for (path, body) in bodies {
        let got = bench.send("POST", path, body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {}", got.text);
    }
}

/// Compares the files in docs with the generated text.
#[test]
fn kept_files_are_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let document = serde_json::to_string_pretty(&openapi()).unwrap();
    let files = [
        ("openapi.json", document.as_str(), "tachi openapi"),
        ("api.md", &openapi_page(), "tachi openapi --format markdown"),
    ];
    for (name, made, command) in files {
        let kept = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        assert!(
            kept.trim_end() == made.trim_end(),
            "docs/{name} is old: {command} > docs/{name}"
        );
    }
}
