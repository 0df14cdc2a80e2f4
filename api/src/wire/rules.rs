//! What single values must be like.

use serde_json::Value;
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::entity::segment::RecoveryMethod;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::fields::{Objection, wrong_type};
use super::repr::repr;
use crate::datetime;

type Checked<T> = Result<T, Objection>;

const NAME_SENTENCE: &str = "An invalid 'name' value was provided. The name must be: printable characters. Can not \
                             start or end with whitespace.";
const TRUE: &[&str] = &["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"];
const FALSE: &[&str] = &[
    "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no",
];

/// The most characters a database column of ours takes.
const LONGEST: usize = 255;

/// A name.
pub(crate) fn name(value: &Value) -> Checked<String> {
    let text = string(value)?;
    length(text, 1, LONGEST)?;
    // A letter or a space, but no space at either end; other blanks are not printable to begin with.
    let edged = text.starts_with(is_space) || text.ends_with(is_space);
    if edged || !text.chars().all(is_printable) {
        return Err(Objection::Sentence(NAME_SENTENCE.to_owned()));
    }
    Ok(text.to_owned())
}

/// A description.
pub(crate) fn description(value: &Value) -> Checked<String> {
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

/// A description, or none.
pub(crate) fn description_or_null(value: &Value) -> Checked<Option<String>> {
    if value.is_null() {
        Ok(None)
    } else {
        description(value).map(Some)
    }
}

/// The type of a host.
pub(crate) fn host_type(value: &Value) -> Checked<String> {
    let text = string(value)?;
    length(text, 0, LONGEST)?;
    pattern(text, "^[a-zA-Z0-9]*$", |c| c.is_ascii_alphanumeric())?;
    Ok(text.to_owned())
}

/// A host's name as reporters know it.
pub(crate) fn hostname(value: &Value) -> Checked<String> {
    let text = string(value)?;
    length(text, 1, LONGEST)?;
    pattern(text, "^[a-zA-Z0-9-._]*$", |c| {
        c.is_ascii_alphanumeric() || "-._".contains(c)
    })?;
    Ok(text.to_owned())
}

/// A boolean, or one of the words for it.
pub(crate) fn boolean(value: &Value) -> Checked<bool> {
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

/// A recovery method.
pub(crate) fn recovery_method(value: &Value) -> Checked<RecoveryMethod> {
    let known = value.as_str().and_then(RecoveryMethod::from_word);
    known.ok_or_else(|| not_one_of(value, RecoveryMethod::ALL.iter().map(|method| method.as_str())))
}

/// A notification's type.
pub(crate) fn notification_type(value: &Value) -> Checked<NotificationType> {
    let known = value.as_str().and_then(NotificationType::from_word);
    known.ok_or_else(|| not_one_of(value, NotificationType::ALL.iter().map(|kind| kind.as_str())))
}

/// A date and time.
pub(crate) fn date_time(value: &Value) -> Checked<Timestamp> {
    let text = string(value)?;
    datetime::parse(text).ok_or_else(|| Objection::Reason(format!("{} is not a 'date-time'", repr(value))))
}

/// A text of so many characters.
pub(crate) fn text(value: &Value, least: usize, most: usize) -> Checked<String> {
    let text = string(value)?;
    length(text, least, most)?;
    Ok(text.to_owned())
}

/// Any way to write a UUID.
pub(crate) fn uuid_like(value: &Value) -> Checked<String> {
    let text = string(value)?;
    if uuid::Uuid::parse_str(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(Objection::Reason(format!("{} is not a 'uuid'", repr(value))))
}

/// Exactly one of these words.
pub(crate) fn one_of(value: &Value, words: &[&'static str]) -> Checked<String> {
    match value.as_str() {
        Some(text) if words.contains(&text) => Ok(text.to_owned()),
        _ => Err(not_one_of(value, words.iter().copied())),
    }
}

fn not_one_of<'a>(value: &Value, words: impl Iterator<Item = &'a str>) -> Objection {
    let words: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    Objection::Reason(format!("{} is not one of [{}]", repr(value), words.join(", ")))
}

fn string(value: &Value) -> Checked<&str> {
    value
        .as_str()
        .ok_or_else(|| Objection::Reason(wrong_type(value, "string")))
}

fn length(text: &str, least: usize, most: usize) -> Checked<()> {
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

fn pattern(text: &str, shown: &str, allowed: impl Fn(char) -> bool) -> Checked<()> {
    if text.chars().all(allowed) {
        return Ok(());
    }
    Err(Objection::Reason(format!(
        "{} does not match '{shown}'",
        repr(&Value::String(text.to_owned()))
    )))
}

fn is_space(c: char) -> bool {
    c.general_category() == GeneralCategory::SpaceSeparator
}

/// Printable, and in the plane that a three-byte database column can keep.
fn is_printable(c: char) -> bool {
    let group = c.general_category_group();
    u32::from(c) <= 0xFFFF
        && group != GeneralCategoryGroup::Other
        && (group != GeneralCategoryGroup::Separator || is_space(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table is read in one piece")]
    fn value_schemas_of_section_2_3() {
        let long = "x".repeat(256);
        let fits = "ü".repeat(255);
        let cases = [
            ("name", name(&json!("s 1")).is_ok(), true),
            ("name of another script", name(&json!("сегмент")).is_ok(), true),
            ("name, 255 characters", name(&json!(fits)).is_ok(), true),
            ("name, 256 characters", name(&json!(long)).is_ok(), false),
            ("name, empty", name(&json!("")).is_ok(), false),
            ("name, leading blank", name(&json!(" s")).is_ok(), false),
            ("name, trailing blank", name(&json!("s ")).is_ok(), false),
            (
                "name, no-break space at the end",
                name(&json!("s\u{a0}")).is_ok(),
                false,
            ),
            ("name, tab", name(&json!("a\tb")).is_ok(), false),
            ("name, line feed at the end", name(&json!("s\n")).is_ok(), false),
            ("name, line separator", name(&json!("a\u{2028}b")).is_ok(), false),
            (
                "name, zero-width joiner",
                name(&json!("a\u{200d}b")).is_ok(),
                false,
            ),
            ("name, emoji", name(&json!("a😀")).is_ok(), false),
            ("name, number", name(&json!(1)).is_ok(), false),
            ("name, null", name(&json!(null)).is_ok(), false),
            ("description", description_or_null(&json!("a b\nc")).is_ok(), true),
            (
                "description, empty",
                description_or_null(&json!("")).is_ok(),
                true,
            ),
            (
                "description, null",
                description_or_null(&json!(null)).is_ok(),
                true,
            ),
            (
                "description, long",
                description_or_null(&json!("x".repeat(9000))).is_ok(),
                true,
            ),
            (
                "description, tab",
                description_or_null(&json!("a\tb")).is_ok(),
                false,
            ),
            (
                "description, carriage return",
                description_or_null(&json!("a\rb")).is_ok(),
                false,
            ),
            (
                "description, emoji",
                description_or_null(&json!("😀")).is_ok(),
                false,
            ),
            (
                "control attributes, null",
                description(&json!(null)).is_ok(),
                false,
            ),
            ("type", host_type(&json!("COMPUTE1")).is_ok(), true),
            ("type, empty", host_type(&json!("")).is_ok(), true),
            ("type, blank", host_type(&json!("A B")).is_ok(), false),
            (
                "type, line feed at the end",
                host_type(&json!("A\n")).is_ok(),
                false,
            ),
            ("type, null", host_type(&json!(null)).is_ok(), false),
            ("type, 256 characters", host_type(&json!(long)).is_ok(), false),
            ("hostname", hostname(&json!("node-1.example_x")).is_ok(), true),
            ("hostname, empty", hostname(&json!("")).is_ok(), false),
            ("hostname, slash", hostname(&json!("a/b")).is_ok(), false),
            ("boolean", boolean(&json!(true)) == Ok(true), true),
            ("boolean, number", boolean(&json!(1)).is_ok(), false),
            ("boolean, null", boolean(&json!(null)).is_ok(), false),
            ("boolean, odd case", boolean(&json!("oN")).is_ok(), false),
            ("boolean, t", boolean(&json!("t")).is_ok(), false),
            (
                "date-time",
                date_time(&json!("2017-04-21 17:29:55")).is_ok(),
                true,
            ),
            ("date-time, number", date_time(&json!(2017)).is_ok(), false),
            (
                "uuid",
                uuid_like(&json!("6128798e-1111-4222-8333-0123456789ab")).is_ok(),
                true,
            ),
            (
                "uuid, capitals",
                uuid_like(&json!("6128798E-1111-4222-8333-0123456789AB")).is_ok(),
                true,
            ),
            (
                "uuid, bare",
                uuid_like(&json!("6128798e1111422283330123456789ab")).is_ok(),
                true,
            ),
            (
                "uuid, braces",
                uuid_like(&json!("{6128798e-1111-4222-8333-0123456789ab}")).is_ok(),
                true,
            ),
            (
                "uuid, urn",
                uuid_like(&json!("urn:uuid:6128798e-1111-4222-8333-0123456789ab")).is_ok(),
                true,
            ),
            ("uuid, short", uuid_like(&json!("6128798e")).is_ok(), false),
        ];
        for (what, got, expected) in cases {
            assert_eq!(got, expected, "{what}");
        }
        for word in TRUE {
            assert_eq!(boolean(&json!(word)), Ok(true), "{word}");
        }
        for word in FALSE {
            assert_eq!(boolean(&json!(word)), Ok(false), "{word}");
        }
    }

    #[test]
    fn reasons_read_as_clients_know_them() {
        let reason = |objection| match objection {
            Objection::Reason(text) | Objection::Sentence(text) => text,
        };
        let cases = [
            (name(&json!(1)).unwrap_err(), "1 is not of type 'string'"),
            (name(&json!("")).unwrap_err(), "'' should be non-empty"),
            (name(&json!(" ")).unwrap_err(), NAME_SENTENCE),
            (
                recovery_method(&json!("x")).unwrap_err(),
                "'x' is not one of ['auto', 'reserved_host', 'auto_priority', 'rh_priority']",
            ),
            (
                host_type(&json!("!")).unwrap_err(),
                "'!' does not match '^[a-zA-Z0-9]*$'",
            ),
            (date_time(&json!("x")).unwrap_err(), "'x' is not a 'date-time'"),
        ];
        for (objection, expected) in cases {
            assert_eq!(reason(objection), expected);
        }
    }
}
