//! The registry of engines.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat, EngineRow};
use tachi_engine::ports::{EngineRegistry, JournalError};
use tracing::instrument;

use crate::clock;
use crate::convert::Cell;
use crate::database::Database;
use crate::entity::{engine, notification, recovery};
use crate::error::{Failure, Stop};
use crate::time::from_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Time without a heartbeat after which an engine is deleted.
const FORGOTTEN_AFTER_SECONDS: i64 = 86_400;

/// The engines that have sent heartbeats to a database.
#[derive(Clone)]
pub struct EngineTable {
    db: Database,
}

impl EngineTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl EngineRegistry for EngineTable {
    #[instrument(name = "store::sign", level = "debug", skip_all)]
    async fn heartbeat(&self, heartbeat: &EngineHeartbeat) -> Result<(), JournalError> {
        let sign = HeartbeatTransaction {
            heartbeat,
            now: self.db.now(),
        };
        let signed = self.db.write(&sign).await;
        signed.map_err(|stop| stop.journal("writing an engine's heartbeat"))
    }

    #[instrument(name = "store::strike", level = "debug", skip_all)]
    async fn deregister(&self, name: &str) -> Result<(), JournalError> {
        let deregistered = self.db.write(&Deregister(name)).await;
        deregistered.map_err(|stop| stop.journal("deregistering an engine"))
    }

    #[instrument(name = "store::engines", level = "debug", skip_all)]
    async fn engines(&self) -> Result<Vec<EngineRow>, JournalError> {
        let read = engines(&self.db).await;
        read.map_err(|stop| stop.journal("reading the list of engines"))
    }

    #[instrument(name = "store::backlog", level = "debug", skip_all)]
    async fn backlog(&self) -> Result<Backlog, JournalError> {
        let counted = backlog(&self.db).await;
        counted.map_err(|stop| stop.journal("counting the backlog"))
    }
}

struct HeartbeatTransaction<'a> {
    heartbeat: &'a EngineHeartbeat,
    now: Timestamp,
}

#[async_trait]
impl Transaction for HeartbeatTransaction<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        let heartbeat = self.heartbeat;
        // The clock that others use to judge if it is running.
        let now = clock::now(tx, self.now).await?;
        let facts = serde_json::Value::from_iter(heartbeat.facts.clone()).to_string();
        let row = engine::ActiveModel {
            name: Set(heartbeat.name.clone()),
            version: Set(heartbeat.version.clone()),
            started_at: Set(heartbeat.started_at.micros()),
            seen_at: Set(now.micros()),
            beat: Set(1),
            facts: Set(facts.clone()),
        };
        let signed = engine::Entity::update_many()
            .col_expr(engine::Column::SeenAt, Expr::value(now.micros()))
            .col_expr(engine::Column::Beat, Expr::col(engine::Column::Beat).add(1))
            .col_expr(engine::Column::Facts, Expr::value(facts))
            .filter(engine::Column::Name.eq(&heartbeat.name))
            .exec(tx)
            .await?;
        if signed.rows_affected == 0 {
            let over = OnConflict::column(engine::Column::Name)
                .update_columns([engine::Column::SeenAt, engine::Column::Facts])
                .to_owned();
            tx.execute(&engine::Entity::insert(row).on_conflict(over).into_query())
                .await?;
            let gone = now.minus_seconds(FORGOTTEN_AFTER_SECONDS);
            engine::Entity::delete_many()
                .filter(engine::Column::SeenAt.lt(gone.micros()))
                .exec(tx)
                .await?;
        }
        Ok(TxOutcome::Keep(()))
    }
}

struct Deregister<'a>(&'a str);

#[async_trait]
impl Transaction for Deregister<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        engine::Entity::delete_many()
            .filter(engine::Column::Name.eq(self.0))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(()))
    }
}

pub(crate) async fn engines(db: &Database) -> Result<Vec<EngineRow>, Stop> {
    let rows = engine::Entity::find()
        .order_by_asc(engine::Column::Name)
        .all(db.reader())
        .await?;
    let lines = rows.into_iter().map(|row| {
        let cell = |column| Cell {
            table: "tachi_engine",
            row: &row.name,
            column,
        };
        let facts: BTreeMap<String, String> =
            serde_json::from_str(&row.facts).map_err(|_| Failure::Corrupt {
                table: "tachi_engine",
                row: row.name.clone(),
                column: "facts",
                value: row.facts.clone(),
            })?;
        Ok::<_, Failure>(EngineRow {
            beat: cell("beat").count(row.beat)?,
            seen_at: Timestamp::from_micros(row.seen_at),
            heartbeat: EngineHeartbeat {
                started_at: Timestamp::from_micros(row.started_at),
                facts,
                version: row.version.clone(),
                name: row.name.clone(),
            },
        })
    });
    Ok(lines.collect::<Result<_, _>>()?)
}

