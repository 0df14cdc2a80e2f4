//! Heartbeats of a host's own monitors: the latest ones of each monitor in the current boot of its host, and the
//! boot in which a host was reported.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};
use tachi_domain::monitor::{BootHeartbeats, Heartbeat, MonitorKind};
use tachi_domain::{HostId, Timestamp};

use crate::batches::batches;
use crate::convert::{Cell, recovery_cell};
use crate::entity::{monitor, notification, recovery};
use crate::error::Stop;

/// Minimum distance of stored heartbeats. A heartbeat is replaced by the next one of its monitor if it came less than
/// this after the one before. So the stored ones span more than the 8 s that two must be apart, however often a monitor
/// sends.
const MIN_DISTANCE_MS: u64 = 4_000;

/// Limit of stored heartbeats per monitor.
const MAX_STORED: usize = 4;

/// A heartbeat as stored in `tachi_monitor.beats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHeartbeat {
    /// The boot-time counter, in milliseconds.
    up: u64,
    /// The time at which the API received it, by the database's clock, in microseconds.
    at: i64,
}

impl StoredHeartbeat {
    pub(crate) fn new(up: Duration, received: Timestamp) -> Self {
        Self {
            up: u64::try_from(up.as_millis()).unwrap_or(u64::MAX),
            at: received.micros(),
        }
    }
}

/// Adds a heartbeat of the same boot. One whose counter has not advanced is a repetition or was overtaken, and is
/// ignored.
pub(crate) fn with(mut stored: Vec<StoredHeartbeat>, new: StoredHeartbeat) -> Vec<StoredHeartbeat> {
    if stored.last().is_some_and(|last| new.up <= last.up) {
        return stored;
    }
    if let [.., before, last] = stored[..]
        && last.up - before.up < MIN_DISTANCE_MS
    {
        stored.pop();
    }
    stored.push(new);
    let from = stored.len().saturating_sub(MAX_STORED);
    stored.split_off(from)
}

/// The boot in which a host was reported, as stored in `notifications.reported_boot`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportedBoot {
    pub(crate) boot_id: String,
    /// The time at which the report was accepted, by the database's clock, in microseconds.
    pub(crate) at: i64,
}

/// Returns the boot of each of these hosts whose monitors send it, from the latest heartbeat, by host name.
pub(crate) async fn boots(
    db: &impl ConnectionTrait,
    hosts: &[&str],
) -> Result<BTreeMap<String, String>, Stop> {
    let mut latest: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for row in rows(db, hosts).await? {
        let at = row.beats.last().map_or(i64::MIN, |last| last.at);
        let newest = latest.entry(row.host).or_insert((at, row.boot_id.clone()));
        if at > newest.0 {
            *newest = (at, row.boot_id);
        }
    }
    Ok(latest.into_iter().map(|(host, (_, boot))| (host, boot)).collect())
}

/// Returns the latest boot of each host whose monitors send it, by the database's clock.
pub(crate) async fn booted_at(db: &impl ConnectionTrait) -> Result<BTreeMap<String, Timestamp>, Stop> {
    let mut latest = BTreeMap::new();
    for row in matching_rows(db, Condition::all()).await? {
        let Some(last) = row.beats.last() else { continue };
        let up = i64::try_from(last.up).unwrap_or(i64::MAX).saturating_mul(1_000);
        let booted = Timestamp::from_micros(last.at.saturating_sub(up));
        let known = latest.entry(row.host).or_insert(booted);
        *known = booted.max(*known);
    }
    Ok(latest)
}

/// Returns the time of the latest heartbeat of a monitor on this host, by the database's clock.
pub(crate) async fn latest(db: &impl ConnectionTrait, host: &str) -> Result<Option<Timestamp>, Stop> {
    let rows = rows(db, &[host]).await?;
    let beats = rows.iter().flat_map(|row| &row.beats);
    Ok(beats.map(|beat| Timestamp::from_micros(beat.at)).max())
}

struct Row {
    host: String,
    kind: MonitorKind,
    boot_id: String,
    beats: Vec<StoredHeartbeat>,
}

/// Reads the monitors of these hosts whose heartbeats count. A row that cannot be parsed was written by another
/// version, and is ignored.
async fn rows(db: &impl ConnectionTrait, hosts: &[&str]) -> Result<Vec<Row>, Stop> {
    let mut found = Vec::new();
    for batch in batches(hosts) {
        let of_batch = Condition::all().add(monitor::Column::Host.is_in(batch));
        found.extend(matching_rows(db, of_batch).await?);
    }
    Ok(found)
}

