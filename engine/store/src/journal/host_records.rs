//! The data about all hosts that the guards need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::guard::RegionHost;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{Timestamp, WaitsFor};
use tachi_engine::ports::journal::{HostIncidentRow, HostRecords};

use super::orders::before;
use crate::batches::batches;
use crate::clock;
use crate::convert::{self, Cell, recovery_cell};
use crate::database::Database;
use crate::entity::{fence_order, host, host_state, recovery, recovery_proof};
use crate::error::{Failure, Stop};
use crate::heartbeats;
use crate::reporters::{key, muted_keys};
use crate::store::FirstStart;

pub(super) async fn first_start(db: &Database) -> Result<Duration, Stop> {
    let at = db.write_journal(&FirstStart { now: db.now() }).await?;
    let now = clock::now(db.journal(), db.now()).await?;
    Ok(Duration::from_micros(
        u64::try_from(now.micros_since(at)).unwrap_or_default(),
    ))
}

pub(super) async fn read(db: &Database, lately: Duration) -> Result<HostRecords, Stop> {
    let reader = db.reader();
    let now = clock::now(reader, db.now()).await?;
    let since = before(now, lately);
    let rows = recovery::Entity::find()
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .filter(recovery::Column::OpenKey.is_not_null())
        .all(reader)
        .await?;
    let muted = muted_keys(reader).await?;
    let reporters = rows.iter().map(|row| {
        let host = recovery_cell(row, "host_uuid").id(&row.host_uuid)?;
        let mut reporters = convert::reporters(row)?;
        for reporter in &mut reporters {
            reporter.muted = muted.contains(&key(reporter)?);
        }
        Ok((host, reporters))
    });
    let reporters = reporters.collect::<Result<_, Failure>>()?;
    let mut heartbeats = heartbeats::of_recoveries(reader, &rows, now).await?;
    let local_disk = WaitsFor::LocalDisk.as_str();
    let wait_for_disks: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.waits_for.as_deref() == Some(local_disk))
        .map(|row| row.host_uuid.clone())
        .collect();
    let recovering: BTreeMap<String, i64> = rows.into_iter().map(|row| (row.host_uuid, row.id)).collect();
    let states = host_state::Entity::find().all(reader).await?;
    let reasons: BTreeMap<&str, &str> = states
        .iter()
        .map(|row| (row.host_uuid.as_str(), row.why.as_str()))
        .collect();
    let mut open = BTreeMap::new();
    // A host that was deleted during its recovery still counts as lost.
    let mut hosts = Vec::new();
    let rows = host::Entity::find()
        .filter(host::Column::Deleted.eq(0))
        .all(reader)
        .await?;
    for row in rows {
        let cell = |column| Cell {
            table: "hosts",
            row: &row.uuid,
            column,
        };
        let on_maintenance = row.on_maintenance.unwrap_or(false);
        let operator = MaintenanceReason::Operator.as_str();
        let id = cell("uuid").id(&row.uuid)?;
        let why = reasons.get(row.uuid.as_str()).copied();
        open.extend(recovering.get(&row.uuid).map(|opened| (id, *opened)));
        hosts.push(RegionHost {
            id,
            segment: cell("failover_segment_id").id(&row.failover_segment_id)?,
            on_maintenance,
            by_operator: on_maintenance && why.is_none_or(|why| why == operator),
            by_process: on_maintenance && why == Some(MaintenanceReason::Process.as_str()),
            recovering: recovering.contains_key(&row.uuid),
            waits_for_disks: wait_for_disks.contains(&row.uuid),
            reported_ago: None,
            reporters: Vec::new(),
            heartbeats: heartbeats.remove(&id).unwrap_or_default(),
            name: row.name,
        });
    }
    let orders = fence_order::Entity::find()
        .filter(fence_order::Column::At.gt(since))
        .all(reader)
        .await?;
    let orders = orders
        .iter()
        .map(|row| happened(row.id, &row.recovery_uuid, &row.host_uuid, (row.at, now)));
    let by_process: Vec<i64> = states
        .iter()
        .filter(|row| row.why == MaintenanceReason::Process.as_str())
        .filter_map(|row| row.recovery_id)
        .collect();
    Ok(HostRecords {
        hosts,
        open,
        orders: orders.collect::<Result<_, _>>()?,
        proofs: proofs(db, since, now).await?,
        reporters,
        processes: processes(db, &by_process, now).await?,
    })
}

/// Reads the open process recoveries and those with these numbers, oldest first.
async fn processes(db: &Database, numbers: &[i64], now: Timestamp) -> Result<Vec<HostIncidentRow>, Stop> {
    let reader = db.reader();
    let open = recovery::Entity::find()
        .filter(recovery::Column::Kind.eq(RecoveryKind::Process.as_str()))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .all(reader)
        .await?;
    let mut rows: BTreeMap<i64, recovery::Model> = open.into_iter().map(|row| (row.id, row)).collect();
    for batch in batches(numbers) {
        let found = recovery::Entity::find()
            .filter(recovery::Column::Id.is_in(batch))
            .all(reader)
            .await?;
        rows.extend(found.into_iter().map(|row| (row.id, row)));
    }
    let processes = rows
        .values()
        .map(|row| happened(row.id, &row.uuid, &row.host_uuid, (row.opened_at, now)));
    Ok(processes.collect::<Result<_, _>>()?)
}

async fn proofs(db: &Database, since: i64, now: Timestamp) -> Result<Vec<HostIncidentRow>, Stop> {
    let reader = db.reader();
    let rows: Vec<(i64, i64, i64)> = recovery_proof::Entity::find()
        .select_only()
        .column(recovery_proof::Column::Id)
        .column(recovery_proof::Column::RecoveryId)
        .column(recovery_proof::Column::At)
        .filter(recovery_proof::Column::At.gt(since))
        .into_tuple()
        .all(reader)
        .await?;
    let ids: BTreeSet<i64> = rows.iter().map(|(_, recovery, _)| *recovery).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut of: BTreeMap<i64, (String, String)> = BTreeMap::new();
    for batch in batches(&ids) {
        let found: Vec<(i64, String, String)> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::Id)
            .column(recovery::Column::Uuid)
            .column(recovery::Column::HostUuid)
            .filter(recovery::Column::Id.is_in(batch))
            .into_tuple()
            .all(reader)
            .await?;
        of.extend(found.into_iter().map(|(id, uuid, host)| (id, (uuid, host))));
    }
    let proofs = rows.into_iter().filter_map(|(row, recovery, at)| {
        let (uuid, host) = of.get(&recovery)?;
        Some(happened(row, uuid, host, (at, now)))
    });
    Ok(proofs.collect::<Result<_, _>>()?)
}

/// Converts a row to an event; the last argument is its time and the current time.
fn happened(
    row: i64,
    recovery: &str,
    host: &str,
    (at, now): (i64, Timestamp),
) -> Result<HostIncidentRow, Failure> {
    let cell = |column| Cell {
        table: "fence_order",
        row: recovery,
        column,
    };
    Ok(HostIncidentRow {
        row,
        host: cell("host_uuid").id(host)?,
        recovery: cell("recovery_uuid").id(recovery)?,
        age: Duration::from_micros(u64::try_from(now.micros().saturating_sub(at)).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests;
