//! The vmove of an instance: what the API shows of it.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set, UpdateMany};
use tachi_domain::entity::vmove::{VmoveState, VmoveType};
use tachi_domain::{ServerId, Timestamp};

use crate::entity::{recovery, vmove};
use crate::error::Stop;
use crate::time::{to_column, to_column_opt};

/// Returns the row of a new vmove.
pub(super) fn inserted(
    row: &recovery::Model,
    server: ServerId,
    state: &VmoveState,
    kind: VmoveType,
    now: Timestamp,
) -> Result<vmove::ActiveModel, Stop> {
    Ok(vmove::ActiveModel {
        uuid: Set(state.id.to_string()),
        notification_uuid: Set(row.notification_uuid.clone()),
        instance_uuid: Set(server.to_string()),
        instance_name: Set(state.name.clone()),
        source_host: Set(Some(state.source_host.clone())),
        dest_host: Set(state.dest_host.clone()),
        start_time: Set(to_column_opt(state.start_time)?),
        end_time: Set(to_column_opt(state.end_time)?),
        kind: Set(Some(kind.as_str().to_owned())),
        status: Set(Some(state.status.as_str().to_owned())),
        message: Set(state.message.clone()),
        created_at: Set(Some(to_column(now.whole_seconds())?)),
        deleted: Set(Some(0)),
        ..Default::default()
    })
}

/// Returns the update of a known vmove, without its source.
pub(super) fn updated(state: &VmoveState, now: Timestamp) -> Result<UpdateMany<vmove::Entity>, Stop> {
    Ok(vmove::Entity::update_many()
        .col_expr(vmove::Column::InstanceName, Expr::value(state.name.as_str()))
        .col_expr(vmove::Column::DestHost, Expr::value(state.dest_host.clone()))
        .col_expr(
            vmove::Column::StartTime,
            Expr::value(to_column_opt(state.start_time)?),
        )
        .col_expr(
            vmove::Column::EndTime,
            Expr::value(to_column_opt(state.end_time)?),
        )
        .col_expr(vmove::Column::Status, Expr::value(state.status.as_str()))
        .col_expr(vmove::Column::Message, Expr::value(state.message.clone()))
        .col_expr(
            vmove::Column::UpdatedAt,
            Expr::value(to_column(now.whole_seconds())?),
        )
        .filter(vmove::Column::Uuid.eq(state.id.to_string())))
}
