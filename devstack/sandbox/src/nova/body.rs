//! Parsing of JSON bodies, as strict as Nova's schemas: unknown properties are refused.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::answer::Answer;

pub(super) fn object<'a>(body: &'a Value, key: &str) -> Result<&'a Map<String, Value>, Answer> {
    body.get(key)
        .and_then(Value::as_object)
        .ok_or_else(|| invalid(key, "is a required property"))
}

/// Refuses properties that are not in `known`.
pub(super) fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), Answer> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Answer::bad_request(format!(
            "Additional properties are not allowed ('{key}' was unexpected)"
        ))),
    }
}

/// Returns an optional string property.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Answer> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(key, "is not of type 'string'")),
    }
}

/// Returns an optional boolean in any of Nova's spellings.
pub(super) fn boolean(object: &Map<String, Value>, key: &str) -> Result<Option<bool>, Answer> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(flag)) => parse_bool(flag)
            .map(Some)
            .ok_or_else(|| invalid(key, "is not a boolean")),
        Some(_) => Err(invalid(key, "is not a boolean")),
    }
}

/// Parses Nova's spellings of true and false.
pub(super) fn parse_bool(flag: &str) -> Option<bool> {
    match flag.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// Returns metadata: strings by name.
pub(super) fn strings(value: &Value) -> Result<std::collections::BTreeMap<String, String>, Answer> {
    let object = value
        .as_object()
        .ok_or_else(|| invalid("metadata", "is not of type 'object'"))?;
    object
        .iter()
        .map(|(key, value)| {
            let text = value
                .as_str()
                .ok_or_else(|| invalid(key, "is not of type 'string'"))?;
            Ok((key.clone(), text.to_owned()))
        })
        .collect()
}

/// Parses an id. Text that is not a UUID is answered like an unknown id: 404.
pub(super) fn server_id(text: &str) -> Result<Uuid, Answer> {
    text.parse()
        .map_err(|_| Answer::not_found(format!("Instance {text} could not be found.")))
}

pub(super) fn invalid(key: &str, why: &str) -> Answer {
    Answer::bad_request(format!("Invalid input for field/attribute {key}. {why}"))
}
