//! Rows that are older than their owners know: a failover of the database has lost writes.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tachi_domain::recovery::Life;
use tachi_engine::ports::journal::{Claim, PeerClaim, RowVersion, WriteOutcome};

use super::claim;
use crate::convert::{recovery_cell, signed};
use crate::entity::recovery;
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Returns the reason why no row matches the claim. Marks the row if its owner knows of writes that the row lacks. The
/// transaction has written nothing else.
pub(super) async fn why_missing(tx: &Tx, claim: &Claim) -> Result<TxOutcome<WriteOutcome>, Stop> {
    let found = claim::all_without_state()
        .filter(recovery::Column::Uuid.eq(claim.id.to_string()))
        .one(tx)
        .await?;
    let Some(row) = found else {
        tracing::error!(recovery = %claim.id, "row of a recovery is missing; a failover of the database may have lost it");
        return Ok(TxOutcome::Undo(WriteOutcome::Lost));
    };
    let epoch = recovery_cell(&row, "epoch").count(row.epoch)?;
    let seq = recovery_cell(&row, "seq").count(row.seq)?;
    let is_ours = row.owner.as_ref() == Some(&claim.owner);
    if epoch == claim.epoch && seq == claim.seq && is_ours {
        // Only heartbeats were lost.
        return Ok(TxOutcome::Undo(WriteOutcome::Rewound));
    }
    // A higher sequence is a write of ours whose response was lost.
    if epoch > claim.epoch || (epoch == claim.epoch && is_ours && seq > claim.seq) {
        return Ok(TxOutcome::Undo(WriteOutcome::Lost));
    }
    let known = RowVersion {
        epoch: claim.epoch,
        seq: claim.seq,
    };
    if !mark(tx, &row, known).await? {
        return Ok(TxOutcome::Undo(WriteOutcome::Lost));
    }
    Ok(TxOutcome::Keep(WriteOutcome::Rewound))
}

/// Marks the row and releases it, with an epoch and a sequence higher than any used before. `false` if another engine
/// has changed it.
async fn mark(tx: &Tx, row: &recovery::Model, known: RowVersion) -> Result<bool, Stop> {
    let epoch = row.epoch.max(signed("epoch", known.epoch)?) + 1;
    let seq = row.seq.max(signed("seq", known.seq)?) + 1;
    let marked = recovery::Entity::update_many()
        .col_expr(recovery::Column::Epoch, Expr::value(epoch))
        .col_expr(recovery::Column::Seq, Expr::value(seq))
        .col_expr(recovery::Column::Owner, Expr::value(None::<String>))
        .col_expr(recovery::Column::Rewound, Expr::value(true))
        .filter(recovery::Column::Id.eq(row.id))
        .filter(recovery::Column::Epoch.eq(row.epoch))
        .filter(recovery::Column::Seq.eq(row.seq))
        .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
        .exec(tx)
        .await?;
    Ok(marked.rows_affected == 1)
}

/// Marks a row that an engine has found to be older than a version it knew.
pub(super) struct Mark<'a> {
    pub(super) claim: &'a PeerClaim,
    pub(super) known: RowVersion,
}

#[async_trait]
impl Transaction for Mark<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        let row = claim::without_state(tx, &self.claim.id.to_string()).await?;
        let as_seen =
            row.epoch == signed("epoch", self.claim.epoch)? && row.seq == signed("seq", self.claim.seq)?;
        let is_older =
            row.epoch < signed("epoch", self.known.epoch)? || row.seq < signed("seq", self.known.seq)?;
        if as_seen && is_older && mark(tx, &row, self.known).await? {
            return Ok(TxOutcome::Keep(true));
        }
        Ok(TxOutcome::Undo(false))
    }
}

#[cfg(test)]
mod tests;
