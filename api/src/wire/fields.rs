//! Reads an object of a body field by field and collects everything that is wrong with it.

use serde_json::{Map, Value};

use super::repr::repr;
use crate::error::ApiError;

/// What is wrong with a body; never empty when it is returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self(vec![message.into()])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self::bad_request(problems.0.join("; "))
    }
}

/// What a rule has against a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// To be told with the field's name and value.
    Reason(String),
    /// A sentence of its own.
    Sentence(String),
}

/// Turns a value into what it stands for.
pub(crate) type Rule<T> = fn(&Value) -> Result<T, Objection>;

/// An object whose fields are being read.
pub(crate) struct Fields<'a> {
    /// The field the object stands in; `None` at the root.
    at: Option<&'static str>,
    value: &'a Value,
    object: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The object under the one key that the root of a body may have.
    ///
    /// `allowed` are the keys it may have itself.
    pub(crate) fn open(body: &'a Value, key: &'static str, allowed: &[&str]) -> Result<Self, Problems> {
        let mut root = Self::root(body, &[key])?;
        let Some(value) = root.present(key) else {
            root.missing(key);
            return Err(Problems(root.problems));
        };
        let Value::Object(object) = value else {
            root.note(Some(key), value, wrong_type(value, "object"));
            return Err(Problems(root.problems));
        };
        let problems = root.problems;
        let mut fields = Self {
            at: Some(key),
            value,
            object,
            problems,
        };
        fields.refuse_others(allowed);
        Ok(fields)
    }

    /// The body itself as an object with these keys.
    pub(crate) fn root(body: &'a Value, allowed: &[&str]) -> Result<Self, Problems> {
        let Value::Object(object) = body else {
            return Err(Problems::one(wrong_type(body, "object")));
        };
        let mut fields = Self {
            at: None,
            value: body,
            object,
            problems: Vec::new(),
        };
        fields.refuse_others(allowed);
        Ok(fields)
    }

    /// A field that must be there. `None` if it is not, or is wrong; then that is noted.
    pub(crate) fn required<T>(&mut self, key: &'static str, rule: Rule<T>) -> Option<T> {
        if self.present(key).is_none() {
            self.missing(key);
        }
        self.optional(key, rule)
    }

    /// A field that may be there. `None` if it is not, or is wrong; only the latter is noted.
    pub(crate) fn optional<T>(&mut self, key: &'static str, rule: Rule<T>) -> Option<T> {
        let value = self.present(key)?;
        match rule(value) {
            Ok(good) => Some(good),
            Err(Objection::Reason(reason)) => {
                self.note(Some(key), value, reason);
                None
            }
            Err(Objection::Sentence(sentence)) => {
                self.problems.push(sentence);
                None
            }
        }
    }

    /// Notes it if the object has none of its fields.
    pub(crate) fn at_least_one(&mut self) {
        if self.object.is_empty() {
            self.note(
                self.at,
                self.value,
                "{} is not valid under any of the given schemas".to_owned(),
            );
        }
    }

    /// What was noted.
    pub(crate) fn finish(self) -> Problems {
        Problems(self.problems)
    }

    fn present(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key)
    }

    fn missing(&mut self, key: &str) {
        self.note(self.at, self.value, format!("'{key}' is a required property"));
    }

    fn refuse_others(&mut self, allowed: &[&str]) {
        let others: Vec<String> = self
            .object
            .keys()
            .filter(|key| !allowed.contains(&key.as_str()))
            .map(|key| repr(&Value::String(key.clone())))
            .collect();
        if others.is_empty() {
            return;
        }
        let was = if others.len() == 1 { "was" } else { "were" };
        let reason = format!(
            "Additional properties are not allowed ({} {was} unexpected)",
            others.join(", ")
        );
        self.note(self.at, self.value, reason);
    }

    fn note(&mut self, name: Option<&str>, value: &Value, reason: String) {
        self.problems.push(match name {
            Some(name) => {
                format!(
                    "Invalid input for field/attribute {name}. Value: {}. {reason}",
                    repr(value)
                )
            }
            None => reason,
        });
    }
}

/// The reason for a value that is not of that JSON type.
pub(crate) fn wrong_type(value: &Value, wanted: &str) -> String {
    format!("{} is not of type '{wanted}'", repr(value))
}
