//! The journal addressed by epochs: the rest of a claim is read from the row, so that a test need not keep it.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tachi_domain::{Elapsed, RecoveryId};
use tachi_engine::ports::journal::{Claim, ClaimedRecovery, PeerClaim, Write, WriteOutcome};
use tachi_engine::ports::{Journal as _, JournalError};

use super::{JournalTables, recovery};

impl JournalTables {
    /// Returns the claim of this epoch, as known to the last writer of the row.
    pub(crate) async fn claim_of(&self, id: RecoveryId, epoch: u64) -> Claim {
        let row = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(id.to_string()))
            .one(self.db.writer())
            .await
            .unwrap();
        let count = |count: Option<i64>| u64::try_from(count.unwrap_or_default()).unwrap();
        Claim {
            id,
            epoch,
            seq: count(row.as_ref().map(|row| row.seq)),
            beat: count(row.as_ref().map(|row| row.beat)),
            owner: row.and_then(|row| row.owner).unwrap_or_default(),
        }
    }

    pub(crate) async fn claim_at(
        &self,
        id: RecoveryId,
        epoch: u64,
        owner: &str,
    ) -> Result<Option<ClaimedRecovery>, JournalError> {
        let known = self.claim_of(id, epoch).await;
        let view = PeerClaim {
            id,
            epoch,
            seq: known.seq,
            beat: known.beat,
            owner: Some(known.owner).filter(|owner| !owner.is_empty()),
            life: tachi_domain::recovery::Life::Open,
            of_host: true,
        };
        self.claim(&view, owner).await
    }

    pub(crate) async fn commit_at(
        &self,
        id: RecoveryId,
        epoch: u64,
        write: &Write,
    ) -> Result<WriteOutcome, JournalError> {
        self.commit(&self.claim_of(id, epoch).await, write).await
    }

    pub(crate) async fn beat_at(
        &self,
        id: RecoveryId,
        epoch: u64,
        elapsed: Elapsed,
    ) -> Result<WriteOutcome, JournalError> {
        self.beat(&self.claim_of(id, epoch).await, elapsed).await
    }

    pub(crate) async fn release_at(&self, id: RecoveryId, epoch: u64) -> Result<(), JournalError> {
        self.release(&self.claim_of(id, epoch).await).await
    }
}
