//! Plans that operators make for running hosts, and the instances that could be given back to a host.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{HostId, NotificationId, RecoveryId, ServerId, Timestamp};

use super::JournalError;

/// The fact in the registry entry of an engine that carries out plans.
pub const PLANS_FACT: &str = "plans";

/// A request for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlan {
    /// A drain or a giveback.
    pub kind: RecoveryKind,
    pub host: HostId,
    /// The details, as [`tachi_domain::planned::PlannedOrder`] writes them.
    pub payload: BTreeMap<String, String>,
}

/// The result of a request for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOutcome {
    /// The plan is written, and an engine will carry it out.
    Started {
        /// The recovery that carries it out.
        recovery: RecoveryId,
        /// The notification row that holds the request.
        notification: NotificationId,
    },
    /// An unfinished recovery of this kind already works on the host.
    Busy(RecoveryId, RecoveryKind),
    /// An unfinished recovery of another host has taken this host out of the reserve, so running instances must not be
    /// moved away from it.
    Reserved(RecoveryId),
    /// The host is no longer registered.
    Unknown,
}

/// An instance that was moved away from a host, by its latest move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAway {
    pub server: ServerId,
    /// The instance's name at that time.
    pub name: String,
    /// The destination of the move.
    pub dest: String,
    /// The recovery that moved it.
    pub recovery: RecoveryId,
    /// The time of its arrival.
    pub at: Option<Timestamp>,
}

/// The store of plans.
#[async_trait]
pub trait Plans: Send + Sync {
    /// Writes a plan in one transaction, unless another recovery works on the host.
    ///
    /// # Errors
    ///
    /// The database failed; the plan may have been written anyway.
    async fn plan(&self, new: &NewPlan) -> Result<PlanOutcome, JournalError>;

    /// Returns the instances whose latest move, by a recovery or a drain, was away from this host.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn moved_away(&self, host: &str) -> Result<Vec<MovedAway>, JournalError>;
}
