//! The durable side of a recovery: claims, lease renewals and the journal.
//!
//! Every write of a claimed recovery starts with a counted update of its row at the claim's epoch and is rolled back
//! unless exactly one row matched. A commit that fails, or whose answer is lost, counts as a lost claim: the
//! caller makes no outside call after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::guard::{MutingPolicy, RegionHost};
use tachi_domain::recovery::WrittenOff;
use tachi_domain::{Elapsed, HostId, RecoveryId, Reporter, ServerId, Timestamp};
pub use tachi_driver::RowVersion;
pub use tachi_driver::journal::{
    Claim, ClaimedRecovery, HostWrite, LeaseRenewal, MoveWrite, PeerClaim, PlannedWrite, ProofWrite,
    RESTARTS, StepWrite, Write, WriteOutcome,
};

use super::reserve::ReserveRow;
use tachi_domain::situation::MutedReporter;

/// A database error. Whether anything was written is unknown, except if `denied`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}")]
#[non_exhaustive]
pub struct JournalError {
    /// The operation that failed, such as `claiming a recovery`.
    pub operation: &'static str,
    /// The error of the database, or of decoding its data.
    #[source]
    pub source: Arc<dyn std::error::Error + Send + Sync>,
    /// True if the database denies the operation to our user (`tachi db grants`): retrying does not help, and nothing
    /// was written.
    pub denied: bool,
}

impl JournalError {
    /// Wraps an error of the database.
    pub fn new(operation: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            operation,
            source: Arc::from(source.into()),
            denied: false,
        }
    }

    /// Returns the error, marked as denied to our user if `denied`.
    #[must_use]
    pub fn denied(self, denied: bool) -> Self {
        Self { denied, ..self }
    }
}

/// An event that happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostIncidentRow {
    /// A number that is unique among the events of its kind.
    pub row: i64,
    pub host: HostId,
    /// The recovery that caused it.
    pub recovery: RecoveryId,
    /// The age by the database's own clock: engines whose clocks differ agree on it.
    pub age: Duration,
}

/// The database's view of all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRecords {
    pub hosts: Vec<RegionHost>,
    /// The number of each host's open recovery.
    pub open: BTreeMap<HostId, i64>,
    /// Power-offs that were requested.
    pub orders: Vec<HostIncidentRow>,
    /// Hosts that were confirmed off.
    pub proofs: Vec<HostIncidentRow>,
    /// The reporters of each host with an open recovery, each identity once; empty for a recovery that an older version or
    /// an operator started.
    pub reporters: BTreeMap<HostId, Vec<Reporter>>,
    /// Process recoveries that are open, or keep a host in maintenance, in the order in which they were opened.
    pub processes: Vec<HostIncidentRow>,
}

/// The instances whose reported failure no recovery has repaired, those that the recovery of a host has given up, and the boots of hosts,
/// which end the guests there.
#[async_trait]
pub trait FailedInstances: Send + Sync {
    /// Returns the instances with an open recovery, each with its start, and those whose last recovery has failed or that were given up,
    /// with its end.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn failed_instances(&self) -> Result<BTreeMap<ServerId, Timestamp>, JournalError>;

    /// Returns the latest boot of each host whose monitors send it.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn host_boots(&self) -> Result<BTreeMap<String, Timestamp>, JournalError>;

    /// Removes instances that run again or that Nova no longer has. One whose recovery has failed after the given time stays.
    ///
    /// # Errors
    ///
    /// The database failed; the instances may have been removed anyway.
    async fn forget_instances(&self, gone: &BTreeMap<ServerId, Timestamp>) -> Result<(), JournalError>;
}

#[async_trait]
pub trait Journal: Send + Sync {
    /// Returns every recovery that is open or watching.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn unsettled(&self) -> Result<Vec<PeerClaim>, JournalError>;

