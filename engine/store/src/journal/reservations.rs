//! Reserved hosts: taken by one recovery at a time, consumed, or returned.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use tachi_domain::recovery::{Life, RecoveryKind, open_key};
use tachi_domain::{HostId, Timestamp};
use tachi_engine::ports::reserve::{ReservationState, ReservationWrite, ReserveRow};

use super::frozen;
use crate::convert::Cell;
use crate::entity::{host, host_reservation, recovery};
use crate::error::Stop;
use crate::lock;
use crate::time::to_column;
use crate::transaction::Tx;

/// Returns the hosts in the segment of `host_id` that are reserved, or held by a recovery, the oldest first. `own` is
/// this machine's time.
pub(super) async fn reserve(
    db: &impl ConnectionTrait,
    host_id: HostId,
    own: Timestamp,
) -> Result<Vec<ReserveRow>, Stop> {
    let Some(source) = host::Entity::find()
        .filter(host::Column::Uuid.eq(host_id.to_string()))
        .one(db)
        .await?
    else {
        return Ok(Vec::new());
    };
    let reserved: BTreeSet<String> = host_reservation::Entity::find()
        .select_only()
        .column(host_reservation::Column::HostUuid)
        .filter(host_reservation::Column::OpenKey.is_not_null())
        .into_tuple::<String>()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let kinds = [RecoveryKind::Host, RecoveryKind::Drain, RecoveryKind::Giveback];
    // These hosts are being recovered, or are part of a planned operation.
    let busy: BTreeSet<String> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::HostUuid)
        .filter(recovery::Column::Kind.is_in(kinds.map(RecoveryKind::as_str)))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .filter(recovery::Column::OpenKey.is_not_null())
        .into_tuple::<String>()
        .all(db)
        .await?
        .into_iter()
        .collect();
    // The row of a held host may no longer show that it is reserved, but the host may be returned.
    let in_reserve = Condition::any()
        .add(host::Column::Reserved.eq(true))
        .add(host::Column::Uuid.is_in(reserved.iter().cloned()));
    let rows = host::Entity::find()
        .filter(host::Column::FailoverSegmentId.eq(&source.failover_segment_id))
        .filter(host::Column::Deleted.eq(0))
        .filter(host::Column::Uuid.ne(&source.uuid))
        .filter(in_reserve)
        .order_by_asc(host::Column::Id)
        .all(db)
        .await?;
    let frozen = frozen::Hosts::read(db, own).await?;
    rows.into_iter()
        .filter(|row| !row.on_maintenance.unwrap_or(false))
        .map(|row| {
            let cell = Cell {
                table: "hosts",
                row: &row.uuid,
                column: "uuid",
            };
            Ok(ReserveRow {
                id: cell.id(&row.uuid)?,
                busy: reserved.contains(&row.uuid) || busy.contains(&row.uuid) || frozen.has(&row),
                name: row.name,
            })
        })
        .collect()
}

/// Returns the hosts that cannot be taken, because another recovery holds them or they are not reserved any more.
pub(super) async fn refused(
    tx: &Tx,
    row: &recovery::Model,
    writes: &[ReservationWrite],
    own: Timestamp,
) -> Result<Vec<HostId>, Stop> {
    let mut refused = Vec::new();
    for write in writes.iter().filter(|write| write.state.is_open()) {
        if open_row(tx, row.id, write.host).await?.is_some() {
            continue;
        }
        // The lock orders this with an operator's edit of the host and with a report that it has failed.
        lock::take(tx, [write.host.to_string()]).await?;
        if !is_free(tx, write.host, own).await? {
            refused.push(write.host);
        }
    }
    Ok(refused)
}

async fn open_row(
    db: &impl ConnectionTrait,
    recovery: i64,
    host: HostId,
) -> Result<Option<host_reservation::Model>, Stop> {
    Ok(host_reservation::Entity::find()
        .filter(host_reservation::Column::RecoveryId.eq(recovery))
        .filter(host_reservation::Column::OpenKey.eq(host.to_string()))
        .one(db)
        .await?)
}

async fn is_free(tx: &Tx, host: HostId, own: Timestamp) -> Result<bool, Stop> {
    let uuid = host.to_string();
    let row = host::Entity::find()
        .filter(host::Column::Uuid.eq(&uuid))
        .filter(host::Column::Deleted.eq(0))
        .one(tx)
        .await?;
    let frozen = frozen::Hosts::read(tx, own).await?;
    let in_reserve = row.is_some_and(|row| {
        row.reserved.unwrap_or(false) && !row.on_maintenance.unwrap_or(false) && !frozen.has(&row)
    });
    if !in_reserve {
        return Ok(false);
    }
    let reservation = open_reservation(tx, &uuid).await?;
    // No instance is placed on a host with a planned operation.
    let planned = open_key(RecoveryKind::Drain, host, &BTreeMap::new());
    let busy = recovery::Entity::find()
        .filter(recovery::Column::OpenKey.is_in(planned.into_iter().chain([uuid])))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .one(tx)
        .await?;
    Ok(reservation.is_none() && busy.is_none())
}

