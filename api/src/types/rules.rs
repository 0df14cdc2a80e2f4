//! Rules for single values. A rule parses a value and generates its own schema, so that the API's document describes exactly what
//! is checked.

use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::monitor::Resume;
use tachi_domain::{Timestamp, Wait, WaitsFor};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::fields::{Objection, wrong_type};
use super::repr::repr;
use crate::datetime;

type CheckResult<T> = Result<T, Objection>;

/// A rule for a value.
pub(crate) trait Rule {
    /// The type of the parsed value.
    type Out;

    /// Parses a value.
    fn read(&self, value: &Value) -> CheckResult<Self::Out>;

    /// Returns the rule as a JSON schema.
    fn schema(&self) -> Value;
}

const NAME_SENTENCE: &str = "An invalid 'name' value was provided. The name must be: printable characters. Can not \
                             start or end with whitespace.";
const TRUE: &[&str] = &["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"];
const FALSE: &[&str] = &[
    "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no",
];

/// Maximum length of a text in Tachi's database columns, in characters.
const MAX_COLUMN_CHARS: usize = 255;

/// Printable characters in a schema's pattern. [`BEYOND`] excludes those outside the basic plane.
const PRINTABLE_CLASSES: &str = r"\p{L}\p{M}\p{N}\p{P}\p{S}";

/// Characters with four bytes, which the columns of an adopted database cannot store.
const FOUR_BYTE_CHARS: &str = "[\u{10000}-\u{10FFFF}]";

/// A name: printable characters, without a space at either end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name;

impl Rule for Name {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        let text = string(value)?;
        length(text, 1, MAX_COLUMN_CHARS)?;
        // Spaces are allowed inside a name, but not at its ends. Other blanks are not printable.
        let edged = text.starts_with(is_space) || text.ends_with(is_space);
        if edged || !text.chars().all(is_printable) {
            return Err(Objection::Sentence(NAME_SENTENCE.to_owned()));
        }
        Ok(text.to_owned())
    }

    fn schema(&self) -> Value {
        json!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_COLUMN_CHARS,
            "pattern": format!(r"^[{PRINTABLE_CLASSES}]([{PRINTABLE_CLASSES}\p{{Zs}}]*[{PRINTABLE_CLASSES}])?$"),
            "not": {"pattern": FOUR_BYTE_CHARS},
            "description": "Printable characters of the basic plane; no blank at either end.",
        })
    }
}

/// A description: printable characters and line feeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description;

impl Rule for Description {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        let text = string(value)?;
        if text.chars().all(|c| c == '\n' || is_printable(c)) {
            return Ok(text.to_owned());
        }
        let reason = format!(
            "{} may contain printable characters and line feeds only",
            repr(value)
        );
        Err(Objection::Reason(reason))
    }

    fn schema(&self) -> Value {
        json!({
            "type": "string",
            "pattern": format!(r"^[{PRINTABLE_CLASSES}\p{{Zs}}\n]*$"),
            "not": {"pattern": FOUR_BYTE_CHARS},
            "description": "Printable characters of the basic plane, and line feeds.",
        })
    }
}

/// The wait of a recovery, as answers contain it. Other members of that object are ignored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownWait;

impl Rule for ShownWait {
    type Out = Wait;

    fn read(&self, value: &Value) -> CheckResult<Wait> {
        tachi_operator::ShownWait::deserialize(value)
            .map(Wait::from)
            .map_err(|error| Objection::Reason(format!("it is not the waits object of a recovery: {error}")))
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "required": ["for", "since"],
            "properties": {
                "for": {"type": "string", "enum": WaitsFor::ALL},
                "on": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
                "since": {"type": "string", "format": "date-time"},
            },
            "description": "The `waits` object of the recovery, as it was shown to the operator; null if it was null.",
        })
    }
}

/// A value of another rule, or null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrNull<R>(pub(crate) R);

impl<R: Rule> Rule for OrNull<R> {
    type Out = Option<R::Out>;

    fn read(&self, value: &Value) -> CheckResult<Self::Out> {
        if value.is_null() {
            Ok(None)
        } else {
            self.0.read(value).map(Some)
        }
    }

    fn schema(&self) -> Value {
        let mut schema = self.0.schema();
        if let Some(kind) = schema.get_mut("type") {
            *kind = json!([kind.take(), "null"]);
        }
        schema
    }
}

