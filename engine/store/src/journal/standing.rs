//! What the guards have to know of all hosts (R24).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tachi_domain::Timestamp;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::guard::RegionHost;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::journal::{Happened, Standing};

use super::orders::before;
use crate::Store;
use crate::convert::{self, Cell, recovery_cell};
use crate::entity::{fence_order, host, host_state, recovery, recovery_proof};
use crate::error::{Failure, Stop};
use crate::store::FirstStart;

/// How many ids go into one question.
const BATCH: usize = 500;

pub(super) async fn first_start(store: &Store) -> Result<Timestamp, Stop> {
    store.write_journal(&FirstStart { now: store.now() }).await
}

pub(super) async fn read(store: &Store, lately: Duration) -> Result<Standing, Stop> {
    let db = store.reader();
    let since = before(store.now(), lately);
    let rows = recovery::Entity::find()
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .filter(recovery::Column::OpenKey.is_not_null())
        .all(db)
        .await?;
    let reporters = rows.iter().map(|row| {
        let host = recovery_cell(row, "host_uuid").id(&row.host_uuid)?;
        Ok((host, convert::reporters(row)?))
    });
    let reporters = reporters.collect::<Result<_, Failure>>()?;
    let recovering: BTreeSet<String> = rows.into_iter().map(|row| row.host_uuid).collect();
    let reasons: BTreeMap<String, String> = host_state::Entity::find()
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.host_uuid, row.why))
        .collect();
    // One that was deleted while it is being recovered is still lost.
    let mut hosts = Vec::new();
    let rows = host::Entity::find()
        .filter(host::Column::Deleted.eq(0))
        .all(db)
        .await?;
    for row in rows {
        let cell = |column| Cell {
            table: "hosts",
            row: &row.uuid,
            column,
        };
        let on_maintenance = row.on_maintenance.unwrap_or(false);
        let operator = MaintenanceReason::Operator.as_str();
        hosts.push(RegionHost {
            id: cell("uuid").id(&row.uuid)?,
            segment: cell("failover_segment_id").id(&row.failover_segment_id)?,
            on_maintenance,
            by_operator: on_maintenance && reasons.get(&row.uuid).is_none_or(|why| why == operator),
            recovering: recovering.contains(&row.uuid),
            reporters: 1,
            name: row.name,
        });
    }
    let orders = fence_order::Entity::find()
        .filter(fence_order::Column::At.gt(since))
        .all(db)
        .await?;
    let orders = orders
        .iter()
        .map(|row| happened(row.id, &row.recovery_uuid, &row.host_uuid, row.at));
    Ok(Standing {
        hosts,
        orders: orders.collect::<Result<_, _>>()?,
        proofs: proofs(store, since).await?,
        reporters,
    })
}

async fn proofs(store: &Store, since: i64) -> Result<Vec<Happened>, Stop> {
    let db = store.reader();
    let rows: Vec<(i64, i64, i64)> = recovery_proof::Entity::find()
        .select_only()
        .column(recovery_proof::Column::Id)
        .column(recovery_proof::Column::RecoveryId)
        .column(recovery_proof::Column::At)
        .filter(recovery_proof::Column::At.gt(since))
        .into_tuple()
        .all(db)
        .await?;
    let ids: BTreeSet<i64> = rows.iter().map(|(_, recovery, _)| *recovery).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut of: BTreeMap<i64, (String, String)> = BTreeMap::new();
    for batch in ids.chunks(BATCH) {
        let found: Vec<(i64, String, String)> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::Id)
            .column(recovery::Column::Uuid)
            .column(recovery::Column::HostUuid)
            .filter(recovery::Column::Id.is_in(batch.iter().copied()))
            .into_tuple()
            .all(db)
            .await?;
        of.extend(found.into_iter().map(|(id, uuid, host)| (id, (uuid, host))));
    }
    let proofs = rows.into_iter().filter_map(|(row, recovery, at)| {
        let (uuid, host) = of.get(&recovery)?;
        Some(happened(row, uuid, host, at))
    });
    Ok(proofs.collect::<Result<_, _>>()?)
}

fn happened(row: i64, recovery: &str, host: &str, at: i64) -> Result<Happened, Failure> {
    let cell = |column| Cell {
        table: "fence_order",
        row: recovery,
        column,
    };
    Ok(Happened {
        row,
        host: cell("host_uuid").id(host)?,
        recovery: cell("recovery_uuid").id(recovery)?,
        at: Timestamp::from_micros(at),
    })
}

#[cfg(test)]
mod tests;
