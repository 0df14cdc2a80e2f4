//! Heartbeats of several recoveries in one transaction, with as many statements as one needs.
//!
//! Like every write it starts with a counted update, for each recovery at its own epoch. A lost claim matches no
//! row and so writes nothing; the others are unaffected.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::{CaseStatement, Condition, Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tachi_domain::Timestamp;
use tachi_domain::freeze::FreezeStatus;
use tachi_domain::recovery::OperatorState;
use tachi_engine::ports::journal::{LeaseRenewal, WriteOutcome};

use super::{claim, frozen, host_and_segment, operator_state, rewind};
use crate::batches::padded;
use crate::clock;
use crate::convert::signed;
use crate::entity::recovery;
use crate::error::{Failure, Stop};
use crate::transaction::{Transaction, Tx, TxOutcome};

pub(super) struct Renewals<'a> {
    pub(super) renewals: &'a [LeaseRenewal],
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Renewals<'_> {
    type Output = Vec<WriteOutcome>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Vec<WriteOutcome>>, Stop> {
        let mut leases = BTreeMap::new();
        if !self.renewals.is_empty() {
            let renewals = padded(self.renewals);
            let raised = raise(tx, &renewals).await?;
            leases = self.read(tx, &renewals).await?;
            // On a node that lags behind, a claim may become visible between the two statements.
            if let Some(row) = leases.keys().next().filter(|_| leases.len() as u64 != raised) {
                return Err(Failure::Stale { row: row.0.clone() }.into());
            }
        }
        let mut outcomes = Vec::new();
        for beat in self.renewals {
            outcomes.push(match leases.get(&claim_of(beat)?) {
                Some(operator_state) => WriteOutcome::Written(operator_state.clone()),
                None => match rewind::why_missing(tx, &beat.claim).await? {
                    TxOutcome::Keep(outcome) | TxOutcome::Undo(outcome) => outcome,
                },
            });
        }
        Ok(TxOutcome::Keep(outcomes))
    }
}

/// Returns a recovery and the epoch of its heartbeat: one batch may contain a claim and the claim that replaced it.
fn claim_of(beat: &LeaseRenewal) -> Result<(String, i64), Failure> {
    Ok((beat.claim.id.to_string(), signed("epoch", beat.claim.epoch)?))
}

/// Returns the condition for the row of a held claim, `past` heartbeats after the one that its owner knows. The
/// sequence is not compared.
fn row_of(beat: &LeaseRenewal, past: u64) -> Result<(String, Condition), Failure> {
    let row = claim::current_claim(&beat.claim)?
        .add(recovery::Column::Beat.eq(signed("beat", beat.claim.beat.saturating_add(past))?));
    Ok((beat.claim.id.to_string(), row))
}

/// Writes the heartbeats, and returns the number of held claims.
async fn raise(tx: &Tx, renewals: &[LeaseRenewal]) -> Result<u64, Stop> {
    let mut elapsed = CaseStatement::new();
    let mut claims = Vec::with_capacity(renewals.len());
    for beat in renewals {
        let (uuid, epoch) = claim_of(beat)?;
        let this = recovery::Column::Uuid
            .eq(&uuid)
            .and(recovery::Column::Epoch.eq(epoch));
        elapsed = elapsed.case(this, Expr::value(signed("elapsed time", beat.elapsed.millis())?));
        claims.push(row_of(beat, 0)?);
    }
    let updated = recovery::Entity::update_many()
        .col_expr(recovery::Column::Beat, Expr::col(recovery::Column::Beat).add(1))
        .col_expr(
            recovery::Column::ElapsedMs,
            elapsed.finally(Expr::col(recovery::Column::ElapsedMs)).into(),
        )
        .filter(claim::any_of(&claims))
        .exec(tx)
        .await?;
    Ok(updated.rows_affected)
}

impl Renewals<'_> {
    /// Reads the pulses of the held claims. Their rows are locked by now.
    async fn read(
        &self,
        tx: &Tx,
        renewals: &[LeaseRenewal],
    ) -> Result<BTreeMap<(String, i64), OperatorState>, Stop> {
        let mut claims = Vec::with_capacity(renewals.len());
        for beat in renewals {
            claims.push(row_of(beat, 1)?);
        }
        let rows = claim::all_without_state()
            .filter(claim::any_of(&claims))
            .all(tx)
            .await?;
        let Some(opened) = rows.iter().map(|row| row.opened_at).min() else {
            return Ok(BTreeMap::new());
        };
        let hosts: Vec<&str> = rows.iter().map(|row| row.host_uuid.as_str()).collect();
        let places = host_and_segment::of_all(tx, &padded(&hosts)).await?;
        let freezes = frozen::anything(tx, opened).await?;
        let mut leases = BTreeMap::new();
        for row in rows {
            let place = places.get(&row.host_uuid);
            let operator_state = if freezes {
                operator_state::read(tx, &row, place, self.now).await?
            } else {
                operator_state::with(tx, &row, place, FreezeStatus::NONE, self.now).await?
            };
            leases.insert((row.uuid, row.epoch), operator_state);
        }
        let shown = clock::server_time(tx).await?;
        for operator_state in leases.values_mut() {
            operator_state.clock = shown;
        }
        Ok(leases)
    }
}

#[cfg(test)]
mod tests;