/// A text of certain characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatternText {
    least: usize,
    /// The pattern in error messages. The lengths are checked first.
    pattern: &'static str,
    allowed: fn(char) -> bool,
}

/// The type of a host.
pub(crate) const HOST_TYPE: PatternText = PatternText {
    least: 0,
    pattern: "^[a-zA-Z0-9]*$",
    allowed: |c| c.is_ascii_alphanumeric(),
};

/// A host name as reporters send it.
pub(crate) const HOSTNAME: PatternText = PatternText {
    least: 1,
    pattern: "^[a-zA-Z0-9-._]*$",
    allowed: |c| c.is_ascii_alphanumeric() || "-._".contains(c),
};

impl Rule for PatternText {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        let text = string(value)?;
        length(text, self.least, MAX_COLUMN_CHARS)?;
        if text.chars().all(self.allowed) {
            return Ok(text.to_owned());
        }
        Err(Objection::Reason(format!(
            "{} does not match '{}'",
            repr(value),
            self.pattern
        )))
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": self.least, "maxLength": MAX_COLUMN_CHARS, "pattern": self.pattern})
    }
}

/// A boolean, or a text that stands for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boolean;

impl Rule for Boolean {
    type Out = bool;

    fn read(&self, value: &Value) -> CheckResult<bool> {
        if let Value::Bool(value) = value {
            return Ok(*value);
        }
        let Value::String(text) = value else {
            return Err(Objection::Reason(format!(
                "{} is not of type 'boolean', 'string'",
                repr(value)
            )));
        };
        if TRUE.contains(&text.as_str()) {
            Ok(true)
        } else if FALSE.contains(&text.as_str()) {
            Ok(false)
        } else {
            Err(not_one_of(value, TRUE.iter().chain(FALSE).copied()))
        }
    }

    /// Returns a reference, because the schema is long: see [`Boolean::words`].
    fn schema(&self) -> Value {
        json!({"$ref": "#/components/schemas/Boolean"})
    }
}

impl Boolean {
    /// Returns the referenced schema.
    pub(crate) fn values() -> Value {
        let values: Vec<_> = TRUE.iter().chain(FALSE).collect();
        json!({
            "anyOf": [{"type": "boolean"}, {"type": "string", "enum": values}],
            "description": "A boolean, or a text that stands for one.",
        })
    }
}

/// A word of a domain type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnumText<T> {
    from_value: fn(&str) -> Option<T>,
    values: fn() -> Vec<&'static str>,
}

pub(crate) const RECOVERY_METHOD: EnumText<RecoveryMethod> = EnumText {
    from_value: RecoveryMethod::from_value,
    values: || RecoveryMethod::ALL.iter().map(|method| method.as_str()).collect(),
};

pub(crate) const NOTIFICATION_TYPE: EnumText<NotificationType> = EnumText {
    from_value: NotificationType::from_value,
    values: || NotificationType::ALL.iter().map(|kind| kind.as_str()).collect(),
};

/// The scope of a freeze.
pub(crate) const FREEZE_SCOPE: EnumText<FreezeScope> = EnumText {
    from_value: FreezeScope::from_value,
    values: || FreezeScope::ALL.iter().map(|scope| scope.as_str()).collect(),
};

/// A setting that reports whether guests start when their host boots.
pub(crate) const RESUME: EnumText<Resume> = EnumText {
    from_value: Resume::from_value,
    values: || Resume::ALL.iter().map(|value| value.as_str()).collect(),
};

/// An operator action.
pub(crate) const OPERATOR_ACTION: EnumText<super::action::ActionKind> = EnumText {
    from_value: super::action::ActionKind::from_value,
    values: || {
        super::action::ActionKind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .collect()
    },
};

impl<T> Rule for EnumText<T> {
    type Out = T;

    fn read(&self, value: &Value) -> CheckResult<T> {
        let known = value.as_str().and_then(self.from_value);
        known.ok_or_else(|| not_one_of(value, (self.values)().into_iter()))
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "enum": (self.values)()})
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DateTime;

impl Rule for DateTime {
    type Out = Timestamp;

