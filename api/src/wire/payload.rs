//! Payloads of notifications: key/value pairs, and what each type of notification makes of them.

use std::collections::BTreeMap;

use serde_json::Value;
use tachi_domain::entity::notification::NotificationType;

use super::fields::{Fields, Objection, Problems, wrong_type};
use super::repr::repr;
use super::rules;

const EVENTS: &[&str] = &["STARTED", "STOPPED"];

/// The rule that holds for every type. It comes before policy, the types' own after it.
pub(crate) fn pairs(value: &Value) -> Result<BTreeMap<String, String>, Objection> {
    let Value::Object(object) = value else {
        return Err(Objection::Reason(wrong_type(value, "object")));
    };
    let mut pairs = BTreeMap::new();
    for (key, value) in object {
        if !is_key(key) {
            let shown = repr(&Value::String(key.clone()));
            return Err(Objection::Reason(format!(
                "{shown} does not match '^[a-zA-Z0-9-_:. ]{{1,255}}$'"
            )));
        }
        pairs.insert(key.clone(), rules::text(value, 0, 255)?);
    }
    Ok(pairs)
}

fn is_key(key: &str) -> bool {
    (1..=255).contains(&key.len())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_:. ".contains(c))
}

/// Checks a payload by the notification's type.
pub(crate) fn check(kind: NotificationType, payload: &BTreeMap<String, String>) -> Result<(), Problems> {
    let pairs = payload
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())));
    let payload = Value::Object(pairs.collect());
    let problems = match kind {
        NotificationType::ComputeHost => {
            let mut fields = Fields::root(&payload, &["event", "cluster_status", "host_status"])?;
            fields.required("event", |value| rules::one_of(value, EVENTS));
            fields.optional("cluster_status", |value| {
                rules::one_of(value, &["ONLINE", "OFFLINE"])
            });
            fields.optional("host_status", |value| {
                rules::one_of(value, &["NORMAL", "UNKNOWN"])
            });
            fields.finish()
        }
        NotificationType::Process => {
            let mut fields = Fields::root(&payload, &["process_name", "event"])?;
            fields.required("process_name", |value| rules::text(value, 1, 4096));
            fields.required("event", |value| rules::one_of(value, EVENTS));
            fields.finish()
        }
        NotificationType::Vm => {
            let mut fields = Fields::root(&payload, &["instance_uuid", "event", "vir_domain_event"])?;
            fields.required("instance_uuid", rules::uuid_like);
            fields.required("event", |value| rules::text(value, 1, 255));
            fields.required("vir_domain_event", |value| rules::text(value, 1, 255));
            fields.finish()
        }
    };
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
