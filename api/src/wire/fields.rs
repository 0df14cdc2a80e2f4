//! Reads an object of a body field by field and collects everything that is wrong with it, or tells its schema.

use serde_json::{Map, Value, json};

use super::repr::repr;
use super::rules::Rule;
use crate::authorised::FromBody;
use crate::error::ApiError;
use crate::microversion::Microversion;
use crate::policy::Claim;

/// What is wrong with a body; never empty when it is returned as an error.
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

/// What a rule has against a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// To be told with the field's name and value.
    Reason(String),
    /// A sentence of its own.
    Sentence(String),
}

/// An object whose fields are asked for one by one. A body says in one function what it is made of; that function either
/// reads a body ([`Reader`]) or tells its schema ([`Outline`]), so neither can know a field the other does not.
pub(crate) trait Fields {
    /// A field that must be there. `None` if it is not, or is wrong.
    fn required<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out>;

    /// A field that may be there. `None` if it is not, or is wrong.
    fn optional<R: Rule>(&mut self, key: &'static str, rule: R) -> Option<R::Out>;

    /// The object must have some field.
    fn at_least_one(&mut self);
}

/// What stands under the one key that the root of a body may have.
pub(crate) trait Body: Sized {
    /// The key.
    const KEY: &'static str;

    /// Asks for every field there is. `None` if one that must be there is not, or is wrong.
    fn fields(fields: &mut impl Fields, version: Microversion) -> Option<Self>;

    fn claim(&self) -> Option<Claim<'_>> {
        None
    }

    /// What rules that have their turn later hold against a body that is refused already: the caller is told everything
    /// at once.
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

    fn claim(&self) -> Option<Claim<'_>> {
        Body::claim(self)
    }
}

/// Reads an object and collects everything that is wrong with it.
pub(crate) struct Reader<'a> {
    /// The field the object stands in; `None` at the root.
    at: Option<&'static str>,
    value: &'a Value,
    object: &'a Map<String, Value>,
    /// The keys asked for.
    known: Vec<&'static str>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The object under the one key that the root of a body may have.
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

    /// The body itself as an object.
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

    /// What was read, or what is wrong.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Problems> {
        let problems = self.into_problems();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems),
        }
    }

    /// What is wrong; keys that nobody asked for come first.
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

/// Tells the schema of an object.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    min_properties: Option<u8>,
}

impl Outline {
    /// The schema of what stands under the key of a body.
    pub(crate) fn of<B: Body>(version: Microversion) -> Value {
        let mut outline = Self::default();
        // There is nothing to read, so nothing is read.
        let _ = B::fields(&mut outline, version);
        outline.finish()
    }

    /// The schema of the fields asked for.
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

/// The reason for a value that is not of that JSON type.
pub(crate) fn wrong_type(value: &Value, wanted: &str) -> String {
    format!("{} is not of type '{wanted}'", repr(value))
}
