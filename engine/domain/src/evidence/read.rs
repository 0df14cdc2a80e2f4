//! The strict parser of evidence in JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{EvidenceKind, FenceAction, FenceEvidence, time};
use crate::timestamp::Timestamp;

/// The maximum size of the JSON, before it is encoded for the header.
pub const MAX_EVIDENCE_BYTES: usize = 4096;

/// The maximum length of a text, in characters.
const MAX_TEXT_LENGTH: usize = 255;

/// The part of a reporter's own text that an error repeats, in characters.
const MAX_ECHOED_CHARS: usize = 64;

const FIELD_NAMES: [&str; 14] = [
    "version",
    "kind",
    "cluster",
    "target",
    "host",
    "action",
    "completed_at",
    "observed_at",
    "reporter",
    "device",
    "agent",
    "delegate",
    "origin",
    "last_up_at",
];

/// The reason why evidence is refused: the problem, its place, and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The evidence is too long.
    #[error("it has {bytes} bytes, more than the limit of {MAX_EVIDENCE_BYTES}: remove optional fields")]
    TooLong { bytes: usize },
    /// The text is not a JSON object.
    #[error("it is not a JSON object: {0}")]
    NotAnObject(#[source] serde_json::Error),
    /// A member is there twice.
    #[error("field \"{member}\" occurs twice: send it once")]
    Twice {
        /// The member's name, as sent.
        member: String,
    },
    /// The member is not known in version 1.
    #[error("field \"{member}\" is unknown in version 1: remove it")]
    Unknown {
        /// The member's name, as sent.
        member: String,
    },
    /// A required member is missing.
    #[error("field \"{member}\" is missing: it is required{why}")]
    Missing {
        /// The member's name in version 1.
        member: &'static str,
        /// The condition under which it is required, if not always.
        why: &'static str,
    },
    /// A member has an invalid value.
    #[error("field \"{member}\" must be {expected}, and is {found}")]
    Wrong {
        /// The member's name in version 1.
        member: &'static str,
        expected: &'static str,
        found: String,
    },
    /// The evidence contradicts itself.
    #[error(
        "\"last_up_at\" is later than \"completed_at\": the node was up again after that fence, so it proves nothing"
    )]
    UpSince,
    /// The evidence is about another host.
    #[error(
        "\"host\" is {named}, and the notification's hostname is {reported}: send evidence with the report of its own host"
    )]
    OtherHost {
        /// The host in the evidence.
        named: String,
        /// The host of the notification.
        reported: String,
    },
}

/// Renders a reporter's text for an error: short, and without characters that a log or a terminal would interpret.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_ECHOED_CHARS).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("{short:?}")
}

/// The members in the order of the input, with duplicates.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        from.deserialize_map(Reader)
    }
}

struct Members(BTreeMap<&'static str, Value>);

pub(super) fn read(json: &[u8]) -> Result<FenceEvidence, EvidenceError> {
    if json.len() > MAX_EVIDENCE_BYTES {
        return Err(EvidenceError::TooLong { bytes: json.len() });
    }
    let Pairs(pairs) = serde_json::from_slice(json).map_err(EvidenceError::NotAnObject)?;
    let mut members = Members(BTreeMap::new());
    for (name, value) in pairs {
        let Some(known) = FIELD_NAMES.iter().find(|known| **known == name) else {
            let member = shown(&name).trim_matches('"').to_owned();
            return Err(EvidenceError::Unknown { member });
        };
        if members.0.insert(known, value).is_some() {
            return Err(EvidenceError::Twice { member: name });
        }
    }
    members.version()?;
    let kind = members.enum_value(
        "kind",
        "\"pacemaker_fence\" or \"operator\"",
        EvidenceKind::from_value,
    )?;
    let evidence = FenceEvidence {
        kind,
        cluster: match kind {
            EvidenceKind::PacemakerFence => {
                Some(members.required("cluster", " of kind \"pacemaker_fence\"")?)
            }
            EvidenceKind::Operator => members.text("cluster")?,
        },
        target: members.required("target", "")?,
        host: members.required("host", "")?,
        action: members.enum_value("action", "\"off\" or \"reboot\"", FenceAction::from_value)?,
        completed_at: members.required_time("completed_at")?,
        observed_at: members.required_time("observed_at")?,
        reporter: members.required("reporter", "")?,
        device: members.text("device")?,
        agent: members.text("agent")?,
        delegate: members.text("delegate")?,
        origin: members.text("origin")?,
        last_up_at: members.time("last_up_at")?,
    };
    if kind == EvidenceKind::Operator && evidence.target != evidence.host {
        return Err(EvidenceError::Wrong {
            member: "target",
            expected: "the same as \"host\" if an operator confirms",
            found: shown(&evidence.target),
        });
    }
    if evidence.last_up_at.is_some_and(|up| up > evidence.completed_at) {
        return Err(EvidenceError::UpSince);
    }
    Ok(evidence)
}

impl Members {
    fn version(&mut self) -> Result<(), EvidenceError> {
        let member = "version";
        let Some(found) = self.0.remove(member) else {
            return Err(EvidenceError::Missing { member, why: "" });
        };
        if found.as_u64() == Some(1) {
            return Ok(());
        }
        let expected = "the number 1, the only supported version";
        Err(EvidenceError::Wrong {
            member,
            expected,
            found: shown_value(&found),
        })
    }

    /// Returns a valid text; `None` if the member is missing.
    fn text(&mut self, member: &'static str) -> Result<Option<String>, EvidenceError> {
        let wrong = |expected, found| EvidenceError::Wrong {
            member,
            expected,
            found,
        };
        match self.0.remove(member) {
            None => Ok(None),
            Some(Value::String(text)) => {
                let count = text.chars().count();
                if !(1..=MAX_TEXT_LENGTH).contains(&count) {
                    let found = format!("of {count}");
                    return Err(wrong("a text of 1 to 255 characters", found));
                }
                if text.chars().any(char::is_control) {
                    return Err(wrong("a text without control characters", shown(&text)));
                }
                Ok(Some(text))
            }
            Some(other) => Err(wrong("a text", shown_value(&other))),
        }
    }

    fn required(&mut self, member: &'static str, why: &'static str) -> Result<String, EvidenceError> {
        self.text(member)?.ok_or(EvidenceError::Missing { member, why })
    }

    fn enum_value<T>(
        &mut self,
        member: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, EvidenceError> {
        let text = self.required(member, "")?;
        read(&text).ok_or_else(|| EvidenceError::Wrong {
            member,
            expected,
            found: shown(&text),
        })
    }

    fn time(&mut self, member: &'static str) -> Result<Option<Timestamp>, EvidenceError> {
        let Some(text) = self.text(member)? else {
            return Ok(None);
        };
        let expected =
            "a time such as 2026-11-20T18:30:12.481516Z, with a zone and at most six digits of a second";
        time::parse(&text).map(Some).ok_or_else(|| EvidenceError::Wrong {
            member,
            expected,
            found: shown(&text),
        })
    }

    fn required_time(&mut self, member: &'static str) -> Result<Timestamp, EvidenceError> {
        self.time(member)?
            .ok_or(EvidenceError::Missing { member, why: "" })
    }
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => shown(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
