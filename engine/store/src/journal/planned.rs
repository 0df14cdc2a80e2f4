//! The instances of planned recoveries.
//!
//! The API shows them as vmoves without a move. A move reserves an instance for one recovery and records where else it
//! may run, but Nova alone is responsible for a live migration.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use tachi_domain::Timestamp;
use tachi_domain::entity::vmove::VmoveType;
use tachi_engine::ports::journal::PlannedWrite;

use super::vmoves;
use crate::entity::{recovery, vmove};
use crate::error::Stop;
use crate::transaction::Tx;

/// Inserts new instances, and overwrites the others.
pub(super) async fn write(
    tx: &Tx,
    row: &recovery::Model,
    moves: &[PlannedWrite],
    now: Timestamp,
) -> Result<(), Stop> {
    if moves.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = vmove::Entity::find()
        .select_only()
        .column(vmove::Column::Uuid)
        .filter(vmove::Column::NotificationUuid.eq(&row.notification_uuid))
        .into_tuple()
        .all(tx)
        .await?;
    let known: BTreeSet<String> = known.into_iter().collect();
    for PlannedWrite { server, vmove } in moves {
        if known.contains(&vmove.id.to_string()) {
            vmoves::updated(vmove, now)?.exec(tx).await?;
        } else {
            let shown = vmoves::inserted(row, *server, vmove, VmoveType::LiveMigration, now)?;
            shown.insert(tx).await?;
        }
    }
    Ok(())
}
