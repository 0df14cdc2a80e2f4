//! What a person has asked for. It stands in the payload of the row that began it, so that it is durable before anything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ServerId;
use crate::policy::is_truthy;
use crate::recovery::RecoveryKind;

/// So many live migrations are under way at most, whatever is asked for.
pub const MOST_AT_ONCE: u32 = 16;

/// A host that was emptied is frozen for this long at most.
pub const LONGEST_FREEZE: Duration = Duration::from_hours(24);

/// A live migration may take this long at least.
pub const SHORTEST_LIMIT: Duration = Duration::from_secs(10);
/// A live migration may take this long at most.
pub const LONGEST_LIMIT: Duration = Duration::from_hours(24);

/// A person's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOrder {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// For how long a host that was emptied is frozen.
    pub lasts: Duration,
    /// How many live migrations are under way at most.
    pub at_once: u32,
    /// How long one may take before Nova is asked to abort it.
    pub limit: Duration,
    /// Whether instances that their owners have locked are moved too.
    pub with_locked: bool,
    /// Of a giveback: the instances, and where each was put.
    pub instances: BTreeMap<ServerId, String>,
}

impl PlannedOrder {
    /// From a payload. What is missing or makes no sense is taken as the least that can be meant.
    pub fn read(payload: &BTreeMap<String, String>) -> Self {
        let word = |key: &str| payload.get(key).map(String::as_str).unwrap_or_default();
        let seconds = |key: &str| word(key).parse().map_or(Duration::ZERO, Duration::from_secs);
        let pair = |text: &str| {
            let (server, host) = text.split_once('=')?;
            Some((server.parse().ok()?, host.to_owned()))
        };
        Self {
            by: word("by").to_owned(),
            reason: word("reason").to_owned(),
            lasts: seconds("for_seconds").min(LONGEST_FREEZE),
            at_once: word("at_once").parse().unwrap_or(1).clamp(1, MOST_AT_ONCE),
            limit: seconds("limit_seconds").clamp(SHORTEST_LIMIT, LONGEST_LIMIT),
            with_locked: is_truthy(word("with_locked")),
            instances: word("instances").split(',').filter_map(pair).collect(),
        }
    }

    /// As a payload.
    pub fn payload(&self, kind: RecoveryKind) -> BTreeMap<String, String> {
        let instances: Vec<String> = self
            .instances
            .iter()
            .map(|(server, host)| format!("{server}={host}"))
            .collect();
        let all = [
            ("event", kind.as_str().to_ascii_uppercase()),
            ("by", self.by.clone()),
            ("reason", self.reason.clone()),
            ("for_seconds", self.lasts.as_secs().to_string()),
            ("at_once", self.at_once.to_string()),
            ("limit_seconds", self.limit.as_secs().to_string()),
            ("with_locked", self.with_locked.to_string()),
            ("instances", instances.join(",")),
        ];
        all.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}
