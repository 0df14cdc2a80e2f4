//! The heartbeats of monitors.

mod says;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select, Set,
};
use tachi_domain::monitor::{MonitorHeartbeat, MonitorKind};
use tachi_domain::situation::Monitor;
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::{JournalError, Monitors, ReceivedHeartbeat};
use tracing::instrument;

use crate::clock;
use crate::convert::Cell;
use crate::database::Database;
use crate::entity::host;
use crate::entity::monitor::{ActiveModel, Column, Entity, Model};
use crate::error::{Failure, Stop};
use crate::heartbeats::{self, StoredHeartbeat};
use crate::local_disks;
use crate::transaction::{Transaction, Tx, TxOutcome};
use says::Says;

/// Limit of heartbeats per statement.
const BATCH: usize = 64;

/// Limit of host monitors on hosts in no segment. More than a region has control nodes; invented names cannot fill the table.
const MAX_OUTSIDE: usize = 64;

/// The number of watched hosts that are looked up for a monitor on a host in no segment.
const MAX_WATCHED_HOSTS: usize = 50;

#[derive(Clone)]
pub struct MonitorTable {
    db: Database,
}

impl MonitorTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Monitors for MonitorTable {
    #[instrument(name = "store::sign_monitors", level = "debug", skip_all, fields(count = heartbeats.len()))]
    async fn store_heartbeats(
        &self,
        heartbeats: &[ReceivedHeartbeat],
    ) -> Result<BTreeSet<(String, MonitorKind)>, JournalError> {
        let now = self.db.now();
        let mut strangers = BTreeSet::new();
        for received in heartbeats.chunks(BATCH) {
            let written = self.db.write(&HeartbeatRow { received, now }).await;
            strangers.extend(written.map_err(|stop| stop.journal("writing the heartbeats of monitors"))?);
        }
        Ok(strangers)
    }

    #[instrument(name = "store::monitors", level = "debug", skip_all)]
    async fn monitors(&self) -> Result<Vec<Monitor>, JournalError> {
        let read = list(&self.db).await;
        read.map_err(|stop| stop.journal("reading the heartbeats of monitors"))
    }

    #[instrument(name = "store::all_local_disks", level = "debug", skip_all)]
    async fn local_disks(&self) -> Result<BTreeMap<String, BTreeSet<ServerId>>, JournalError> {
        let read = local_disks::all(self.db.reader()).await;
        read.map_err(|stop| stop.journal("reading which instances are on a local disk"))
    }

    #[instrument(name = "store::forget_monitor", level = "debug", skip_all, fields(host, %kind))]
    async fn forget_monitor(&self, host: &str, kind: MonitorKind) -> Result<bool, JournalError> {
        let forgotten = self.db.write(&Forget { host, kind }).await;
        forgotten.map_err(|stop| stop.journal("removing a monitor"))
    }
}

async fn list(db: &Database) -> Result<Vec<Monitor>, Stop> {
    let rows = Entity::find()
        .order_by_asc(Column::Host)
        .order_by_asc(Column::Kind)
        .all(db.reader())
        .await?;
    let readable = rows.into_iter().filter_map(|row| {
        let read = monitor(row);
        // A row of another version counts as missing.
        read.inspect_err(|error| tracing::warn!(%error, "failed to read the heartbeat of a monitor"))
            .ok()
    });
    Ok(readable.collect())
}

fn monitor(row: Model) -> Result<Monitor, Failure> {
    let cell = |column| Cell {
        table: "tachi_monitor",
        row: &row.host,
        column,
    };
    let troubles: BTreeMap<String, String> = cell("troubles").json(&row.troubles)?;
    let watches: BTreeSet<String> = cell("watches").json(&row.watches)?;
    let says: Says = match &row.says {
        Some(says) => cell("says").json(says)?,
        None => Says::default(),
    };
    Ok(Monitor {
        signed_at: Timestamp::from_micros(row.signed_at),
        heartbeat: MonitorHeartbeat {
            kind: cell("kind").parse(&row.kind, MonitorKind::from_value)?,
            host: row.host,
            version: row.version,
            troubles,
            watches,
            watching: row.watching,
            guests: says.guests,
            notice: says.notice,
            planes: says.planes,
            processes_down: says.processes_down,
            boot: None,
            local_disks: None,
            shut_down: says.shut_down,
            heartbeat_use: says.heartbeats,
        },
    })
}

