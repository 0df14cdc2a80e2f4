//! Rejected reports. Each writer has its own rows and overwrites them with totals, so that neither concurrent writers
//! nor a commit without a response count anything twice.

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use tachi_domain::Timestamp;
use tachi_engine::ports::refusals::MAX_STORED_ROWS;
use tachi_engine::ports::{JournalError, RefusalLog, Refusals};
use tracing::instrument;

use crate::database::Database;
use crate::entity::refusal::{ActiveModel, Column, Entity};
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Limit of rows per statement.
const BATCH: usize = 64;

#[derive(Clone)]
pub struct RefusalTable {
    db: Database,
}

impl RefusalTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl RefusalLog for RefusalTable {
    #[instrument(name = "store::write_refusals", level = "debug", skip_all, fields(count = rows.len()))]
    async fn write_refusals(&self, rows: &[Refusals]) -> Result<(), JournalError> {
        for rows in rows.chunks(BATCH) {
            let written = self.db.write(&Count { rows }).await;
            written.map_err(|stop| stop.journal("counting rejected reports"))?;
        }
        Ok(())
    }

    #[instrument(name = "store::forget_refusals", level = "debug", skip_all)]
    async fn forget_refusals(&self, before: Timestamp) -> Result<(), JournalError> {
        let most = MAX_STORED_ROWS;
        let forgotten = self.db.write(&Forget { before, most }).await;
        forgotten.map_err(|stop| stop.journal("deleting rejected reports"))
    }
}

/// Converts a number to the database's signed type.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

struct Count<'a> {
    rows: &'a [Refusals],
}

#[async_trait]
impl Transaction for Count<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        let rows = self.rows.iter().map(|row| ActiveModel {
            slot: Set(row.slot.micros()),
            writer: Set(row.writer.to_string()),
            number: Set(i64::from(row.number)),
            host: Set(row.host.clone()),
            kind: Set(row.count.kind.as_str().to_owned()),
            reporter: Set(row.count.reporter.clone()),
            reason: Set(row.count.reason.as_str().to_owned()),
            times: Set(signed(row.count.times)),
            first_at: Set(row.count.first_at.micros()),
            last_at: Set(row.count.last_at.micros()),
        });
        let over = OnConflict::columns([Column::Slot, Column::Writer, Column::Number])
            .update_columns([Column::Times, Column::LastAt])
            .to_owned();
        let insert = Entity::insert_many(rows).on_conflict(over);
        tx.execute(&insert.into_query()).await?;
        Ok(TxOutcome::Keep(()))
    }
}

struct Forget {
    before: Timestamp,
    most: u64,
}

#[async_trait]
impl Transaction for Forget {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        let too_many: Option<i64> = Entity::find()
            .select_only()
            .column(Column::Slot)
            .order_by_desc(Column::Slot)
            .offset(self.most)
            .limit(1)
            .into_tuple()
            .one(tx)
            .await?;
        // The slot that exceeds the limit is removed as a whole.
        let last = too_many.unwrap_or(i64::MIN).max(self.before.micros() - 1);
        Entity::delete_many()
            .filter(Column::Slot.lte(last))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(()))
    }
}

#[cfg(test)]
mod tests;