    fn read(&self, value: &Value) -> CheckResult<Timestamp> {
        let text = string(value)?;
        datetime::parse(text)
            .ok_or_else(|| Objection::Reason(format!("{} is not a 'date-time'", repr(value))))
    }

    fn schema(&self) -> Value {
        json!({
            "type": "string",
            "format": "date-time",
            "description": datetime::ACCEPTED_FORMS,
        })
    }
}

/// A schema's pattern for texts without NUL.
pub(crate) const NO_NUL: &str = r"^[^\x00]*$";

/// A text with a limited number of characters, without NUL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// The minimum length, in characters.
    pub(crate) least: usize,
    /// The maximum length, in characters.
    pub(crate) most: usize,
}

impl Rule for Text {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        let text = string(value)?;
        length(text, self.least, self.most)?;
        // PostgreSQL's text columns cannot store a NUL.
        if text.contains('\0') {
            return Err(Objection::Reason(format!(
                "{} does not match '{NO_NUL}'",
                repr(value)
            )));
        }
        Ok(text.to_owned())
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": self.least, "maxLength": self.most, "pattern": NO_NUL})
    }
}

/// A whole number in a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// The minimum value.
    pub(crate) least: u64,
    /// The maximum value.
    pub(crate) most: u64,
}

impl Rule for Whole {
    type Out = u64;

    fn read(&self, value: &Value) -> CheckResult<u64> {
        if !value.is_number() {
            return Err(Objection::Reason(wrong_type(value, "integer")));
        }
        let Self { least, most } = *self;
        // JSON has a single type of number, so 60.0 is a whole number.
        let number = value.as_u64().or_else(|| whole(value.as_f64()?));
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                Objection::Reason(format!(
                    "{} is not a whole number from {least} to {most}",
                    repr(value)
                ))
            })
    }

    fn schema(&self) -> Value {
        json!({"type": "integer", "minimum": self.least, "maximum": self.most})
    }
}

/// Converts a whole number that has a fraction in JSON.
fn whole(number: f64) -> Option<u64> {
    let text = format!("{number:.0}");
    (number.fract() == 0.0).then(|| text.parse().ok()).flatten()
}

/// A UUID in any notation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UuidLike;

impl Rule for UuidLike {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        let text = string(value)?;
        if uuid::Uuid::parse_str(text).is_ok() {
            return Ok(text.to_owned());
        }
        Err(Objection::Reason(format!("{} is not a 'uuid'", repr(value))))
    }

    fn schema(&self) -> Value {
        json!({
            "type": "string",
            "format": "uuid",
            "description": "Upper case, braces, `urn:uuid:` and missing hyphens are accepted.",
        })
    }
}

/// Exactly one of these words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneOf(pub(crate) &'static [&'static str]);

impl Rule for OneOf {
    type Out = String;

    fn read(&self, value: &Value) -> CheckResult<String> {
        match value.as_str() {
            Some(text) if self.0.contains(&text) => Ok(text.to_owned()),
            _ => Err(not_one_of(value, self.0.iter().copied())),
        }
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "enum": self.0})
    }
}

fn not_one_of<'a>(value: &Value, values: impl Iterator<Item = &'a str>) -> Objection {
    let values: Vec<String> = values.map(|value| format!("'{value}'")).collect();
    Objection::Reason(format!("{} is not one of [{}]", repr(value), values.join(", ")))
}

fn string(value: &Value) -> CheckResult<&str> {
    value
        .as_str()
        .ok_or_else(|| Objection::Reason(wrong_type(value, "string")))
}

fn length(text: &str, least: usize, most: usize) -> CheckResult<()> {
    let characters = text.chars().count();
    let shown = || repr(&Value::String(text.to_owned()));
    if characters < least {
        return Err(Objection::Reason(format!("{} should be non-empty", shown())));
    }
    if characters > most {
        return Err(Objection::Reason(format!("{} is too long", shown())));
    }
    Ok(())
}

fn is_space(c: char) -> bool {
    c.general_category() == GeneralCategory::SpaceSeparator
}

/// True if the character is printable and fits a database column with three bytes per character.
fn is_printable(c: char) -> bool {
    let group = c.general_category_group();
    u32::from(c) <= 0xFFFF
        && group != GeneralCategoryGroup::Other
        && (group != GeneralCategoryGroup::Separator || is_space(c))
}

#[cfg(test)]
mod tests;