struct HeartbeatRow<'a> {
    received: &'a [ReceivedHeartbeat],
    now: Timestamp,
}

/// Returns those of the names that are registered.
async fn registered(tx: &Tx, names: BTreeSet<&str>) -> Result<BTreeSet<String>, Stop> {
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let known: Vec<String> = registered_names()
        .filter(host::Column::Name.is_in(names))
        .into_tuple()
        .all(tx)
        .await?;
    Ok(known.into_iter().collect())
}

fn registered_names() -> Select<host::Entity> {
    host::Entity::find()
        .select_only()
        .column(host::Column::Name)
        .filter(host::Column::Deleted.eq(0))
}

impl HeartbeatRow<'_> {
    /// Returns the hosts in no segment whose host monitor watches a host of a segment, such as control nodes.
    async fn outside(&self, tx: &Tx, known: &BTreeSet<String>) -> Result<BTreeSet<String>, Stop> {
        let all = self.received.iter().map(|received| &received.heartbeat);
        let all: Vec<&MonitorHeartbeat> = all
            .filter(|heartbeat| heartbeat.kind == MonitorKind::Host && !known.contains(&heartbeat.host))
            .collect();
        let watched = all
            .iter()
            .flat_map(|heartbeat| heartbeat.watches.iter().take(MAX_WATCHED_HOSTS));
        let watched = registered(tx, watched.map(String::as_str).collect()).await?;
        let watching = all.into_iter().filter(|heartbeat| {
            heartbeat
                .watches
                .iter()
                .take(MAX_WATCHED_HOSTS)
                .any(|name| watched.contains(name))
        });
        let mut hosts: BTreeSet<String> = watching.map(|heartbeat| heartbeat.host.clone()).collect();
        if hosts.is_empty() {
            return Ok(hosts);
        }
        let stored: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Host)
            .filter(Column::Kind.eq(MonitorKind::Host.as_str()))
            .filter(Column::Host.not_in_subquery(registered_names().into_query()))
            .into_tuple()
            .all(tx)
            .await?;
        let stored: BTreeSet<String> = stored.into_iter().collect();
        let mut free = MAX_OUTSIDE.saturating_sub(stored.len());
        hosts.retain(|host| {
            let is_new = !stored.contains(host);
            let fits = !is_new || free > 0;
            free = free.saturating_sub(usize::from(is_new));
            fits
        });
        Ok(hosts)
    }

    /// Reads the stored heartbeats of these monitors, by host and kind, if they are of the given boot.
    async fn stored(
        tx: &Tx,
        last: &BTreeMap<(&str, MonitorKind), &ReceivedHeartbeat>,
    ) -> Result<BTreeMap<(String, String), (String, Vec<StoredHeartbeat>)>, Stop> {
        let hosts: BTreeSet<&str> = last
            .iter()
            .filter(|(_, received)| received.heartbeat.boot.is_some())
            .map(|((host, _), _)| *host)
            .collect();
        if hosts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(String, String, Option<String>, Option<String>)> = Entity::find()
            .select_only()
            .column(Column::Host)
            .column(Column::Kind)
            .column(Column::BootId)
            .column(Column::Beats)
            .filter(Column::Host.is_in(hosts))
            .into_tuple()
            .all(tx)
            .await?;
        let readable = rows.into_iter().filter_map(|(host, kind, boot, beats)| {
            let stored = serde_json::from_str(&beats?).ok()?;
            Some(((host, kind), (boot?, stored)))
        });
        Ok(readable.collect())
    }
}

