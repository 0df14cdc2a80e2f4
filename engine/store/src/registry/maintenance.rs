//! The reason why a host is in maintenance, stored in addition to `hosts.on_maintenance`, which clients see.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryTrait as _, Set};
use tachi_domain::entity::host::MaintenanceReason;

use crate::convert::Cell;
use crate::entity::{host, host_state};
use crate::error::Stop;

/// Returns the reason; `None` if the host is not in maintenance. A host without a recorded reason was put in
/// maintenance before reasons were recorded, which counts as an operator's action.
pub(crate) async fn reason(
    db: &impl ConnectionTrait,
    host: &host::Model,
) -> Result<Option<MaintenanceReason>, Stop> {
    Ok(reasons(db, [host]).await?.remove(&host.uuid))
}

/// Returns the reasons of all hosts that are in maintenance, by their ids.
pub(crate) async fn reasons<'a>(
    db: &impl ConnectionTrait,
    hosts: impl IntoIterator<Item = &'a host::Model>,
) -> Result<BTreeMap<String, MaintenanceReason>, Stop> {
    let there = hosts
        .into_iter()
        .filter(|host| host.on_maintenance.unwrap_or(false));
    let mut reasons: BTreeMap<String, MaintenanceReason> = there
        .map(|host| (host.uuid.clone(), MaintenanceReason::Operator))
        .collect();
    if reasons.is_empty() {
        return Ok(reasons);
    }
    // The padding keeps the statement's text the same for similar numbers of hosts, see `registry::accept`.
    let mut hosts: Vec<&String> = reasons.keys().collect();
    hosts.resize(hosts.len().next_power_of_two(), hosts[0]);
    let known = host_state::Entity::find()
        .filter(host_state::Column::HostUuid.is_in(hosts))
        .all(db)
        .await?;
    for state in known {
        let cell = Cell {
            table: "host_state",
            row: &state.host_uuid,
            column: "why",
        };
        let why = cell.parse(&state.why, MaintenanceReason::from_value)?;
        reasons.insert(state.host_uuid, why);
    }
    Ok(reasons)
}

/// Records a reason and replaces any other.
pub(crate) async fn record(
    db: &impl ConnectionTrait,
    host_uuid: &str,
    why: MaintenanceReason,
    recovery: Option<i64>,
) -> Result<(), Stop> {
    let row = host_state::ActiveModel {
        host_uuid: Set(host_uuid.to_owned()),
        why: Set(why.as_str().to_owned()),
        recovery_id: Set(recovery),
    };
    let over = OnConflict::column(host_state::Column::HostUuid)
        .update_columns([host_state::Column::Why, host_state::Column::RecoveryId])
        .to_owned();
    let insert = host_state::Entity::insert(row).on_conflict(over);
    db.execute(&insert.into_query()).await?;
    Ok(())
}

/// Puts the host in maintenance for a recovery. A stronger reason stays: an operator's is never replaced, and a
/// recovered host does not become one with a failed process.
pub(crate) async fn put(
    db: &impl ConnectionTrait,
    host: &host::Model,
    why: MaintenanceReason,
    recovery: i64,
    now: chrono::NaiveDateTime,
) -> Result<(), Stop> {
    let keep = match (reason(db, host).await?, why) {
        (None | Some(MaintenanceReason::Process), _)
        | (Some(_), MaintenanceReason::Operator)
        | (Some(MaintenanceReason::Recovery), MaintenanceReason::Recovery) => false,
        (Some(MaintenanceReason::Operator), MaintenanceReason::Recovery | MaintenanceReason::Process)
        | (Some(MaintenanceReason::Recovery), MaintenanceReason::Process) => true,
    };
    if keep {
        return Ok(());
    }
    record(db, &host.uuid, why, Some(recovery)).await?;
    if !host.on_maintenance.unwrap_or(false) {
        host::Entity::update_many()
            .col_expr(host::Column::OnMaintenance, Expr::value(true))
            .col_expr(host::Column::UpdatedAt, Expr::value(now))
            .filter(host::Column::Id.eq(host.id))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Ends the host's maintenance if this recovery started it and no operator has changed it since.
pub(crate) async fn take_back(
    db: &impl ConnectionTrait,
    host_uuid: &str,
    recovery: i64,
    now: chrono::NaiveDateTime,
) -> Result<(), Stop> {
    let ours = host_state::Entity::delete_many()
        .filter(host_state::Column::HostUuid.eq(host_uuid))
        .filter(host_state::Column::Why.eq(MaintenanceReason::Recovery.as_str()))
        .filter(host_state::Column::RecoveryId.eq(recovery))
        .exec(db)
        .await?;
    if ours.rows_affected == 1 {
        host::Entity::update_many()
            .col_expr(host::Column::OnMaintenance, Expr::value(false))
            .col_expr(host::Column::UpdatedAt, Expr::value(now))
            .filter(host::Column::Uuid.eq(host_uuid))
            .filter(host::Column::Deleted.eq(0))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Deletes the reasons of hosts that were deleted or whose maintenance has ended.
pub(crate) async fn delete_states(
    db: &impl ConnectionTrait,
    hosts: impl IntoIterator<Item = String> + Send,
) -> Result<(), Stop> {
    host_state::Entity::delete_many()
        .filter(host_state::Column::HostUuid.is_in(hosts))
        .exec(db)
        .await?;
    Ok(())
}
