//! Being alone with a host or a segment until the transaction ends.
//!
//! What must not happen at the same time begins with a write to a row that all contenders share. That holds on every
//! database: where rows are locked the second one waits, and on Galera, which does not carry `SELECT ... FOR UPDATE` to
//! other nodes, it is refused when it commits, and tried again. What is read after the write is what the one before has
//! committed, as transactions read committed rows, statement by statement.
//!
//! On `SQLite` there is one writer at a time, and nothing to do.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    QueryTrait as _, Set,
};

use crate::entity::{host, lock};
use crate::error::Stop;
use crate::work::Tx;

/// How many rows go into one statement.
const BATCH: usize = 500;

/// Waits until nobody else is busy with any of these. Sorted, so that two that want the same ones do not hold each other
/// up.
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

/// The segment and each of its hosts. The segment first: with it taken, no host joins.
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