#[async_trait]
impl Transaction for HeartbeatRow<'_> {
    type Output = BTreeSet<(String, MonitorKind)>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<BTreeSet<(String, MonitorKind)>>, Stop> {
        let names: BTreeSet<&str> = self
            .received
            .iter()
            .map(|received| received.heartbeat.host.as_str())
            .collect();
        let now = clock::now(tx, self.now).await?;
        let known = registered(tx, names).await?;
        let outside = self.outside(tx, &known).await?;
        let is_written = |heartbeat: &MonitorHeartbeat| {
            known.contains(&heartbeat.host)
                || (heartbeat.kind == MonitorKind::Host && outside.contains(&heartbeat.host))
        };
        // Only the last heartbeat of each monitor is kept: a statement cannot write the same row twice.
        let last: BTreeMap<(&str, MonitorKind), &ReceivedHeartbeat> = self
            .received
            .iter()
            .filter(|received| is_written(&received.heartbeat) && received.is_current())
            .map(|received| {
                (
                    (received.heartbeat.host.as_str(), received.heartbeat.kind),
                    received,
                )
            })
            .collect();
        let mut before = Self::stored(tx, &last).await?;
        let mut beats = |received: &ReceivedHeartbeat| {
            let heartbeat = &received.heartbeat;
            let boot = heartbeat.boot.as_ref()?;
            let key = (heartbeat.host.clone(), heartbeat.kind.as_str().to_owned());
            let before = before.remove(&key).filter(|(id, _)| *id == boot.id);
            let age = i64::try_from(received.received.elapsed().as_micros()).unwrap_or(i64::MAX);
            let at = Timestamp::from_micros(now.micros().saturating_sub(age));
            let before = before.map(|(_, beats)| beats).unwrap_or_default();
            let beats = heartbeats::with(before, StoredHeartbeat::new(boot.up, at));
            Some(serde_json::json!(beats).to_string())
        };
        if !last.is_empty() {
            let rows = last
                .values()
                .map(|received| (beats(received), &received.heartbeat));
            let rows = rows.map(|(beats, heartbeat)| ActiveModel {
                host: Set(heartbeat.host.clone()),
                kind: Set(heartbeat.kind.as_str().to_owned()),
                version: Set(heartbeat.version.clone()),
                troubles: Set(serde_json::json!(heartbeat.troubles).to_string()),
                watches: Set(serde_json::json!(heartbeat.watches).to_string()),
                watching: Set(heartbeat.watching),
                says: Set(Some(serde_json::json!(Says::of(heartbeat)).to_string())),
                signed_at: Set(self.now.micros()),
                boot_id: Set(heartbeat.boot.as_ref().map(|boot| boot.id.clone())),
                beats: Set(beats),
            });
            let over = OnConflict::columns([Column::Host, Column::Kind])
                .update_columns([
                    Column::Version,
                    Column::Troubles,
                    Column::Watches,
                    Column::Watching,
                    Column::Says,
                    Column::SignedAt,
                    Column::BootId,
                    Column::Beats,
                ])
                .to_owned();
            let insert = Entity::insert_many(rows).on_conflict(over);
            tx.execute(&insert.into_query()).await?;
        }
        let readings = local_disks::of_registered(last.values(), &known);
        local_disks::write(tx, &readings, now).await?;
        let all = self.received.iter().map(|received| &received.heartbeat);
        let strangers = all.filter(|heartbeat| !is_written(heartbeat));
        Ok(TxOutcome::Keep(
            strangers
                .map(|heartbeat| (heartbeat.host.clone(), heartbeat.kind))
                .collect(),
        ))
    }
}

struct Forget<'a> {
    host: &'a str,
    kind: MonitorKind,
}

