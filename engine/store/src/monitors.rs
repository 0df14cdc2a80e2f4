//! Monitors that sign that they are at work.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::monitor::{Guests, MonitorKind, Notice, Signature};
use tachi_domain::situation::Monitor;
use tachi_engine::ports::{JournalError, Monitors};
use tracing::instrument;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::host;
use crate::entity::monitor::{ActiveModel, Column, Entity, Model};
use crate::error::{Failure, Stop};
use crate::work::{Tx, Verdict, Work};

/// So many are written with one statement.
const BATCH: usize = 64;

/// The monitors of this database.
#[derive(Clone)]
pub struct MonitorTable {
    db: Database,
}

impl MonitorTable {
    /// The table of this database.
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Monitors for MonitorTable {
    #[instrument(name = "store::sign_monitors", level = "debug", skip_all, fields(count = signatures.len()))]
    async fn sign_monitors(&self, signatures: &[Signature]) -> Result<BTreeSet<String>, JournalError> {
        let now = self.db.now();
        let mut strangers = BTreeSet::new();
        for signatures in signatures.chunks(BATCH) {
            let written = self.db.write(&Sign { signatures, now }).await;
            strangers.extend(written.map_err(|stop| stop.journal("writing the signatures of monitors"))?);
        }
        Ok(strangers)
    }

    #[instrument(name = "store::monitors", level = "debug", skip_all)]
    async fn monitors(&self) -> Result<Vec<Monitor>, JournalError> {
        let read = list(&self.db).await;
        read.map_err(|stop| stop.journal("reading the signatures of monitors"))
    }

    #[instrument(name = "store::forget_monitor", level = "debug", skip_all, fields(host, %kind))]
    async fn forget_monitor(&self, host: &str, kind: MonitorKind) -> Result<bool, JournalError> {
        let forgotten = self.db.write(&Forget { host, kind }).await;
        forgotten.map_err(|stop| stop.journal("forgetting a monitor"))
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
        // As good as not signed: another version wrote it.
        read.inspect_err(|error| tracing::warn!(%error, "the signature of a monitor cannot be read"))
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
        said: Signature {
            kind: cell("kind").word(&row.kind, MonitorKind::from_word)?,
            host: row.host,
            version: row.version,
            troubles,
            watches,
            watching: row.watching,
            guests: says.guests,
            notice: says.notice,
        },
    })
}

/// What a monitor says beside how it is.
#[derive(Default, Serialize, Deserialize)]
struct Says {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guests: Option<Guests>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<Notice>,
}

impl Says {
    fn of(signature: &Signature) -> Self {
        Self {
            guests: signature.guests.clone(),
            notice: signature.notice.clone(),
        }
    }
}

struct Sign<'a> {
    signatures: &'a [Signature],
    now: Timestamp,
}

#[async_trait]
impl Work for Sign<'_> {
    type Output = BTreeSet<String>;

    async fn run(&self, tx: &Tx) -> Result<Verdict<BTreeSet<String>>, Stop> {
        let names: BTreeSet<&str> = self.signatures.iter().map(|one| one.host.as_str()).collect();
        let known: Vec<String> = host::Entity::find()
            .select_only()
            .column(host::Column::Name)
            .filter(host::Column::Name.is_in(names.iter().copied()))
            .filter(host::Column::Deleted.eq(0))
            .into_tuple()
            .all(tx)
            .await?;
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        // Each once, the last one: a statement cannot write the same row twice.
        let last: BTreeMap<(&str, MonitorKind), &Signature> = self
            .signatures
            .iter()
            .filter(|one| known.contains(one.host.as_str()))
            .map(|one| ((one.host.as_str(), one.kind), one))
            .collect();
        if !last.is_empty() {
            let rows = last.values().map(|one| ActiveModel {
                host: Set(one.host.clone()),
                kind: Set(one.kind.as_str().to_owned()),
                version: Set(one.version.clone()),
                troubles: Set(serde_json::json!(one.troubles).to_string()),
                watches: Set(serde_json::json!(one.watches).to_string()),
                watching: Set(one.watching),
                says: Set(Some(serde_json::json!(Says::of(one)).to_string())),
                signed_at: Set(self.now.micros()),
            });
            let over = OnConflict::columns([Column::Host, Column::Kind])
                .update_columns([
                    Column::Version,
                    Column::Troubles,
                    Column::Watches,
                    Column::Watching,
                    Column::Says,
                    Column::SignedAt,
                ])
                .to_owned();
            let insert = Entity::insert_many(rows).on_conflict(over);
            tx.execute(&insert.into_query()).await?;
        }
        let strangers = names.into_iter().filter(|name| !known.contains(name));
        Ok(Verdict::Keep(strangers.map(str::to_owned).collect()))
    }
}

struct Forget<'a> {
    host: &'a str,
    kind: MonitorKind,
}

#[async_trait]
impl Work for Forget<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<Verdict<bool>, Stop> {
        let gone = Entity::delete_many()
            .filter(Column::Host.eq(self.host))
            .filter(Column::Kind.eq(self.kind.as_str()))
            .exec(tx)
            .await?;
        Ok(Verdict::Keep(gone.rows_affected > 0))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::monitor::Resume;

    use super::*;
    use crate::testing::Bench;

    fn signature(host: &str, kind: MonitorKind, watches: &[&str]) -> Signature {
        Signature {
            host: host.to_owned(),
            kind,
            version: "0.9.0".to_owned(),
            troubles: BTreeMap::new(),
            watches: watches.iter().map(|name| (*name).to_owned()).collect(),
            watching: kind == MonitorKind::Host,
            guests: None,
            notice: None,
        }
    }

    #[tokio::test]
    async fn a_signature_replaces_the_one_before_and_strangers_are_named() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        for n in 0..70 {
            bench.host(&segment, &format!("cmp{n}")).await;
        }
        let table = bench.store.monitors();
        let many: Vec<Signature> = (0..70)
            .map(|n| signature(&format!("cmp{n}"), MonitorKind::Instance, &[]))
            .collect();
        assert!(table.sign_monitors(&many).await.unwrap().is_empty());
        let mut twice = vec![
            signature("cmp1", MonitorKind::Host, &["cmp2"]),
            signature("nobody", MonitorKind::Host, &[]),
            signature("cmp1", MonitorKind::Host, &["cmp2", "cmp'3\"\n"]),
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
        let strangers = table.sign_monitors(&twice).await.unwrap();
        assert_eq!(strangers.into_iter().collect::<Vec<_>>(), ["nobody"]);
        let all = table.monitors().await.unwrap();
        assert_eq!(all.len(), 71);
        let one = all.iter().find(|one| one.said.kind == MonitorKind::Host).unwrap();
        assert_eq!(one.said, twice[2], "the last word counts");
        assert_eq!(one.signed_at, bench.store.db.now());
        assert!(table.forget_monitor("cmp1", MonitorKind::Host).await.unwrap());
        assert!(!table.forget_monitor("cmp1", MonitorKind::Host).await.unwrap());
        assert_eq!(table.monitors().await.unwrap().len(), 70);
        assert!(table.sign_monitors(&[]).await.unwrap().is_empty());
    }
}
