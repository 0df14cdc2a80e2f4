//! An operator's action on a recovery, written as a separate row.
//!
//! The columns of the recovery contain the last action, too: older programs show it, and an older engine reads an abort
//! there.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set};
use serde_json::Value;
use tachi_domain::recovery::{Life, OperatorCommand};
use tachi_domain::{ApprovedWait, RecoveryId, Timestamp};
use tachi_engine::ports::operator::{ActionOutcome, READS_ACTIONS};

use crate::clock;
use crate::entity::{action, engine, recovery};
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::waits::{WaitColumns, json};

/// Maximum age of an engine's last heartbeat for it to count as running.
const ENGINE_TIMEOUT_MICROS: i64 = 60_000_000;

pub(super) struct SubmitAction<'a> {
    pub(super) id: RecoveryId,
    pub(super) word: OperatorCommand,
    pub(super) wait: &'a ApprovedWait,
    pub(super) by: &'a str,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Transaction for SubmitAction<'_> {
    type Output = ActionOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<ActionOutcome>, Stop> {
        let id = self.id.to_string();
        let now = clock::now(tx, self.at).await?;
        // The write comes first, so that two actions queue.
        let updated = recovery::Entity::update_many()
            .col_expr(
                recovery::Column::WordNumber,
                Expr::col(recovery::Column::WordNumber).add(1),
            )
            .col_expr(recovery::Column::Word, Expr::value(self.word.as_str()))
            .col_expr(recovery::Column::WordBy, Expr::value(self.by))
            .col_expr(recovery::Column::WordAt, Expr::value(now.micros()))
            .filter(recovery::Column::Uuid.eq(&id))
            .filter(recovery::Column::Life.eq(Life::Open.as_str()))
            .exec(tx)
            .await?;
        let found = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(&id))
            .one(tx)
            .await?;
        let Some(row) = found else {
            return Ok(TxOutcome::Undo(ActionOutcome::Unknown));
        };
        if updated.rows_affected == 0 {
            return Ok(TxOutcome::Undo(ActionOutcome::NotOpen));
        }
        // An older engine would process only the last of several actions. An abort is safe in combination with any
        // other.
        if self.word != OperatorCommand::Reject
            && let Some(name) = older_engine(tx, now).await?
        {
            return Ok(TxOutcome::Undo(ActionOutcome::OlderEngine(name)));
        }
        let wait = WaitColumns {
            what: row.waits_for,
            on: row.waits_on,
            since: row.waits_since,
        };
        let wait = wait.read("recovery", &row.uuid)?;
        if self.word == OperatorCommand::Approve && !self.wait.is_for(wait.as_ref()) {
            return Ok(TxOutcome::Undo(ActionOutcome::OtherWait(wait)));
        }
        let row = action::ActiveModel {
            recovery_id: Set(row.id),
            number: Set(row.word_number),
            word: Set(self.word.as_str().to_owned()),
            said_by: Set(self.by.to_owned()),
            at: Set(now.micros()),
            given_for: Set(wait.as_ref().map(json).transpose()?),
            ..Default::default()
        };
        row.insert(tx).await?;
        Ok(TxOutcome::Keep(ActionOutcome::Submitted))
    }
}

/// Returns an engine that is running at `now`, by the database's clock, and cannot read these rows.
async fn older_engine(tx: &Tx, now: Timestamp) -> Result<Option<String>, Stop> {
    let rows = engine::Entity::find()
        .filter(engine::Column::SeenAt.gt(now.micros().saturating_sub(ENGINE_TIMEOUT_MICROS)))
        .all(tx)
        .await?;
    let reads = |row: &engine::Model| {
        let facts: Option<Value> = serde_json::from_str(&row.facts).ok();
        facts.is_some_and(|facts| facts.get(READS_ACTIONS).is_some())
    };
    Ok(rows
        .into_iter()
        .find(|row| !reads(row))
        .map(|row| format!("{} ({})", row.name, row.version)))
}

#[cfg(test)]
mod tests;
