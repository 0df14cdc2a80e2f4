//! Exclusive access to a host or a segment until the transaction ends.
//!
//! Operations that must not run concurrently start with a write to a row that all contenders share. That works on every
//! database: where rows are locked, the second one waits. Galera does not replicate `SELECT ... FOR UPDATE` to other
//! nodes; there the second one is refused at its commit, and retried. A read after the write shows the commits before
//! it, because transactions use "read committed", statement by statement.
//!
//! `SQLite` permits one writer at a time, so nothing is needed there.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    QueryTrait as _, Set,
};

use crate::entity::{host, lock};
use crate::error::Stop;
use crate::transaction::Tx;

/// Limit of rows per statement.
const BATCH: usize = 500;

/// Waits for exclusive access to all of these. They are sorted, so that two transactions with the same set cannot
/// deadlock.
pub(crate) async fn take(tx: &Tx, uuids: impl IntoIterator<Item = String> + Send) -> Result<(), Stop> {
    if tx.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    let mut uuids: Vec<String> = uuids.into_iter().collect();
    uuids.sort_unstable();
    uuids.dedup();
    for batch in uuids.chunks(BATCH) {
        let rows = batch.iter().map(|uuid| lock::ActiveModel {
            uuid: Set(uuid.clone()),
            seq: Set(1),
        });
        let raise = OnConflict::column(lock::Column::Uuid)
            .value(
                lock::Column::Seq,
                Expr::col((lock::Entity, lock::Column::Seq)).add(1),
            )
            .to_owned();
        let insert = lock::Entity::insert_many(rows).on_conflict(raise);
        tx.execute(&insert.into_query()).await?;
    }
    Ok(())
}

/// Takes the locks of a segment and each of its hosts. The segment's comes first: no host can be added while it is
/// held.
pub(crate) async fn take_segment(tx: &Tx, segment: &str) -> Result<(), Stop> {
    if tx.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    take(tx, [segment.to_owned()]).await?;
    let hosts: Vec<String> = host::Entity::find()
        .select_only()
        .column(host::Column::Uuid)
        .filter(host::Column::FailoverSegmentId.eq(segment))
        .filter(host::Column::Deleted.eq(0))
        .into_tuple()
        .all(tx)
        .await?;
    take(tx, hosts).await
}
