//! The instances of planned recoveries.
//!
//! The API shows them as vmoves without a move. A move reserves an instance for one recovery and records where else it
//! may run, but Nova alone is responsible for a live migration.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Set,
};
use tachi_domain::Timestamp;
use tachi_domain::entity::vmove::VmoveType;
use tachi_engine::ports::journal::PlannedWrite;

use crate::entity::{recovery, vmove};
use crate::error::Stop;
use crate::time::{to_column, to_column_opt};
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
    let at = to_column(now.whole_seconds())?;
    for instance in moves {
        let uuid = instance.vmove.to_string();
        if !known.contains(&uuid) {
            let shown = vmove::ActiveModel {
                uuid: Set(uuid),
                notification_uuid: Set(row.notification_uuid.clone()),
                instance_uuid: Set(instance.server.to_string()),
                instance_name: Set(instance.name.clone()),
                source_host: Set(Some(instance.source_host.clone())),
                dest_host: Set(instance.dest_host.clone()),
                start_time: Set(to_column_opt(instance.start_time)?),
                end_time: Set(to_column_opt(instance.end_time)?),
                kind: Set(Some(VmoveType::LiveMigration.as_str().to_owned())),
                status: Set(Some(instance.status.as_str().to_owned())),
                message: Set(instance.message.clone()),
                created_at: Set(Some(at)),
                deleted: Set(Some(0)),
                ..Default::default()
            };
            shown.insert(tx).await?;
            continue;
        }
        vmove::Entity::update_many()
            .col_expr(vmove::Column::InstanceName, Expr::value(instance.name.as_str()))
            .col_expr(vmove::Column::DestHost, Expr::value(instance.dest_host.clone()))
            .col_expr(
                vmove::Column::StartTime,
                Expr::value(to_column_opt(instance.start_time)?),
            )
            .col_expr(
                vmove::Column::EndTime,
                Expr::value(to_column_opt(instance.end_time)?),
            )
            .col_expr(vmove::Column::Status, Expr::value(instance.status.as_str()))
            .col_expr(vmove::Column::Message, Expr::value(instance.message.clone()))
            .col_expr(vmove::Column::UpdatedAt, Expr::value(at))
            .filter(vmove::Column::Uuid.eq(&uuid))
            .exec(tx)
            .await?;
    }
    Ok(())
}