    /// Claims a recovery if its row is still as it was seen (epoch, sequence and owner); `None` if another engine was
    /// faster or the recovery is closed. The notification becomes `running` if it was `new` or `error`.
    ///
    /// # Errors
    ///
    /// The database failed: the claim may have been written, which the next claim resolves.
    async fn claim(&self, claim: &PeerClaim, owner: &str) -> Result<Option<ClaimedRecovery>, JournalError>;

    /// Claims several recoveries as [`Journal::claim`] does, in one transaction where possible. The answers are in the
    /// order of `claims`. A recovery that another engine claimed first, or that cannot be read, does not affect the
    /// others.
    async fn claim_all(
        &self,
        claims: &[PeerClaim],
        owner: &str,
    ) -> Vec<Result<Option<ClaimedRecovery>, JournalError>> {
        let mut outcomes = Vec::with_capacity(claims.len());
        for view in claims {
            outcomes.push(self.claim(view, owner).await);
        }
        outcomes
    }

    /// Renews the lease and stores the recovery's elapsed time.
    ///
    /// # Errors
    ///
    /// The database failed: the claim counts as lost.
    async fn beat(&self, claim: &Claim, elapsed: Elapsed) -> Result<WriteOutcome, JournalError>;

    /// Renews several leases as [`Journal::beat`] does, in one transaction where possible. The answers are in the order
    /// of the beats. One lost claim does not affect the others.
    async fn renew_all(&self, beats: &[LeaseRenewal]) -> Vec<Result<WriteOutcome, JournalError>> {
        let mut outcomes = Vec::with_capacity(beats.len());
        for beat in beats {
            outcomes.push(self.beat(&beat.claim, beat.elapsed).await);
        }
        outcomes
    }

    /// Writes one transaction, which also renews the lease.
    ///
    /// # Errors
    ///
    /// The database failed: the claim counts as lost.
    async fn commit(&self, claim: &Claim, write: &Write) -> Result<WriteOutcome, JournalError>;

    /// Releases a claim, so that another engine need not wait for the lease to expire.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn release(&self, claim: &Claim) -> Result<(), JournalError>;

    /// Marks a recovery whose row is older than `known`, the version that this engine has already read or written. The
    /// mark ends any claim. Returns `false`, without effect, if the row has changed since it was seen.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn mark_rewound(&self, claim: &PeerClaim, known: RowVersion) -> Result<bool, JournalError>;

    /// Returns the time since the cluster's first engine started, by the database's clock. Records the start if this is
    /// the first engine.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn first_start(&self) -> Result<Duration, JournalError>;

    /// Returns every registered host, and the events of hosts within `lately` by the database's own clock.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn host_records(&self, lately: Duration) -> Result<HostRecords, JournalError>;

    /// Returns the names of the hosts with a valid fencing proof of an open or watching recovery.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn proven_off(&self) -> Result<BTreeSet<String>, JournalError>;

    /// Returns the evacuation records from the host of this name that its latest recoveries have given up, by
    /// instance.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn written_off(&self, host: &str) -> Result<BTreeMap<ServerId, Vec<WrittenOff>>, JournalError>;

    /// Returns the other hosts on which these instances may run according to the journals of all recoveries.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn may_run(
        &self,
        servers: &BTreeSet<ServerId>,
    ) -> Result<BTreeMap<ServerId, BTreeSet<String>>, JournalError>;

    /// Returns the instances that a monitor bound to this host has last read as being on the host's local disk.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn local_disks(&self, host: &str) -> Result<BTreeSet<ServerId>, JournalError>;

    /// Counts one contradiction for every reporter of a recovery that ended because its host was up in Nova all the time.
    /// Mutes reporters that were contradicted too often, and returns the newly muted ones.
    ///
    /// # Errors
    ///
    /// The database failed; the contradiction is not counted.
    async fn contradicted(
        &self,
        id: RecoveryId,
        rules: MutingPolicy,
    ) -> Result<Vec<MutedReporter>, JournalError>;

    /// Returns the reserved hosts in the segment of `host`, including those that a recovery has taken, except those in
    /// maintenance.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn reserve(&self, host: HostId) -> Result<Vec<ReserveRow>, JournalError>;
}
