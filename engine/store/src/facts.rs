//! Observations of the cloud by one engine at a time. If two engines write, only one succeeds: a round starts with a
//! counted update of the row that holds the turn.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult as _, QueryFilter as _,
    QueryResult, QueryTrait as _, Set,
};
use tachi_domain::Timestamp;
use tachi_engine::ports::{Fact, FactStore, JournalError, Round};
use tracing::instrument;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::{fact, lock};
use crate::error::{Failure, Stop, is_unique_violation};
use crate::transaction::{Transaction, Tx, TxOutcome};

/// The row of `tachi_lock` that holds the turn. Its name is not a UUID, so it conflicts with no other row.
const TURN: &str = "watcher";

/// Limit of rows per statement.
const BATCH: usize = 200;

/// Observations of the cloud. They are not in the journal, because no recovery depends on them.
#[derive(Clone)]
pub struct FactTable {
    db: Database,
}

impl FactTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl FactStore for FactTable {
    #[instrument(name = "store::take_round", level = "debug", skip_all)]
    async fn take_round(&self) -> Result<u64, JournalError> {
        let read = take_round(&self.db).await;
        read.map_err(|stop| stop.journal("reading the number of the watcher's round"))
    }

    #[instrument(name = "store::write_facts", level = "debug", skip_all)]
    async fn write_facts(&self, turn: u64, round: &Round) -> Result<bool, JournalError> {
        let written = self.db.write(&Write { turn, round }).await;
        written.map_err(|stop| stop.journal("writing the observations of the cloud"))
    }

    #[instrument(name = "store::put_facts", level = "debug", skip_all)]
    async fn put_facts(&self, facts: &[Fact]) -> Result<(), JournalError> {
        let written = self.db.write(&PutFacts(facts)).await;
        written.map_err(|stop| stop.journal("writing the observations of a command"))
    }

    #[instrument(name = "store::remove_facts", level = "debug", skip_all)]
    async fn remove_facts(&self, read: &[Fact]) -> Result<(), JournalError> {
        let removed = self.db.write(&Remove { read }).await;
        removed.map_err(|stop| stop.journal("removing what a command has written"))
    }

    #[instrument(name = "store::facts", level = "debug", skip_all)]
    async fn facts(&self, kind: Option<&str>) -> Result<Vec<Fact>, JournalError> {
        let read = facts(&self.db, kind).await;
        read.map_err(|stop| stop.journal("reading the observations of the cloud"))
    }
}

async fn take_round(db: &Database) -> Result<u64, Stop> {
    let row = lock::Entity::find_by_id(TURN).one(db.reader()).await?;
    let Some(row) = row else { return Ok(0) };
    let cell = Cell {
        table: "tachi_lock",
        row: TURN,
        column: "seq",
    };
    Ok(cell.count(row.seq)?)
}

async fn facts(db: &Database, kind: Option<&str>) -> Result<Vec<Fact>, Stop> {
    let mut query = fact::Entity::find();
    if let Some(kind) = kind {
        query = query.filter(fact::Column::Kind.eq(kind));
    }
    let statement = query.build(db.reader().get_database_backend());
    let fact = |row: QueryResult| {
        let row = fact::Model::from_query_result(&row, "")?;
        Ok(Fact {
            kind: row.kind,
            subject: row.subject,
            value: row.value,
            as_of: Timestamp::from_micros(row.as_of),
        })
    };
    let mut facts = db.reader().each(statement, fact).await?;
    // Sorted here, because a database that sorts megabytes of values writes them to a temporary file.
    facts.sort_by(|one, other| one.subject.cmp(&other.subject));
    Ok(facts)
}

struct Write<'a> {
    turn: u64,
    round: &'a Round,
}

impl Write<'_> {
    /// Increments the turn if it is unchanged.
    async fn take(&self, tx: &Tx) -> Result<bool, Stop> {
        if self.turn == 0 {
            let first = lock::ActiveModel {
                uuid: Set(TURN.to_owned()),
                seq: Set(1),
            };
            return match lock::Entity::insert(first).exec_without_returning(tx).await {
                Ok(_) => Ok(true),
                Err(error) if is_unique_violation(&error) => Ok(false),
                Err(error) => Err(Stop::Failed(Failure::Db(error))),
            };
        }
        let Ok(turn) = i64::try_from(self.turn) else {
            return Ok(false);
        };
        let moved = lock::Entity::update_many()
            .col_expr(lock::Column::Seq, Expr::col(lock::Column::Seq).add(1))
            .filter(lock::Column::Uuid.eq(TURN))
            .filter(lock::Column::Seq.eq(turn))
            .exec(tx)
            .await?;
        Ok(moved.rows_affected == 1)
    }
}

