//! Field-by-field parsing of JSON objects in bodies. The same code collects all problems of a body or generates its schema.

use serde_json::{Map, Value, json};

use super::repr::repr;
use super::rules::Rule;
use crate::error::ApiError;
use crate::extract::FromBody;
use crate::microversion::Microversion;
use crate::policy::ReportContext;

/// The problems of a body; never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self(vec![message.into()])
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
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

/// A reason why a rule refuses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// A reason, shown together with the field's name and value.
    Reason(String),
    /// A complete sentence, shown alone.
    Sentence(String),
}

/// An object whose fields are requested one by one. A body type lists its fields in a single function. That function either parses
/// a body ([`Reader`]) or generates its schema ([`Outline`]), so the two cannot differ.
pub(crate) trait Fields {
    /// Requests a required field. Returns `None` if it is missing or invalid.
    fn required<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out>;

    /// Requests an optional field. Returns `None` if it is missing or invalid.
    fn optional<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out>;

    /// Requires that the object has at least one field.
    fn at_least_one(&mut self);
}

/// The object under the only root key of a body.
pub(crate) trait Body: Sized {
    /// The root key.
    const KEY: &'static str;

    /// Requests all fields. Returns `None` if a required field is missing or invalid.
    fn fields(fields: &mut impl Fields, version: Microversion) -> Option<Self>;

    fn claim(&self) -> Option<ReportContext<'_>> {
        None
    }

    /// Returns the problems that later checks would find in a body that is refused already, so that the caller gets all problems at
    /// once.
    fn later(_: &Map<String, Value>) -> Problems {
        Problems::default()
    }
}

impl<B: Body> FromBody for B {
    fn from_body(body: &Value, version: Microversion) -> Result<Self, Problems> {
        let mut reader = Reader::open(body, B::KEY)?;
        let read = B::fields(&mut reader, version);
        let object = reader.object;
        reader.finish(read).map_err(|mut problems| {
            problems.extend(B::later(object));
            problems
        })
    }

    fn claim(&self) -> Option<ReportContext<'_>> {
        Body::claim(self)
    }
}

/// A parser of an object that collects all problems.
pub(crate) struct Reader<'a> {
    /// The field that contains the object; `None` at the root.
    at: Option<&'static str>,
    value: &'a Value,
    object: &'a Map<String, Value>,
    /// The keys requested so far.
    known: Vec<&'static str>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Opens the object under the only root key of a body.
    fn open(body: &'a Value, key: &'static str) -> Result<Self, Problems> {
        let mut root = Self::root(body)?;
        root.known.push(key);
        let Some(value) = root.object.get(key) else {
            root.missing(key);
            return Err(root.into_problems());
        };
        let Value::Object(object) = value else {
            root.note(Some(key), value, &wrong_type(value, "object"));
            return Err(root.into_problems());
        };
        Ok(Self {
            at: Some(key),
            value,
            object,
            known: Vec::new(),
            problems: root.into_problems().0,
        })
    }

    /// Opens the body itself as an object.
    pub(crate) fn root(body: &'a Value) -> Result<Self, Problems> {
        let Value::Object(object) = body else {
            return Err(Problems::one(wrong_type(body, "object")));
        };
        Ok(Self {
            at: None,
            value: body,
            object,
            known: Vec::new(),
            problems: Vec::new(),
        })
    }

    /// Returns the parsed value, or the problems.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Problems> {
        let problems = self.into_problems();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems),
        }
    }

    /// Returns the problems; unexpected keys come first.
    fn into_problems(mut self) -> Problems {
        let others: Vec<String> = self
            .object
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
            .map(|key| repr(&Value::String(key.clone())))
            .collect();
        if !others.is_empty() {
            let was = if others.len() == 1 { "was" } else { "were" };
            let reason = format!(
                "Additional properties are not allowed ({} {was} unexpected)",
                others.join(", ")
            );
            let noted = std::mem::take(&mut self.problems);
            self.note(self.at, self.value, &reason);
            self.problems.extend(noted);
        }
        Problems(self.problems)
    }

    fn missing(&mut self, key: &str) {
        self.note(self.at, self.value, &format!("'{key}' is a required property"));
    }

    fn note(&mut self, name: Option<&str>, value: &Value, reason: &str) {
        self.problems.push(match name {
            Some(name) => {
                format!(
                    "Invalid input for field/attribute {name}. Value: {}. {reason}",
                    repr(value)
                )
            }
            None => reason.to_owned(),
        });
    }
}

impl Fields for Reader<'_> {
    fn required<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out> {
        if !self.object.contains_key(key) {
            self.missing(key);
        }
        self.optional(key, rule)
    }

    fn optional<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out> {
        self.known.push(key);
        let object = self.object;
        let value = object.get(key)?;
        match rule.read(value) {
            Ok(good) => Some(good),
            Err(Objection::Reason(reason)) => {
                self.note(Some(key), value, &reason);
                None
            }
            Err(Objection::Sentence(sentence)) => {
                self.problems.push(sentence);
                None
            }
        }
    }

    fn at_least_one(&mut self) {
        if self.object.is_empty() {
            self.note(
                self.at,
                self.value,
                "{} is not valid under any of the given schemas",
            );
        }
    }
}

/// A generator of the schema of an object.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    min_properties: Option<u8>,
}

impl Outline {
    /// Returns the schema of the object under the body's root key.
    pub(crate) fn of<B: Body>(version: Microversion) -> Value {
        let mut outline = Self::default();
        // The outline parses no value, so the result is always `None`.
        let _ = B::fields(&mut outline, version);
        outline.finish()
    }

    /// Returns the schema of the requested fields.
    pub(crate) fn finish(self) -> Value {
        let mut schema =
            json!({"type": "object", "properties": self.properties, "additionalProperties": false});
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        if let Some(least) = self.min_properties {
            schema["minProperties"] = json!(least);
        }
        schema
    }
}

impl Fields for Outline {
    fn required<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out> {
        self.required.push(key);
        self.optional(key, rule)
    }

    fn optional<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out> {
        self.properties.insert(key.to_owned(), rule.schema());
        None
    }

    fn at_least_one(&mut self) {
        self.min_properties = Some(1);
    }
}

/// Returns the reason for a value of the wrong JSON type.
pub(crate) fn wrong_type(value: &Value, expected: &str) -> String {
    format!("{} is not of type '{expected}'", repr(value))
}