async fn matching_rows(db: &impl ConnectionTrait, condition: Condition) -> Result<Vec<Row>, Stop> {
    type Columns = (String, String, Option<String>, Option<String>);
    let read: Vec<Columns> = monitor::Entity::find()
        .select_only()
        .column(monitor::Column::Host)
        .column(monitor::Column::Kind)
        .column(monitor::Column::BootId)
        .column(monitor::Column::Beats)
        .filter(condition)
        .filter(monitor::Column::BootId.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    let rows = read.into_iter().filter_map(|(host, kind, boot_id, beats)| {
        Some(Row {
            kind: MonitorKind::from_value(&kind)?,
            boot_id: boot_id?,
            beats: serde_json::from_str(&beats?).ok()?,
            host,
        })
    });
    Ok(rows.collect())
}

/// Reads the heartbeats from the monitors of hosts under recovery, in the boot in which each host was reported.
pub(crate) async fn of_recoveries(
    db: &impl ConnectionTrait,
    recoveries: &[recovery::Model],
    now: Timestamp,
) -> Result<BTreeMap<HostId, BootHeartbeats>, Stop> {
    let uuids: Vec<&str> = recoveries
        .iter()
        .map(|row| row.notification_uuid.as_str())
        .collect();
    let mut reported: BTreeMap<String, ReportedBoot> = BTreeMap::new();
    for batch in batches(&uuids) {
        let read: Vec<(String, Option<String>)> = notification::Entity::find()
            .select_only()
            .column(notification::Column::NotificationUuid)
            .column(notification::Column::ReportedBoot)
            .filter(notification::Column::NotificationUuid.is_in(batch))
            .filter(notification::Column::ReportedBoot.is_not_null())
            .into_tuple()
            .all(db)
            .await?;
        for (uuid, text) in read {
            let Some(text) = text else { continue };
            let cell = Cell {
                table: "notifications",
                row: &uuid,
                column: "reported_boot",
            };
            let boot = cell.json(&text)?;
            reported.insert(uuid, boot);
        }
    }
    let known: Vec<(&recovery::Model, &ReportedBoot)> = recoveries
        .iter()
        .filter_map(|row| Some((row, reported.get(&row.notification_uuid)?)))
        .collect();
    let names: Vec<&str> = known.iter().map(|(row, _)| row.host_name.as_str()).collect();
    let monitors = rows(db, &names).await?;
    let of = |row: &recovery::Model, boot: &ReportedBoot| BootHeartbeats {
        reported: Some(Timestamp::from_micros(boot.at)),
        monitors: monitors
            .iter()
            .filter(|heartbeat| heartbeat.host == row.host_name && heartbeat.boot_id == boot.boot_id)
            .map(|heartbeat| {
                (
                    heartbeat.kind,
                    heartbeat.beats.iter().map(|stored| stored.read(now)).collect(),
                )
            })
            .collect(),
    };
    known
        .into_iter()
        .map(|(row, boot)| Ok((recovery_cell(row, "host_uuid").id(&row.host_uuid)?, of(row, boot))))
        .collect()
}

impl StoredHeartbeat {
    fn read(self, now: Timestamp) -> Heartbeat {
        let age = now.micros().saturating_sub(self.at);
        Heartbeat {
            up: Duration::from_millis(self.up),
            received: Timestamp::from_micros(self.at),
            age: Duration::from_micros(u64::try_from(age).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(seconds: &[u64]) -> Vec<StoredHeartbeat> {
        let one = |second: &u64| StoredHeartbeat {
            up: second * 1_000,
            at: 0,
        };
        seconds.iter().map(one).collect()
    }

    /// Covers R15.
    #[test]
    fn stored_heartbeats_span_8_s_at_any_sending_rate() {
        for every in [1, 2, 3, 5, 10, 60] {
            let all = (0..50).map(|n| n * every).collect::<Vec<u64>>();
            let sent = kept(&all).into_iter().fold(Vec::new(), with);
            assert!(sent.len() <= MAX_STORED, "{sent:?}");
            let (first, last) = (sent[0].up, sent[sent.len() - 1].up);
            assert_eq!(last, 49 * every * 1_000, "the last is among them");
            assert!(last - first >= 8_000, "every {every} s: {sent:?}");
        }
    }

    /// Covers R15.
    #[test]
    fn a_heartbeat_that_is_delivered_again_adds_nothing() {
        let once = kept(&[10, 20]);
        for again in kept(&[20, 15]) {
            assert_eq!(with(once.clone(), again), once);
        }
    }
}
