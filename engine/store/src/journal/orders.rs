//! Power-off orders of hosts, and the limit of recent ones.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Set,
};
use tachi_domain::Timestamp;
use tachi_domain::recovery::FenceOrder;
use tachi_engine::ports::journal::Write;

use super::restarts;
use crate::entity::{fence_order, recovery};
use crate::error::Stop;
use crate::transaction::Tx;
use crate::{clock, lock};

/// The lock for every power-off order, so that two orders cannot both be the last permitted one.
const LOCK: &str = "fence-orders";

/// Time after which an order is not needed any more.
const RETENTION: Duration = Duration::from_hours(7 * 24);

/// Records the orders of a write, unless there are too many already.
pub(super) async fn are_within_limits(
    tx: &Tx,
    row: &recovery::Model,
    write: &Write,
    now: Timestamp,
) -> Result<bool, Stop> {
    if let Some(order) = write.order
        && !count(tx, row, order, now).await?
    {
        return Ok(false);
    }
    match write.move_order {
        Some(order) => restarts::count_move(tx, row, order, now).await,
        None => Ok(true),
    }
}

/// Records an order, unless there are too many already. A recovery that repeats its order counts once.
async fn count(tx: &Tx, row: &recovery::Model, order: FenceOrder, now: Timestamp) -> Result<bool, Stop> {
    lock::take(tx, [LOCK.to_owned()]).await?;
    // The time is read under the lock, so that the times have the order of the power-off orders.
    let now = clock::now(tx, now).await?;
    if let Some(at_most) = order.at_most {
        let others: Vec<String> = fence_order::Entity::find()
            .select_only()
            .column(fence_order::Column::RecoveryUuid)
            .filter(fence_order::Column::At.gt(before(now, order.within)))
            .filter(fence_order::Column::RecoveryUuid.ne(&row.uuid))
            .into_tuple()
            .all(tx)
            .await?;
        let others: BTreeSet<String> = others.into_iter().collect();
        if others.len() >= usize::try_from(at_most).unwrap_or(usize::MAX) {
            return Ok(false);
        }
    }
    let ordered = fence_order::ActiveModel {
        recovery_uuid: Set(row.uuid.clone()),
        host_uuid: Set(row.host_uuid.clone()),
        at: Set(now.micros()),
        ..Default::default()
    };
    ordered.insert(tx).await?;
    fence_order::Entity::delete_many()
        .filter(fence_order::Column::At.lt(before(now, RETENTION)))
        .exec(tx)
        .await?;
    Ok(true)
}

/// Returns the time that is `time` before `now`, in microseconds.
pub(crate) fn before(now: Timestamp, time: Duration) -> i64 {
    let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    now.micros().saturating_sub(time)
}
