//! Proofs that a host is off.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tachi_domain::Timestamp;
use tachi_engine::ports::operator::ProofLine;
use utoipa::ToSchema;

use crate::when::Time;

/// A proof that a recovery's host is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryProof)]
pub struct ProofView {
    /// The number of the proof within its recovery, from 1.
    pub number: u32,
    /// When the proof was read.
    pub at: Time,
    /// The number of the claim under which it was read.
    pub claim: u64,
    /// `device` or `notification`.
    pub kind: String,
    /// The engine that read it.
    pub by: String,
    /// The source of the proof: the fence device, or the notification.
    pub from: String,
    /// The readings of the fence devices, one line each; for people.
    #[serde(default)]
    #[schema(required)]
    pub readings: Vec<String>,
    /// The complete evidence; null if it cannot be parsed.
    #[schema(value_type = Option<Object>, required)]
    pub evidence: Value,
}

impl ProofView {
    pub(crate) fn of(number: u32, ProofLine { epoch, proof }: &ProofLine) -> Self {
        let evidence = serde_json::from_str(&proof.evidence).unwrap_or(Value::Null);
        Self {
            number,
            at: Time(proof.at),
            claim: *epoch,
            kind: proof.kind.clone(),
            by: proof.by.clone(),
            from: proof.from.clone(),
            readings: readings(&evidence),
            evidence,
        }
    }
}

/// Returns the readings of a host's power, one per line.
pub(crate) fn readings(evidence: &Value) -> Vec<String> {
    let sentence = evidence.get("sentence").and_then(Value::as_str);
    // The structured evidence is stored beside the sentence; older versions stored only the former.
    let detail = evidence.get("detail").unwrap_or(evidence);
    let list = detail.get("readings").and_then(Value::as_array);
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return vec![sentence.map_or_else(|| evidence.to_string(), str::to_owned)];
    };
    let level = shown(detail.get("level"));
    let line = |one: &Value| {
        let at = one.get("answered_at_us").and_then(Value::as_i64);
        let at = at.map_or_else(
            || "at an unknown time".to_owned(),
            |at| Time(Timestamp::from_micros(at)).to_string(),
        );
        format!("level {level} read {:?}, {at}", shown(one.get("said")))
    };
    let sentences = sentence.map(str::to_owned).into_iter();
    sentences.chain(list.iter().map(line)).collect()
}

/// Renders a value in one line.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::readings;

    #[test]
    fn device_readings_are_rendered_one_per_line() {
        let stored = json!([{"asked_ms": 31, "said": "off", "answered_at_us": 1_700_000_000_000_000_i64}]);
        let kept = json!({"sentence": "a is off: bmc said so", "detail": {"level": 2, "readings": stored}});
        let rendered = [
            "a is off: bmc said so",
            "level 2 read \"off\", 2023-11-14T22:13:20.000Z",
        ];
        assert_eq!(readings(&kept), rendered);
        // The form that older versions stored.
        assert_eq!(readings(&kept["detail"]), rendered[1..]);
        assert_eq!(
            readings(&json!({"sentence": "alice confirms"})),
            ["alice confirms"]
        );
        assert_eq!(readings(&json!({"other": 1})), [r#"{"other":1}"#]);
    }
}
