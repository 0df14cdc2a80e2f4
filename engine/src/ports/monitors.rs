//! Heartbeats of monitors. Those of a failed host's own monitors can contradict a claim that it is off; the others are
//! for people and metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::ServerId;
use tachi_domain::monitor::{MonitorHeartbeat, MonitorKind};
use tachi_domain::situation::Monitor;
use tokio::time::Instant;

use super::JournalError;

/// Maximum age of a heartbeat to write. The time of an older one would be too uncertain.
pub const HEARTBEAT_WRITE_LIMIT: Duration = Duration::from_secs(5);

/// A heartbeat, dated by its receipt.
#[derive(Clone, Debug)]
pub struct ReceivedHeartbeat {
    /// The heartbeat as the monitor sent it.
    pub heartbeat: MonitorHeartbeat,
    /// The time of receipt by the API.
    pub received: Instant,
}

impl ReceivedHeartbeat {
    /// True if it can still be written.
    pub fn is_current(&self) -> bool {
        self.received.elapsed() < HEARTBEAT_WRITE_LIMIT
    }
}

/// The store of monitor heartbeats.
#[async_trait]
pub trait Monitors: Send + Sync {
    /// Writes heartbeats in place of the monitors' previous ones, and drops those that are too old. Returns the monitors
    /// whose heartbeats are not written, because their host is in no segment. A host monitor that watches a host of a
    /// segment is written wherever it runs.
    ///
    /// # Errors
    ///
    /// The database failed. Some heartbeats may have been written.
    async fn store_heartbeats(
        &self,
        heartbeats: &[ReceivedHeartbeat],
    ) -> Result<BTreeSet<(String, MonitorKind)>, JournalError>;

    /// Returns every monitor that ever sent a heartbeat, by host.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn monitors(&self) -> Result<Vec<Monitor>, JournalError>;

    /// Returns the instances on the local disk of each host that a monitor bound to the host has read.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn local_disks(&self) -> Result<BTreeMap<String, BTreeSet<ServerId>>, JournalError>;

    /// Removes a decommissioned monitor; `false` if there is none.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn forget_monitor(&self, host: &str, kind: MonitorKind) -> Result<bool, JournalError>;
}
