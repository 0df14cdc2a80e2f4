//! Parameters in paths, queries and headers.

use serde_json::{Map, Value, json};
use tachi_domain::monitor::MonitorKind;

use super::operations::{Filter, FilterKind, List, Operation, Success};
use crate::microversion::Microversion;
use crate::query::{FALSE_SPELLINGS, TRUE_SPELLINGS};
use crate::types::rules::{DateTime, NO_NUL, Rule};

/// The paging parameters, which all lists share.
const PAGING: &[&str] = &["limit", "marker", "page_size", "sort_dir"];

/// Returns the parameters that several operations share.
pub(super) fn all() -> Value {
    let mut microversions: Vec<String> = Microversion::all().map(|version| version.to_string()).collect();
    microversions.push("latest".to_owned());
    let examples: Map<String, Value> = microversions
        .iter()
        .map(|version| {
            (
                version.clone(),
                json!({"value": format!("instance-ha {version}")}),
            )
        })
        .collect();
    json!({
        "microversion": {
            "name": "OpenStack-API-Version",
            "in": "header",
            "description": "The requested microversion; entries of other services are ignored",
            "schema": {"type": "string"},
            "examples": examples,
        },
        "limit": {
            "name": "limit",
            "in": "query",
            "description": "Maximum number of rows; limited to the operator's maximum",
            "schema": {"type": "integer", "minimum": 0},
        },
        "marker": {
            "name": "marker",
            "in": "query",
            "description": "The `id` of the last row of the previous page; 400 if there is no such row",
            "schema": {"type": "integer", "minimum": 0},
        },
        "page_size": {
            "name": "page_size",
            "in": "query",
            "description": "Validated like `limit`, without effect",
            "schema": {"type": "integer", "minimum": 0},
            "deprecated": true,
        },
        "sort_dir": {
            "name": "sort_dir",
            "in": "query",
            "description": "The direction of each sort key; the first is the default for keys without one. 400 if \
             there are more directions than keys",
            "schema": {"type": "array", "items": {"type": "string", "enum": ["asc", "desc"]}, "default": ["desc"]},
            "style": "form",
            "explode": true,
        },
    })
}

/// Returns the parameters in a path, which all its methods share.
pub(super) fn of_path(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let (about, schema) = match name {
                "alias" => (
                    "The alias of an extension",
                    json!({"type": "string", "minLength": 1}),
                ),
                "hostname" => (
                    "The name of a host in Nova",
                    json!({"type": "string", "minLength": 1}),
                ),
                "kind" => (
                    "The kind of monitor",
                    json!({"type": "string", "enum": MonitorKind::ALL}),
                ),
                "instance" => (
                    "The id of an instance, the start of the id, or the name",
                    json!({"type": "string", "minLength": 1}),
                ),
                "freeze" => (
                    "The number of a freeze",
                    json!({"type": "integer", "format": "int64", "minimum": 1}),
                ),
                "reporter" => (
                    "The number of a muted reporter, or the host that it is bound to",
                    json!({"type": "string", "minLength": 1}),
                ),
                "recovery" => (
                    "The id of a recovery",
                    json!({"type": "string", "format": "uuid"}),
                ),
                "id" => ("The id of a version", json!({"type": "string", "minLength": 1})),
                _ => (
                    "A UUID in lower-case hyphenated form, or the row's number; other forms match nothing",
                    json!({"type": "string", "format": "uuid"}),
                ),
            };
            json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
        })
        .collect()
}

/// Returns the parameters of an operation outside its path.
pub(super) fn of(operation: &Operation) -> Vec<Value> {
    if matches!(operation.success, Success::Open(..)) {
        return Vec::new();
    }
    let mut parameters = vec![named("microversion")];
    parameters.extend(operation.query.iter().map(filter));
    if let Some(List { sort_keys, filters }) = operation.list {
        parameters.extend(filters.iter().map(filter));
        parameters.extend(PAGING.iter().copied().map(named));
        parameters.push(sort_key(sort_keys));
    }
    parameters
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

fn filter(filter: &Filter) -> Value {
    let schema = match filter.kind {
        FilterKind::Exact => json!({"type": "string", "pattern": NO_NUL}),
        FilterKind::Boolean => json!({
            "type": "string",
            "pattern": boolean_pattern(),
            "description": "1, t, true, on, y, yes; 0, f, false, off, n, no. Case does not matter.",
        }),
        FilterKind::Time => DateTime.schema(),
        FilterKind::Number => json!({"type": "integer", "minimum": 0}),
        FilterKind::OneOf(values) => json!({"type": "string", "enum": values}),
    };
    json!({"name": filter.name, "in": "query", "description": filter.about, "schema": schema})
}

/// Returns the pattern of the values that a boolean filter accepts. An enumeration would have to list each word in every case.
fn boolean_pattern() -> String {
    let any_case = |value: &&str| -> String {
        let letter = |letter: char| match letter.to_ascii_uppercase() {
            upper if upper == letter => letter.to_string(),
            upper => format!("[{upper}{letter}]"),
        };
        value.chars().map(letter).collect()
    };
    let values: Vec<_> = TRUE_SPELLINGS
        .iter()
        .chain(FALSE_SPELLINGS)
        .map(any_case)
        .collect();
    format!("^\\s*({})\\s*$", values.join("|"))
}

fn sort_key(columns: &[&str]) -> Value {
    let mut columns = columns.to_vec();
    // `uuid` is the documented sort key, which every list accepts.
    if !columns.contains(&"uuid") {
        columns.push("uuid");
    }
    json!({
        "name": "sort_key",
        "in": "query",
        "description": "The sort key; `created_at` and `id` are appended",
        "schema": {"type": "array", "items": {"type": "string", "enum": columns}, "default": ["created_at"]},
        "style": "form",
        "explode": true,
    })
}
