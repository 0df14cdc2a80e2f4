//! Payloads of notifications: key/value pairs, and the fields required by each type of notification.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tachi_domain::entity::notification::NotificationType;

use super::fields::{Fields, Objection, Outline, Problems, Reader, wrong_type};
use super::repr::repr;
use super::rules::{OneOf, Rule, Text, UuidLike};

const EVENT: OneOf = OneOf(&["STARTED", "STOPPED"]);
const VALUE_LIMITS: Text = Text { least: 0, most: 255 };
const NON_EMPTY_VALUE: Text = Text {
    least: 1,
    ..VALUE_LIMITS
};
const KEY_PATTERN: &str = "^[a-zA-Z0-9-_:. ]{1,255}$";

/// The rule for payloads of every type. It is checked before the policy; the rules of the types are checked after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs;

impl Rule for Pairs {
    type Out = BTreeMap<String, String>;

    fn read(&self, value: &Value) -> Result<Self::Out, Objection> {
        let Value::Object(object) = value else {
            return Err(Objection::Reason(wrong_type(value, "object")));
        };
        let mut pairs = BTreeMap::new();
        let mut reasons = Vec::new();
        for (key, value) in object {
            if !is_key(key) {
                let shown = repr(&Value::String(key.clone()));
                reasons.push(format!("{shown} does not match '{KEY_PATTERN}'"));
            }
            match VALUE_LIMITS.read(value) {
                Ok(text) => _ = pairs.insert(key.clone(), text),
                Err(Objection::Reason(text) | Objection::Sentence(text)) => reasons.push(text),
            }
        }
        if reasons.is_empty() {
            Ok(pairs)
        } else {
            Err(Objection::Reason(reasons.join("; ")))
        }
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "propertyNames": {"pattern": KEY_PATTERN},
            "additionalProperties": VALUE_LIMITS.schema(),
        })
    }
}

fn is_key(key: &str) -> bool {
    (1..=255).contains(&key.len())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_:. ".contains(c))
}

/// Checks a payload by the rules of the notification's type.
pub(crate) fn check(kind: NotificationType, payload: &BTreeMap<String, String>) -> Result<(), Problems> {
    let pairs = payload
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())));
    let payload = Value::Object(pairs.collect());
    let mut reader = Reader::root(&payload)?;
    fields(kind, &mut reader);
    reader.finish(Some(()))
}

/// Returns the schema of a payload of this type.
pub(crate) fn schema(kind: NotificationType) -> Value {
    let mut outline = Outline::default();
    fields(kind, &mut outline);
    outline.finish()
}

fn fields(kind: NotificationType, fields: &mut impl Fields) {
    match kind {
        NotificationType::ComputeHost => {
            fields.required("event", EVENT);
            fields.optional("cluster_status", OneOf(&["ONLINE", "OFFLINE"]));
            fields.optional("host_status", OneOf(&["NORMAL", "UNKNOWN"]));
        }
        NotificationType::Process => {
            fields.required("process_name", NON_EMPTY_VALUE);
            fields.required("event", EVENT);
        }
        NotificationType::Vm => {
            fields.required("instance_uuid", UuidLike);
            fields.required("event", NON_EMPTY_VALUE);
            fields.required("vir_domain_event", NON_EMPTY_VALUE);
        }
    }
}
