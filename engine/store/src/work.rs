//! The only way to write: one transaction per [`Work`].
//!
//! On `SQLite` a transaction begins IMMEDIATE: it takes the write lock before it reads. A deferred one takes it with its first
//! write and then fails at once if anybody else has written since it began to read. All writes of a process go through
//! one connection and so queue in order; between processes `SQLite`'s busy timeout does the waiting.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::conn::Conn;
use crate::error::{Failure, Stop};
use crate::sqlite;
use crate::store::Store;

/// How often a transaction is tried when others are in the way.
const ATTEMPTS: u32 = 3;

/// A transaction.
pub(crate) type Tx = Conn<DatabaseTransaction>;

/// What to do with a transaction.
#[derive(Debug)]
pub(crate) enum Verdict<T> {
    /// Commit, then answer.
    Keep(T),
    /// Roll back, then answer.
    Undo(T),
}

/// A change. It may be run several times; only the last run can have been committed.
#[async_trait]
pub(crate) trait Work: Sync {
    /// The answer.
    type Output: Send;

    /// Reads and writes, but neither commits nor rolls back.
    async fn run(&self, tx: &Tx) -> Result<Verdict<Self::Output>, Stop>;
}

impl Store {
    /// Runs a change in one transaction.
    ///
    /// # Errors
    ///
    /// Nothing is known to be written. Only if the commit itself failed may it have been.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back, unless the commit has been sent; then it may or may not have been written.
    pub(crate) async fn write<W: Work>(&self, work: &W) -> Result<W::Output, Stop> {
        let mut attempt = 1;
        loop {
            match self.attempt(work).await {
                Err(Stop::Failed(Failure::Db(error))) if attempt < ATTEMPTS && in_the_way(&error) => {
                    tracing::debug!(attempt, %error, "another transaction was in the way, trying again");
                    tokio::time::sleep(Duration::from_millis(10) * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<W: Work>(&self, work: &W) -> Result<W::Output, Stop> {
        let tx = Conn(self.writer().0.begin_with_options(immediate()).await?);
        match work.run(&tx).await {
            Ok(Verdict::Keep(output)) => {
                // From here on an error does not mean that nothing was written, so there is no second attempt.
                tx.0.commit().await.map_err(Failure::Commit)?;
                Ok(output)
            }
            Ok(Verdict::Undo(output)) => {
                tx.0.rollback().await?;
                Ok(output)
            }
            Err(stop) => {
                if let Err(error) = tx.0.rollback().await {
                    tracing::warn!(%error, "rolling back a failed transaction");
                }
                Err(stop)
            }
        }
    }

    /// A snapshot to read from, on the connection that writes: what was committed there is seen for certain.
    pub(crate) async fn snapshot(&self) -> Result<Tx, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
            ..TransactionOptions::default()
        };
        Ok(Conn(self.writer().0.begin_with_options(options).await?))
    }
}

fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Whether the same transaction may well succeed when it is tried again: deadlock, serialisation failure, busy.
pub(crate) fn in_the_way(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error
        .as_database_error()
        .and_then(sea_orm::sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01") || sqlite::is_busy(&code))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use sea_orm::sea_query::Expr;
    use sea_orm::{ConnectionTrait, EntityTrait as _, PaginatorTrait as _, Set};
    use tachi_domain::Timestamp;
    use tokio::sync::Notify;

    use super::*;
    use crate::StoreOptions;
    use crate::entity::meta;
    use crate::testing::{Bench, TestClock};

    async fn insert(db: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
        let row = meta::ActiveModel {
            name: Set(name.to_owned()),
            value: Set(String::new()),
        };
        meta::Entity::insert(row).exec(db).await.map(|_| ())
    }

    async fn rows(store: &Store) -> u64 {
        meta::Entity::find().count(store.reader()).await.unwrap()
    }

    /// Another process that waits for nobody.
    async fn impatient(bench: &Bench) -> Store {
        let mut options = StoreOptions::file(bench.path());
        options.busy_timeout = Duration::from_millis(1);
        Store::connect(&options, Arc::<TestClock>::clone(&bench.clock))
            .await
            .unwrap()
    }

    /// Inserts a row, and then gives the verdict it was made with.
    struct Insert(bool);

    #[async_trait]
    impl Work for Insert {
        type Output = ();

        async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
            insert(tx, "row").await?;
            Ok(if self.0 {
                Verdict::Keep(())
            } else {
                Verdict::Undo(())
            })
        }
    }

    #[tokio::test]
    async fn the_verdict_decides_what_stays() {
        let bench = Bench::new().await;
        bench.store.write(&Insert(false)).await.unwrap();
        assert_eq!(rows(&bench.store).await, 0);
        bench.store.write(&Insert(true)).await.unwrap();
        assert_eq!(rows(&bench.store).await, 1);
        bench.store.write(&Insert(true)).await.unwrap_err();
        assert_eq!(rows(&bench.store).await, 1);
    }

    /// Inserts a row, says so, and waits until it is let go.
    struct Linger {
        inserted: Notify,
        go: Notify,
    }

    #[async_trait]
    impl Work for Linger {
        type Output = ();

        async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
            insert(tx, "lingering").await?;
            self.inserted.notify_one();
            self.go.notified().await;
            Ok(Verdict::Keep(()))
        }
    }

    fn linger() -> Linger {
        Linger {
            inserted: Notify::new(),
            go: Notify::new(),
        }
    }

    #[tokio::test]
    async fn a_dropped_write_leaves_nothing_and_holds_nobody_up() {
        let bench = Bench::new().await;
        let work = linger();
        tokio::select! {
            outcome = bench.store.write(&work) => panic!("{outcome:?}"),
            () = work.inserted.notified() => {}
        }
        bench.store.write(&Insert(true)).await.unwrap();
        assert_eq!(rows(&bench.store).await, 1);
    }

    #[tokio::test]
    async fn a_write_begins_with_the_lock_and_gives_up_after_a_few_tries() {
        let bench = Bench::new().await;
        let other = impatient(&bench).await;
        let work = linger();
        let blocked = async {
            work.inserted.notified().await;
            let blocked = other.write(&Insert(true)).await;
            work.go.notify_one();
            blocked
        };
        let (lingered, blocked) = tokio::join!(bench.store.write(&work), blocked);
        lingered.unwrap();
        let Err(Stop::Failed(Failure::Db(error))) = blocked else {
            panic!("{blocked:?}");
        };
        assert!(in_the_way(&error), "{error}");
        assert_eq!(rows(&bench.store).await, 1, "the one that held the lock");
    }

    /// Is in another process's way when it runs first.
    struct Collides<'a> {
        other: &'a Store,
        runs: AtomicU32,
    }

    #[async_trait]
    impl Work for Collides<'_> {
        type Output = u32;

        async fn run(&self, tx: &Tx) -> Result<Verdict<u32>, Stop> {
            let runs = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
            insert(tx, "row").await?;
            if runs == 1 {
                insert(self.other.writer(), "other").await?;
            }
            Ok(Verdict::Keep(runs))
        }
    }

