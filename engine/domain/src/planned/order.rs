//! The order for a planned operation. It is stored in the payload of the row that starts the operation, so it is durable
//! before anything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ServerId;
use crate::policy::is_truthy;
use crate::recovery::RecoveryKind;

/// The maximum number of parallel live migrations, whatever the order requests.
pub const MAX_PARALLEL_MOVES: u32 = 16;

/// The longest freeze of a drained host.
pub const MAX_FREEZE_DURATION: Duration = Duration::from_hours(24);

/// The shortest time limit of a live migration.
pub const MIN_MOVE_LIMIT: Duration = Duration::from_secs(10);
/// The longest time limit of a live migration.
pub const MAX_MOVE_LIMIT: Duration = Duration::from_hours(24);

/// An operator's order for a planned operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOrder {
    /// The operator.
    pub by: String,
    pub reason: String,
    /// The duration of the freeze after the host is drained.
    pub lasts: Duration,
    /// The maximum number of parallel live migrations.
    pub at_once: u32,
    /// The time limit of a live migration, after which Nova is requested to abort it.
    pub limit: Duration,
    /// True if instances that their owners have locked are moved too.
    pub with_locked: bool,
    /// The instances of a giveback, each with the host it was moved to.
    pub instances: BTreeMap<ServerId, String>,
}

impl PlannedOrder {
    /// Reads an order from a payload. A missing or invalid value is read as the lowest one allowed.
    pub fn read(payload: &BTreeMap<String, String>) -> Self {
        let payload_value = |key: &str| payload.get(key).map(String::as_str).unwrap_or_default();
        let seconds = |key: &str| {
            payload_value(key)
                .parse()
                .map_or(Duration::ZERO, Duration::from_secs)
        };
        let pair = |text: &str| {
            let (server, host) = text.split_once('=')?;
            Some((server.parse().ok()?, host.to_owned()))
        };
        Self {
            by: payload_value("by").to_owned(),
            reason: payload_value("reason").to_owned(),
            lasts: seconds("for_seconds").min(MAX_FREEZE_DURATION),
            at_once: payload_value("at_once")
                .parse()
                .unwrap_or(1)
                .clamp(1, MAX_PARALLEL_MOVES),
            limit: seconds("limit_seconds").clamp(MIN_MOVE_LIMIT, MAX_MOVE_LIMIT),
            with_locked: is_truthy(payload_value("with_locked")),
            instances: payload_value("instances").split(',').filter_map(pair).collect(),
        }
    }

    /// Returns the order as a payload.
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
