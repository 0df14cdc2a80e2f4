//! The additional fields of a monitor's heartbeat, as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tachi_domain::monitor::{Guests, HeartbeatUse, LostPlanes, MonitorHeartbeat, Notice};
use tachi_domain::{ServerId, Timestamp};

/// The additional fields of a monitor's heartbeat.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Says {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) guests: Option<Guests>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<Notice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) planes: Option<LostPlanes>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) processes_down: BTreeMap<String, Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) shut_down: BTreeSet<ServerId>,
    #[serde(default)]
    pub(super) heartbeats: HeartbeatUse,
}

impl Says {
    pub(super) fn of(heartbeat: &MonitorHeartbeat) -> Self {
        Self {
            guests: heartbeat.guests.clone(),
            notice: heartbeat.notice.clone(),
            planes: heartbeat.planes.clone(),
            processes_down: heartbeat.processes_down.clone(),
            shut_down: heartbeat.shut_down.clone(),
            heartbeats: heartbeat.heartbeat_use,
        }
    }
}
