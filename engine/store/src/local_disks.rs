//! The instances on the local disk of each host, as a monitor bound to the host has last read them.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryTrait as _, Set};
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::ReceivedHeartbeat;

use crate::convert::Cell;
use crate::entity::local_disk::{ActiveModel, Column, Entity, Model};
use crate::error::{Failure, Stop};

/// Returns the readings of local disks on registered hosts.
pub(crate) fn of_registered<'a>(
    last: impl Iterator<Item = &'a &'a ReceivedHeartbeat>,
    known: &BTreeSet<String>,
) -> BTreeMap<&'a str, &'a BTreeSet<ServerId>> {
    let heartbeats = last.map(|received| &received.heartbeat);
    heartbeats
        .filter(|heartbeat| known.contains(&heartbeat.host))
        .filter_map(|heartbeat| Some((heartbeat.host.as_str(), heartbeat.local_disks.as_ref()?)))
        .collect()
}

/// Stores the readings that differ from those before.
pub(crate) async fn write(
    db: &impl ConnectionTrait,
    readings: &BTreeMap<&str, &BTreeSet<ServerId>>,
    now: Timestamp,
) -> Result<(), Stop> {
    if readings.is_empty() {
        return Ok(());
    }
    let stored = Entity::find()
        .filter(Column::Host.is_in(readings.keys().copied()))
        .all(db)
        .await?;
    let stored: BTreeMap<String, String> = stored.into_iter().map(|row| (row.host, row.instances)).collect();
    let changed: Vec<ActiveModel> = readings
        .iter()
        .map(|(host, instances)| (*host, serde_json::json!(instances).to_string()))
        .filter(|(host, instances)| stored.get(*host) != Some(instances))
        .map(|(host, instances)| ActiveModel {
            host: Set(host.to_owned()),
            instances: Set(instances),
            changed_at: Set(now.micros()),
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let over = OnConflict::column(Column::Host)
        .update_columns([Column::Instances, Column::ChangedAt])
        .to_owned();
    let insert = Entity::insert_many(changed).on_conflict(over);
    db.execute(&insert.into_query()).await?;
    Ok(())
}

/// Reads the instances on the local disk of this host; none without a reading.
pub(crate) async fn of_host(db: &impl ConnectionTrait, host: &str) -> Result<BTreeSet<ServerId>, Stop> {
    let row = Entity::find().filter(Column::Host.eq(host)).one(db).await?;
    Ok(row.as_ref().map(instances).transpose()?.unwrap_or_default())
}

/// Reads the instances on the local disk of each host that was read. A row that cannot be parsed counts as missing.
pub(crate) async fn all(db: &impl ConnectionTrait) -> Result<BTreeMap<String, BTreeSet<ServerId>>, Stop> {
    let rows = Entity::find().all(db).await?;
    let readable = rows.into_iter().filter_map(|row| {
        let read = instances(&row);
        let read =
            read.inspect_err(|error| tracing::warn!(%error, "failed to read the local disks of a host"));
        Some((row.host, read.ok()?))
    });
    Ok(readable.collect())
}

fn instances(row: &Model) -> Result<BTreeSet<ServerId>, Failure> {
    let cell = Cell {
        table: "tachi_local_disk",
        row: &row.host,
        column: "instances",
    };
    cell.json(&row.instances)
}