    #[tokio::test]
    async fn what_collided_is_tried_again_from_the_start() {
        let bench = Bench::new().await;
        let other = impatient(&bench).await;
        let work = Collides {
            other: &other,
            runs: AtomicU32::new(0),
        };
        assert_eq!(bench.store.write(&work).await.unwrap(), 2);
        assert_eq!(rows(&bench.store).await, 1);
    }

    #[tokio::test]
    async fn other_errors_are_not_tried_again() {
        let bench = Bench::new().await;
        bench.store.write(&Insert(true)).await.unwrap();
        let Err(Stop::Failed(Failure::Db(error))) = bench.store.write(&Insert(true)).await else {
            panic!("a second row of the same name");
        };
        assert!(!in_the_way(&error), "{error}");
    }

    #[tokio::test]
    async fn readers_are_not_held_up_by_a_write_and_see_nothing_of_it() {
        let bench = Bench::new().await;
        let work = linger();
        let reading = async {
            work.inserted.notified().await;
            let seen = rows(&bench.store).await;
            work.go.notify_one();
            seen
        };
        let (written, seen) = tokio::join!(bench.store.write(&work), reading);
        written.unwrap();
        assert_eq!(seen, 0);
        assert_eq!(rows(&bench.store).await, 1);
    }

    #[tokio::test]
    async fn times_are_rewritten_in_every_kind_of_statement() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let at = crate::time::to_column(Timestamp::from_micros(1_000_000)).unwrap();
        crate::entity::segment::Entity::update_many()
            .col_expr(crate::entity::segment::Column::UpdatedAt, Expr::value(at))
            .exec(bench.store.writer())
            .await
            .unwrap();
        let found = sea_orm::QueryFilter::filter(
            crate::entity::segment::Entity::find(),
            sea_orm::ColumnTrait::eq(&crate::entity::segment::Column::UpdatedAt, at),
        )
        .one(bench.store.reader())
        .await
        .unwrap();
        assert_eq!(found.map(|row| row.id), Some(segment.row));
    }
}