async fn open_reservation(tx: &Tx, host: &str) -> Result<Option<host_reservation::Model>, Stop> {
    Ok(host_reservation::Entity::find()
        .filter(host_reservation::Column::OpenKey.eq(host))
        .one(tx)
        .await?)
}

/// Returns the recovery that holds the host of this UUID.
pub(crate) async fn holder(tx: &Tx, host: &str) -> Result<Option<recovery::Model>, Stop> {
    let Some(reservation) = open_reservation(tx, host).await? else {
        return Ok(None);
    };
    Ok(recovery::Entity::find_by_id(reservation.recovery_id)
        .one(tx)
        .await?)
}

pub(super) async fn write(
    tx: &Tx,
    row: &recovery::Model,
    writes: &[ReservationWrite],
    now: Timestamp,
) -> Result<(), Stop> {
    for write in writes {
        let known = open_row(tx, row.id, write.host).await?;
        match &known {
            None if write.state.is_open() => insert(tx, row.id, write).await?,
            // A transaction whose response was lost has written it before.
            None => continue,
            Some(known) => update(tx, known.id, write).await?,
        }
        let consumed = known.is_some_and(|known| known.state == ReservationState::Consumed.as_str());
        let reserved = match write.state {
            ReservationState::Consumed | ReservationState::Used if !consumed => false,
            ReservationState::GivenBack if consumed => true,
            ReservationState::Reserved
            | ReservationState::Consumed
            | ReservationState::Used
            | ReservationState::GivenBack => continue,
        };
        set_reserved(tx, write.host, reserved, now).await?;
    }
    Ok(())
}

async fn insert(tx: &Tx, recovery: i64, write: &ReservationWrite) -> Result<(), Stop> {
    let row = host_reservation::ActiveModel {
        recovery_id: Set(recovery),
        host_uuid: Set(write.host.to_string()),
        host_name: Set(write.name.clone()),
        open_key: Set(Some(write.host.to_string())),
        state: Set(write.state.as_str().to_owned()),
        was_enabled: Set(write.was_enabled),
        was_reason: Set(write
            .was_reason
            .as_ref()
            .map(|reason| reason.chars().take(255).collect())),
        aggregates: Set(write.aggregates.join("\n")),
        taken_at: Set(write.at.micros()),
        over_at: Set(None),
        ..Default::default()
    };
    tx.execute(&host_reservation::Entity::insert(row).into_query())
        .await?;
    Ok(())
}

async fn update(tx: &Tx, id: i64, write: &ReservationWrite) -> Result<(), Stop> {
    let over = !write.state.is_open();
    let mut update = host_reservation::Entity::update_many()
        .col_expr(host_reservation::Column::State, Expr::value(write.state.as_str()))
        .col_expr(
            host_reservation::Column::Aggregates,
            Expr::value(write.aggregates.join("\n")),
        );
    if over {
        update = update
            .col_expr(host_reservation::Column::OpenKey, Expr::value(None::<String>))
            .col_expr(host_reservation::Column::OverAt, Expr::value(write.at.micros()));
    }
    update
        .filter(host_reservation::Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}

async fn set_reserved(tx: &Tx, host: HostId, reserved: bool, now: Timestamp) -> Result<(), Stop> {
    host::Entity::update_many()
        .col_expr(host::Column::Reserved, Expr::value(reserved))
        .col_expr(
            host::Column::UpdatedAt,
            Expr::value(to_column(now.whole_seconds())?),
        )
        .filter(host::Column::Uuid.eq(host.to_string()))
        .filter(host::Column::Deleted.eq(0))
        .exec(tx)
        .await?;
    Ok(())
}

/// Ends the reservations of a closed recovery. A host on which it has requested an instance becomes an ordinary host;
/// the others remain reserved.
pub(super) async fn free(tx: &Tx, recovery: i64, now: Timestamp) -> Result<(), Stop> {
    let ends = [
        (ReservationState::Consumed, ReservationState::Used),
        (ReservationState::Reserved, ReservationState::GivenBack),
    ];
    for (open, end) in ends {
        host_reservation::Entity::update_many()
            .col_expr(host_reservation::Column::OpenKey, Expr::value(None::<String>))
            .col_expr(host_reservation::Column::State, Expr::value(end.as_str()))
            .col_expr(host_reservation::Column::OverAt, Expr::value(now.micros()))
            .filter(host_reservation::Column::RecoveryId.eq(recovery))
            .filter(host_reservation::Column::OpenKey.is_not_null())
            .filter(host_reservation::Column::State.eq(open.as_str()))
            .exec(tx)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