#[async_trait]
impl Transaction for Forget<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        let gone = Entity::delete_many()
            .filter(Column::Host.eq(self.host))
            .filter(Column::Kind.eq(self.kind.as_str()))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(gone.rows_affected > 0))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use tachi_domain::monitor::{Boot, BootHeartbeats, Guests, HeartbeatUse, Notice, Resume};
    use tachi_engine::ports::Journal as _;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::Bench;

    pub(crate) fn heartbeat(host: &str, kind: MonitorKind, watches: &[&str]) -> MonitorHeartbeat {
        MonitorHeartbeat {
            host: host.to_owned(),
            kind,
            version: "0.9.0".to_owned(),
            troubles: BTreeMap::new(),
            watches: watches.iter().map(|name| (*name).to_owned()).collect(),
            watching: kind == MonitorKind::Host,
            guests: None,
            notice: None,
            planes: None,
            processes_down: BTreeMap::new(),
            boot: None,
            local_disks: None,
            shut_down: BTreeSet::new(),
            heartbeat_use: HeartbeatUse::Unknown,
        }
    }

    pub(crate) fn received(heartbeats: &[MonitorHeartbeat]) -> Vec<ReceivedHeartbeat> {
        let one = |heartbeat: &MonitorHeartbeat| ReceivedHeartbeat {
            heartbeat: heartbeat.clone(),
            received: Instant::now(),
        };
        heartbeats.iter().map(one).collect()
    }

    pub(crate) fn beating(boot: &str, seconds: u64) -> MonitorHeartbeat {
        MonitorHeartbeat {
            boot: Some(Boot {
                id: boot.to_owned(),
                up: Duration::from_secs(seconds),
            }),
            heartbeat_use: HeartbeatUse::Counts,
            ..heartbeat("cmp1", MonitorKind::Instance, &[])
        }
    }

    async fn shown(bench: &Bench) -> BootHeartbeats {
        let standing = bench
            .store
            .journal()
            .host_records(Duration::from_secs(60))
            .await
            .unwrap();
        let host = standing
            .hosts
            .into_iter()
            .find(|host| host.name == "cmp1")
            .unwrap();
        host.heartbeats
    }

    /// Covers R15.
    #[tokio::test]
    async fn heartbeats_of_the_boot_that_was_stored_with_the_report_are_shown_with_its_recovery() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let table = bench.store.monitors();
        let beat = async |boot: &str, seconds: u64| {
            let all = received(&[beating(boot, seconds)]);
            assert!(table.store_heartbeats(&all).await.unwrap().is_empty());
        };
        beat("first", 100).await;
        assert_eq!(
            shown(&bench).await,
            BootHeartbeats::default(),
            "no recovery is open"
        );
        let reported = bench.clock_wall();
        bench.stopped(&host).await;
        bench.clock.set_wall_on(10);
        beat("first", 110).await;
        beat("first", 110).await;
        let rows = shown(&bench).await;
        assert_eq!(rows.reported, Some(reported));
        let beats = &rows.monitors[&MonitorKind::Instance];
        let ups: Vec<u64> = beats.iter().map(|beat| beat.up.as_secs()).collect();
        assert_eq!(ups, [100, 110], "a repeated heartbeat counts once");
        let boots = tachi_engine::ports::FailedInstances::host_boots(bench.store.journal())
            .await
            .unwrap();
        let up = bench.clock_wall().micros_since(boots["cmp1"]) / 1_000_000;
        assert!((110..115).contains(&up), "{up}");
        assert!(bench.clock_wall().micros_since(beats[1].received) < 5_000_000);
        bench.clock.set_wall_on(7);
        let age = shown(&bench).await.monitors[&MonitorKind::Instance][1].age;
        assert!((7..12).contains(&age.as_secs()), "{age:?}");
        beat("second", 5).await;
        let rows = shown(&bench).await;
        assert!(
            rows.reported.is_some() && rows.monitors.is_empty(),
            "it has started again: {rows:?}"
        );
        // A heartbeat of an unbound or an older monitor replaces it.
        let plain = received(&[heartbeat("cmp1", MonitorKind::Instance, &[])]);
        table.store_heartbeats(&plain).await.unwrap();
        assert!(shown(&bench).await.monitors.is_empty());
    }

    /// Covers R15.
    #[tokio::test]
    async fn a_heartbeat_is_dated_by_its_receipt_and_dropped_when_it_waits_too_long() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let table = bench.store.monitors();
        let first = received(&[beating("boot", 1)]);
        table.store_heartbeats(&first).await.unwrap();
        bench.stopped(&host).await;
        let waiting = |seconds: u64, ago: u64| {
            let mut waits = received(&[beating("boot", seconds)]);
            waits[0].received -= Duration::from_secs(ago);
            waits
        };
        table.store_heartbeats(&waiting(30, 2)).await.unwrap();
        let beats = shown(&bench).await.monitors[&MonitorKind::Instance].clone();
        let before = bench.clock_wall().micros_since(beats[1].received);
        assert!((2_000_000..5_000_000).contains(&before), "{before}");
        table.store_heartbeats(&waiting(60, 5)).await.unwrap();
        assert_eq!(shown(&bench).await.monitors[&MonitorKind::Instance].len(), 2);
    }

    /// Covers R15.
    #[tokio::test]
    async fn heartbeats_without_a_boot_id_are_not_stored() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let table = bench.store.monitors();
        table
            .store_heartbeats(&received(&[heartbeat("cmp1", MonitorKind::Host, &[])]))
            .await
            .unwrap();
        bench.stopped(&host).await;
        table
            .store_heartbeats(&received(&[beating("boot", 100)]))
            .await
            .unwrap();
        assert_eq!(shown(&bench).await, BootHeartbeats::default());
    }

    #[tokio::test]
    async fn a_signature_replaces_the_one_before_and_strangers_are_named() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        for n in 0..70 {
            bench.host(&segment, &format!("cmp{n}")).await;
        }
        let table = bench.store.monitors();
        let many: Vec<MonitorHeartbeat> = (0..70)
            .map(|n| heartbeat(&format!("cmp{n}"), MonitorKind::Instance, &[]))
            .collect();
        assert!(table.store_heartbeats(&received(&many)).await.unwrap().is_empty());
        let mut twice = vec![
            heartbeat("cmp1", MonitorKind::Host, &["cmp2"]),
            heartbeat("nobody", MonitorKind::Host, &[]),
            heartbeat("cmp1", MonitorKind::Host, &["cmp2", "cmp'3\"\n"]),
        ];
        twice[2]
            .troubles
            .insert("pacemaker".to_owned(), "away: \u{1F4A3}".to_owned());
        twice[2].guests = Some(Guests {
            resume: Resume::Yes,
            by: "/etc/nova/nova.conf:3".to_owned(),
        });
        twice[2].notice = Some(Notice {
            seconds: 6,
            ..Notice::default()
        });
        let since = bench.clock_wall();
        twice[2].planes = Some(BTreeMap::from([(
            "cmp2".to_owned(),
            BTreeMap::from([("storage".to_owned(), since)]),
        )]));
        twice[2].processes_down.insert("libvirtd".to_owned(), since);
        twice[2].shut_down.insert(ServerId(uuid::Uuid::from_u128(7)));
        let strangers = table.store_heartbeats(&received(&twice)).await.unwrap();
        assert_eq!(strangers, [("nobody".to_owned(), MonitorKind::Host)].into());
        let all = table.monitors().await.unwrap();
        assert_eq!(all.len(), 71);
        let row = all
            .iter()
            .find(|row| row.heartbeat.kind == MonitorKind::Host)
            .unwrap();
        assert_eq!(row.heartbeat, twice[2], "the last heartbeat counts");
        assert_eq!(row.signed_at, bench.store.db.now());
        assert!(table.forget_monitor("cmp1", MonitorKind::Host).await.unwrap());
        assert!(!table.forget_monitor("cmp1", MonitorKind::Host).await.unwrap());
        assert_eq!(table.monitors().await.unwrap().len(), 70);
        assert!(table.store_heartbeats(&[]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_host_monitor_on_a_control_node_counts_if_it_watches_a_registered_host() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let table = bench.store.monitors();
        let sent = [
            heartbeat("ctl1", MonitorKind::Host, &["cmp1", "cmp2"]),
            heartbeat("ctl1", MonitorKind::Process, &[]),
            heartbeat("ctl2", MonitorKind::Host, &["cmp2"]),
        ];
        let refused = table.store_heartbeats(&received(&sent)).await.unwrap();
        let expected = [
            ("ctl1".to_owned(), MonitorKind::Process),
            ("ctl2".to_owned(), MonitorKind::Host),
        ];
        assert_eq!(refused, expected.into());
        let all = table.monitors().await.unwrap();
        assert_eq!(
            all.iter().map(|row| row.heartbeat.clone()).collect::<Vec<_>>(),
            sent[..1]
        );

        // Invented names neither fill the table nor displace other monitors.
        let many: Vec<MonitorHeartbeat> = (0..2 * MAX_OUTSIDE)
            .map(|n| heartbeat(&format!("x{n}"), MonitorKind::Host, &["cmp1"]))
            .collect();
        let refused = table.store_heartbeats(&received(&many)).await.unwrap();
        assert_eq!(refused.len(), MAX_OUTSIDE + 1);
        assert_eq!(table.monitors().await.unwrap().len(), MAX_OUTSIDE);
        assert!(
            table
                .store_heartbeats(&received(&sent[..1]))
                .await
                .unwrap()
                .is_empty()
        );
    }
}
