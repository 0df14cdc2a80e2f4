//! The durable side of a recovery: claims, beats and the journal.
//!
//! Every write of a claimed recovery begins with a counted update of its row at the claim's epoch and is rolled back
//! unless exactly one row matched (R1). A commit that fails, or whose answer is lost, counts as not held: the caller makes
//! no outside call after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::guard::{Doubts, RegionHost};
use tachi_domain::recovery::WrittenOff;
use tachi_domain::{Elapsed, HostId, RecoveryId, Reporter, ServerId};
pub use tachi_driver::RowVersion;
pub use tachi_driver::journal::{
    Beat, Claim, ClaimView, Claimed, Committed, HostWrite, MoveWrite, PlannedWrite, ProofWrite, RESTARTS,
    StepKind, StepWrite, Write,
};

use super::reporters::Doubted;
use super::reserve::ReserveRow;

/// A database error. All of them mean: nothing is known to be written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}")]
#[non_exhaustive]
pub struct JournalError {
    /// What was tried, such as `claiming a recovery`.
    pub operation: &'static str,
    /// What the database, or the decoding of what it held, said.
    #[source]
    pub source: Arc<dyn std::error::Error + Send + Sync>,
    /// The database denies it to our user (`tachi db grants`): it will tomorrow, and nothing was written.
    pub denied: bool,
}

impl JournalError {
    /// Wraps what the database said.
    pub fn new(operation: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            operation,
            source: Arc::from(source.into()),
            denied: false,
        }
    }

    /// The same, if the database denies it to our user.
    #[must_use]
    pub fn denied(self, denied: bool) -> Self {
        Self { denied, ..self }
    }
}

/// What happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// A number of its own among those of its kind.
    pub row: i64,
    /// To which host.
    pub host: HostId,
    /// By which recovery.
    pub recovery: RecoveryId,
    /// How long ago, by the database's own clock: engines whose clocks differ agree on it.
    pub age: Duration,
}

/// What the database knows of all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The registered hosts.
    pub hosts: Vec<RegionHost>,
    /// The number of the open recovery of each that has one.
    pub open: BTreeMap<HostId, i64>,
    /// Power-offs that were ordered.
    pub orders: Vec<Happened>,
    /// Hosts that were proven off.
    pub proofs: Vec<Happened>,
    /// Who reports the hosts whose recoveries are open, each voice once; of a host that an older version or a person has put
    /// there, nobody.
    pub reporters: BTreeMap<HostId, Vec<Reporter>>,
    /// Process recoveries that are open, or keep a host on maintenance, in the order in which they were opened.
    pub processes: Vec<Happened>,
}

/// The journal.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Every recovery that is open or watching.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn unsettled(&self) -> Result<Vec<ClaimView>, JournalError>;

    /// Claims a recovery if its row is still as it was seen (epoch, sequence and owner); `None` if somebody was quicker or it is
    /// closed. The notification goes to `running` if it was `new` or `error`.
    ///
    /// # Errors
    ///
    /// The database failed: not claimed, or claimed without knowing it, which the next claim heals.
    async fn claim(&self, seen: &ClaimView, owner: &str) -> Result<Option<Claimed>, JournalError>;

    /// As [`Journal::claim`] for several recoveries, in one transaction where that is possible. The answers are in the order of `seen`. One that somebody else was quicker with, or that cannot be read, does not
    /// touch the others.
    async fn claim_all(&self, seen: &[ClaimView], owner: &str) -> Vec<Result<Option<Claimed>, JournalError>> {
        let mut outcomes = Vec::with_capacity(seen.len());
        for view in seen {
            outcomes.push(self.claim(view, owner).await);
        }
        outcomes
    }

    /// Raises the beat and stores the recovery's own time.
    ///
    /// # Errors
    ///
    /// The database failed: counts as not held.
    async fn beat(&self, claim: &Claim, elapsed: Elapsed) -> Result<Committed, JournalError>;

    /// As [`Journal::beat`] for several recoveries, in one transaction where that is possible. The answers are in the order of
    /// the beats. One claim that is lost does not touch the others.
    async fn beat_all(&self, beats: &[Beat]) -> Vec<Result<Committed, JournalError>> {
        let mut outcomes = Vec::with_capacity(beats.len());
        for beat in beats {
            outcomes.push(self.beat(&beat.claim, beat.elapsed).await);
        }
        outcomes
    }

    /// Writes one transaction; it counts as a beat too.
    ///
    /// # Errors
    ///
    /// The database failed: counts as not held.
    async fn commit(&self, claim: &Claim, write: &Write) -> Result<Committed, JournalError>;

    /// Lets go of a claim, so that another engine need not wait for a silent beat.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn release(&self, claim: &Claim) -> Result<(), JournalError>;

    /// Marks a recovery whose row, as it was seen, is older than `known`: what this engine has once seen or written of it (R33). The
    /// mark ends any claim. `false`, and nothing happens, if the row is not as it was seen.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn mark_rewound(&self, seen: &ClaimView, known: RowVersion) -> Result<bool, JournalError>;

    /// How long ago the cluster's first engine started, by the database's clock; sets it down if that is this one (R24).
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn first_start(&self) -> Result<Duration, JournalError>;

    /// Every registered host, and what happened to hosts within `lately` by the journal's own clock.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn standing(&self, lately: Duration) -> Result<Standing, JournalError>;

    /// The names of the hosts that open or watching recoveries have a valid proof of (R10).
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn proven_off(&self) -> Result<BTreeSet<String>, JournalError>;

    /// The evacuation records from the host of this name that its latest recoveries have given up (R10), by instance.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn written_off(&self, host: &str) -> Result<BTreeMap<ServerId, Vec<WrittenOff>>, JournalError>;

    /// Other hosts on which these instances may run by what recoveries of any host have left in the journal (R10).
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn may_run(
        &self,
        servers: &BTreeSet<ServerId>,
    ) -> Result<BTreeMap<ServerId, BTreeSet<String>>, JournalError>;

    /// Counts a recovery that has ended because Nova heard its host all the time against all that had reported it, once, and sets
    /// those aside that were contradicted too often. Gives those of whom that is news.
    ///
    /// # Errors
    ///
    /// The database failed: a contradiction less is counted.
    async fn contradicted(&self, id: RecoveryId, rules: Doubts) -> Result<Vec<Doubted>, JournalError>;

    /// The hosts of the segment of `host` that are in reserve, or held by a recovery; none that is on maintenance.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn reserve(&self, host: HostId) -> Result<Vec<ReserveRow>, JournalError>;
}