/// Inserts facts, in place of earlier ones of the same kind and subject.
async fn put(tx: &Tx, facts: &[Fact]) -> Result<(), Stop> {
    for batch in facts.chunks(BATCH) {
        let rows = batch.iter().map(|fact| fact::ActiveModel {
            kind: Set(fact.kind.clone()),
            subject: Set(fact.subject.clone()),
            value: Set(fact.value.clone()),
            as_of: Set(fact.as_of.micros()),
        });
        let over = OnConflict::columns([fact::Column::Kind, fact::Column::Subject])
            .update_columns([fact::Column::Value, fact::Column::AsOf])
            .to_owned();
        let insert = fact::Entity::insert_many(rows).on_conflict(over);
        tx.execute(&insert.into_query()).await?;
    }
    Ok(())
}

/// Facts that need no turn.
struct PutFacts<'a>(&'a [Fact]);

#[async_trait]
impl Transaction for PutFacts<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        put(tx, self.0).await?;
        Ok(TxOutcome::Keep(()))
    }
}

struct Remove<'a> {
    read: &'a [Fact],
}

#[async_trait]
impl Transaction for Remove<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        for part in self.read {
            fact::Entity::delete_many()
                .filter(fact::Column::Kind.eq(part.kind.as_str()))
                .filter(fact::Column::Subject.eq(part.subject.as_str()))
                .filter(fact::Column::AsOf.eq(part.as_of.micros()))
                .exec(tx)
                .await?;
        }
        Ok(TxOutcome::Keep(()))
    }
}

#[async_trait]
impl Transaction for Write<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        if !self.take(tx).await? {
            return Ok(TxOutcome::Undo(false));
        }
        put(tx, &self.round.put).await?;
        for (kind, subject) in &self.round.discard {
            fact::Entity::delete_many()
                .filter(fact::Column::Kind.eq(*kind))
                .filter(fact::Column::Subject.eq(subject))
                .exec(tx)
                .await?;
        }
        Ok(TxOutcome::Keep(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn fact(subject: &str, value: &str, at: i64) -> Fact {
        Fact {
            kind: "instances".into(),
            subject: subject.into(),
            value: value.into(),
            as_of: Timestamp::from_micros(at),
        }
    }

    #[tokio::test]
    async fn one_of_two_writers_succeeds_and_removed_facts_are_deleted() {
        let bench = Bench::new().await;
        let table = bench.store.facts();
        let other = bench.another().await.facts().clone();
        assert_eq!(table.take_round().await.unwrap(), 0);
        let both = Round {
            put: vec![fact("a", "[1]", 1), fact("b", "[]", 1)],
            discard: Vec::new(),
        };
        assert!(table.write_facts(0, &both).await.unwrap());
        assert!(!other.write_facts(0, &both).await.unwrap(), "it was begun");
        let next = Round {
            put: vec![fact("a", "[2]", 2)],
            discard: vec![("instances", "b".into()), ("computes", "a".into())],
        };
        assert!(other.write_facts(1, &next).await.unwrap());
        assert!(
            !table.write_facts(1, &both).await.unwrap(),
            "another engine has the turn"
        );
        assert_eq!(table.take_round().await.unwrap(), 2);
        assert_eq!(table.facts(None).await.unwrap(), [fact("a", "[2]", 2)]);
        assert!(table.facts(Some("computes")).await.unwrap().is_empty());
        // A command writes its observations without a turn.
        table.put_facts(&[fact("c", "[3]", 3)]).await.unwrap();
        assert_eq!(table.take_round().await.unwrap(), 2);
        let both = [fact("a", "[2]", 2), fact("c", "[3]", 3)];
        assert_eq!(table.facts(None).await.unwrap(), both);
        // A fact that another command has written again meanwhile is not removed.
        table.put_facts(&[fact("c", "[4]", 4)]).await.unwrap();
        table.remove_facts(&both).await.unwrap();
        assert_eq!(table.facts(None).await.unwrap(), [fact("c", "[4]", 4)]);
    }

    #[tokio::test]
    async fn a_thousand_hosts_are_written_at_once() {
        let bench = Bench::new().await;
        let table = bench.store.facts();
        let put = (0..1_000).map(|number| fact(&format!("compute-{number:04}"), "[]", 1));
        let round = Round {
            put: put.collect(),
            discard: Vec::new(),
        };
        assert!(table.write_facts(0, &round).await.unwrap());
        assert!(table.write_facts(1, &round).await.unwrap());
        assert_eq!(table.facts(None).await.unwrap(), round.put);
    }
}
