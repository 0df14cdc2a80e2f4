//! What people plan for hosts that live: where it is begun, and what could be given back to one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{HostId, NotificationId, RecoveryId, ServerId, Timestamp};

use super::JournalError;

/// The fact by which an engine says that it carries out what is planned.
pub const KEPT: &str = "plans";

/// What is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlan {
    /// A drain or a giveback.
    pub kind: RecoveryKind,
    /// Of this host.
    pub host: HostId,
    /// What exactly, as [`tachi_domain::planned::PlannedOrder`] writes it.
    pub payload: BTreeMap<String, String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planning {
    /// It is written, and an engine will see to it.
    Begun {
        /// What follows it.
        recovery: RecoveryId,
        /// The row that holds what was asked for.
        notification: NotificationId,
    },
    /// This is about the host already, and not over.
    Busy(RecoveryId, RecoveryKind),
    /// A recovery of another host has taken it out of the reserve, and is not over: nothing that lives there is moved away.
    Held(RecoveryId),
    /// The host is registered no more.
    Unknown,
}

/// An instance that was moved away from a host, by what has moved it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAway {
    /// The instance.
    pub server: ServerId,
    /// Its name then.
    pub name: String,
    /// Where it was put.
    pub dest: String,
    /// By which recovery.
    pub recovery: RecoveryId,
    /// When it was there.
    pub at: Option<Timestamp>,
}

/// Where plans are begun.
#[async_trait]
pub trait Plans: Send + Sync {
    /// Writes what is planned, in one transaction, unless something is at work on the host.
    ///
    /// # Errors
    ///
    /// When the database fails; it may have been written all the same.
    async fn plan(&self, new: &NewPlan) -> Result<Planning, JournalError>;

    /// The instances that recoveries and drains have moved away from this host and that none has moved since.
    ///
    /// # Errors
    ///
    /// When the database fails.
    async fn moved_away(&self, host: &str) -> Result<Vec<MovedAway>, JournalError>;
}
