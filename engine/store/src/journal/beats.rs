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

use super::{claim, frozen, host_and_segment, pulse, rewind};
use crate::batches::padded;
use crate::clock;
use crate::convert::signed;
use crate::entity::recovery;
use crate::error::{Failure, Stop};
use crate::transaction::{Transaction, Tx, TxOutcome};

pub(super) struct Beats<'a> {
    pub(super) beats: &'a [LeaseRenewal],
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Beats<'_> {
    type Output = Vec<WriteOutcome>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Vec<WriteOutcome>>, Stop> {
        let mut held = BTreeMap::new();
        if !self.beats.is_empty() {
            let beats = padded(self.beats);
            let raised = raise(tx, &beats).await?;
            held = self.read(tx, &beats).await?;
            // On a node that lags behind, a claim may become visible between the two statements.
            if let Some(row) = held.keys().next().filter(|_| held.len() as u64 != raised) {
                return Err(Failure::Stale { row: row.0.clone() }.into());
            }
        }
        let mut outcomes = Vec::new();
        for beat in self.beats {
            outcomes.push(match held.get(&claim_of(beat)?) {
                Some(pulse) => WriteOutcome::Written(pulse.clone()),
                None => match rewind::missed(tx, &beat.claim).await? {
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
    let row = claim::held(&beat.claim)?
        .add(recovery::Column::Beat.eq(signed("beat", beat.claim.beat.saturating_add(past))?));
    Ok((beat.claim.id.to_string(), row))
}

/// Writes the heartbeats, and returns the number of held claims.
async fn raise(tx: &Tx, beats: &[LeaseRenewal]) -> Result<u64, Stop> {
    let mut elapsed = CaseStatement::new();
    let mut claims = Vec::with_capacity(beats.len());
    for beat in beats {
        let (uuid, epoch) = claim_of(beat)?;
        let this = recovery::Column::Uuid
            .eq(&uuid)
            .and(recovery::Column::Epoch.eq(epoch));
        elapsed = elapsed.case(this, Expr::value(signed("elapsed time", beat.elapsed.millis())?));
        claims.push(row_of(beat, 0)?);
    }
    let held = recovery::Entity::update_many()
        .col_expr(recovery::Column::Beat, Expr::col(recovery::Column::Beat).add(1))
        .col_expr(
            recovery::Column::ElapsedMs,
            elapsed.finally(Expr::col(recovery::Column::ElapsedMs)).into(),
        )
        .filter(claim::any_of(&claims))
        .exec(tx)
        .await?;
    Ok(held.rows_affected)
}

impl Beats<'_> {
    /// Reads the pulses of the held claims. Their rows are locked by now.
    async fn read(
        &self,
        tx: &Tx,
        beats: &[LeaseRenewal],
    ) -> Result<BTreeMap<(String, i64), OperatorState>, Stop> {
        let mut claims = Vec::with_capacity(beats.len());
        for beat in beats {
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
        let mut held = BTreeMap::new();
        for row in rows {
            let place = places.get(&row.host_uuid);
            let pulse = if freezes {
                pulse::read(tx, &row, place, self.now).await?
            } else {
                pulse::with(tx, &row, place, FreezeStatus::NOTHING, self.now).await?
            };
            held.insert((row.uuid, row.epoch), pulse);
        }
        let shown = clock::server_time(tx).await?;
        for pulse in held.values_mut() {
            pulse.clock = shown;
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests;
