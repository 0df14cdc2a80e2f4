use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ConnectionTrait, EntityTrait as _, PaginatorTrait as _, Set};
use tachi_domain::Timestamp;
use tokio::sync::Notify;

use super::*;
use crate::entity::meta;
use crate::failure_kind::FailureKind;
use crate::testing::Bench;
use crate::{Store, StoreOptions};
use tachi_testkit::ManualClock;

async fn insert(db: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    let row = meta::ActiveModel {
        name: Set(name.to_owned()),
        value: Set(String::new()),
    };
    meta::Entity::insert(row).exec(db).await.map(|_| ())
}

async fn rows(store: &Store) -> u64 {
    meta::Entity::find().count(store.db.reader()).await.unwrap()
}

/// Opens the store as another process that does not wait for locks.
async fn without_lock_wait(bench: &Bench) -> Store {
    let mut options = StoreOptions::file(bench.path());
    options.busy_timeout = Duration::from_millis(1);
    Store::connect(&options, Arc::<ManualClock>::clone(&bench.clock))
        .await
        .unwrap()
}

/// Inserts a row, and then returns the configured verdict.
struct Insert(bool);

#[async_trait]
impl Transaction for Insert {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        insert(tx, "row").await?;
        Ok(if self.0 {
            TxOutcome::Keep(())
        } else {
            TxOutcome::Undo(())
        })
    }
}

#[tokio::test]
async fn the_verdict_decides_what_stays() {
    let bench = Bench::new().await;
    bench.store.db.write(&Insert(false)).await.unwrap();
    assert_eq!(rows(&bench.store).await, 0);
    bench.store.db.write(&Insert(true)).await.unwrap();
    assert_eq!(rows(&bench.store).await, 1);
    bench.store.db.write(&Insert(true)).await.unwrap_err();
    assert_eq!(rows(&bench.store).await, 1);
}

/// Inserts a row, signals that, and waits until it is released.
struct Linger {
    inserted: Notify,
    go: Notify,
}

#[async_trait]
impl Transaction for Linger {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        insert(tx, "lingering").await?;
        self.inserted.notify_one();
        self.go.notified().await;
        Ok(TxOutcome::Keep(()))
    }
}

fn linger() -> Linger {
    Linger {
        inserted: Notify::new(),
        go: Notify::new(),
    }
}

#[tokio::test]
async fn a_dropped_write_is_rolled_back_and_blocks_no_other() {
    let bench = Bench::new().await;
    let work = linger();
    tokio::select! {
        outcome = bench.store.db.write(&work) => panic!("{outcome:?}"),
        () = work.inserted.notified() => {}
    }
    bench.store.db.write(&Insert(true)).await.unwrap();
    assert_eq!(rows(&bench.store).await, 1);
}

#[tokio::test]
async fn a_write_begins_with_the_lock_and_gives_up_after_a_few_tries() {
    let bench = Bench::sqlite().await;
    let other = without_lock_wait(&bench).await;
    let work = linger();
    let blocked = async {
        work.inserted.notified().await;
        let blocked = other.db.write(&Insert(true)).await;
        work.go.notify_one();
        blocked
    };
    let (lingered, blocked) = tokio::join!(bench.store.db.write(&work), blocked);
    lingered.unwrap();
    let Err(Stop::Failed(Failure::Db(error))) = blocked else {
        panic!("{blocked:?}");
    };
    assert_eq!(FailureKind::of(&error), FailureKind::Contention, "{error}");
    assert_eq!(rows(&bench.store).await, 1, "the one that held the lock");
}

/// Blocks another process in its first run.
struct Collides<'a> {
    other: &'a Store,
    runs: AtomicU32,
}

#[async_trait]
impl Transaction for Collides<'_> {
    type Output = u32;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<u32>, Stop> {
        let runs = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        insert(tx, "row").await?;
        if runs == 1 {
            insert(self.other.db.writer(), "other").await?;
        }
        Ok(TxOutcome::Keep(runs))
    }
}

#[tokio::test]
async fn a_conflicting_transaction_is_retried_from_the_start() {
    let bench = Bench::sqlite().await;
    let other = without_lock_wait(&bench).await;
    let work = Collides {
        other: &other,
        runs: AtomicU32::new(0),
    };
    assert_eq!(bench.store.db.write(&work).await.unwrap(), 2);
    assert_eq!(rows(&bench.store).await, 1);
}

#[tokio::test]
async fn other_errors_are_not_tried_again() {
    let bench = Bench::new().await;
    bench.store.db.write(&Insert(true)).await.unwrap();
    let Err(Stop::Failed(Failure::Db(error))) = bench.store.db.write(&Insert(true)).await else {
        panic!("a second row of the same name");
    };
    assert_eq!(FailureKind::of(&error), FailureKind::Permanent, "{error}");
}

#[tokio::test]
async fn readers_are_not_held_up_by_a_write_and_see_nothing_of_it() {
    let bench = Bench::new().await;
    let work = linger();
    let reading = async {
        work.inserted.notified().await;
        let count = rows(&bench.store).await;
        work.go.notify_one();
        count
    };
    let (written, count) = tokio::join!(bench.store.db.write(&work), reading);
    written.unwrap();
    assert_eq!(count, 0);
    assert_eq!(rows(&bench.store).await, 1);
}

#[tokio::test]
async fn times_are_rewritten_in_every_kind_of_statement() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let at = crate::time::to_column(Timestamp::from_micros(1_000_000)).unwrap();
    crate::entity::segment::Entity::update_many()
        .col_expr(crate::entity::segment::Column::UpdatedAt, Expr::value(at))
        .exec(bench.store.db.writer())
        .await
        .unwrap();
    let found = sea_orm::QueryFilter::filter(
        crate::entity::segment::Entity::find(),
        sea_orm::ColumnTrait::eq(&crate::entity::segment::Column::UpdatedAt, at),
    )
    .one(bench.store.db.reader())
    .await
    .unwrap();
    assert_eq!(found.map(|row| row.id), Some(segment.row));
}