async fn backlog(db: &Database) -> Result<Backlog, Stop> {
    let reader = db.reader();
    let created: Vec<Option<chrono::NaiveDateTime>> = notification::Entity::find()
        .select_only()
        .column(notification::Column::CreatedAt)
        .filter(notification::Column::Status.eq(NotificationStatus::New.as_str()))
        .filter(notification::Column::Deleted.eq(0))
        .into_tuple()
        .all(reader)
        .await?;
    let rows: Vec<(String, String)> = recovery::Entity::find()
        .select_only()
        .columns([recovery::Column::Kind, recovery::Column::Life])
        .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
        .into_tuple()
        .all(reader)
        .await?;
    let mut unsettled = BTreeMap::new();
    for (kind, life) in rows {
        let cell = |column| Cell {
            table: "recovery",
            row: "of the backlog",
            column,
        };
        let kind = cell("kind").parse(&kind, RecoveryKind::from_value)?;
        let life = cell("life").parse(&life, Life::from_value)?;
        *unsettled.entry((kind, life)).or_default() += 1;
    }
    Ok(Backlog {
        new: created.len() as u64,
        oldest_new: created.into_iter().flatten().min().map(from_column),
        unsettled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn heartbeat(name: &str, bench: &Bench) -> EngineHeartbeat {
        EngineHeartbeat {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            started_at: bench.clock_wall(),
            facts: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn engines_sign_leave_and_are_forgotten_after_a_day() {
        let bench = Bench::new().await;
        let (one, mut two) = (heartbeat("one", &bench), heartbeat("two", &bench));
        bench.store.engine_registry().heartbeat(&one).await.unwrap();
        bench.clock.set_wall_on(5);
        bench.store.engine_registry().heartbeat(&two).await.unwrap();
        two.facts
            .insert("broker".to_owned(), "down: \"no route\"".to_owned());
        bench.clock.set_wall_on(5);
        bench.store.engine_registry().heartbeat(&two).await.unwrap();
        let lines = bench.store.engine_registry().engines().await.unwrap();
        let epochs: Vec<_> = lines
            .iter()
            .map(|line| (line.heartbeat.clone(), line.beat, line.seen_at.micros()))
            .collect();
        let now = bench.clock_wall().micros();
        assert_eq!(
            epochs,
            [(one, 1, now - 10_000_000), (two, 2, now)],
            "each with its own time, and with the facts it signed last"
        );
        bench.store.engine_registry().deregister("two").await.unwrap();
        bench.clock.set_wall_on(86_401);
        bench
            .store
            .engine_registry()
            .heartbeat(&heartbeat("three", &bench))
            .await
            .unwrap();
        let names: Vec<String> = bench
            .store
            .engine_registry()
            .engines()
            .await
            .unwrap()
            .into_iter()
            .map(|line| line.heartbeat.name)
            .collect();
        assert_eq!(names, ["three"]);
    }

    #[tokio::test]
    async fn the_backlog_knows_how_long_the_oldest_has_waited() {
        let bench = Bench::new().await;
        assert_eq!(
            bench.store.engine_registry().backlog().await.unwrap(),
            Backlog::default()
        );
        let segment = bench.segment("s1").await;
        for name in ["cmp1", "cmp2"] {
            let host = bench.host(&segment, name).await;
            bench.clock.set_wall_on(60);
            bench.stopped(&host).await;
        }
        let waiting = bench.store.engine_registry().backlog().await.unwrap();
        assert_eq!(waiting.new, 2);
        let oldest = bench.clock_wall().minus_seconds(60).whole_seconds();
        assert_eq!(waiting.oldest_new, Some(oldest));
        let open = BTreeMap::from([((RecoveryKind::Host, Life::Open), 2)]);
        assert_eq!(waiting.unsettled, open);
        bench.claim_newest("engine").await;
        let waiting = bench.store.engine_registry().backlog().await.unwrap();
        assert_eq!((waiting.new, waiting.oldest_new), (1, Some(oldest)));
        assert_eq!(waiting.unsettled, open, "claimed, and open as before");
    }
}
