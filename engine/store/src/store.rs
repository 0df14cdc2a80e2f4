//! The handle on a database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, EntityTrait as _, Set};
use sea_orm_migration::MigratorTrait as _;
use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;

use crate::conn::Conn;
use crate::entity::meta;
use crate::error::{Failure, Stop};
use crate::work::{Tx, Verdict, Work, in_the_way};
use crate::{StoreError, StoreOptions, files, sqlite};

/// A database. Cheap to clone; all clones share its connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// One connection, so that writes queue in the order they came.
    writer: Conn<DatabaseConnection>,
    /// `None` for a database in memory, which exists in the writer's connection only.
    readers: Option<Conn<DatabaseConnection>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a database. Its schema is left as it is; see [`Store::migrate`].
    ///
    /// # Errors
    ///
    /// `NetworkFileSystem`, `File`, `Database`.
    pub async fn connect(options: &StoreOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (writer, readers) = match &options.path {
            None => (open(sqlite::memory()).await?, None),
            Some(path) => {
                files::prepare(path)?;
                // The writer first: it is the one that turns the file to WAL.
                let writer = open(sqlite::file(path, 1, options.busy_timeout)).await?;
                let readers = sqlite::file(path, options.readers.max(1), options.busy_timeout);
                (writer, Some(open(readers).await?))
            }
        };
        let inner = Inner {
            writer,
            readers,
            clock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Brings the schema up to date. Several processes may try at the same time: all migrations run in one write
    /// transaction, and those who come later find nothing to do.
    ///
    /// # Errors
    ///
    /// `Database`. Then nothing was changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.write(&Migrate)
            .await
            .map_err(|stop| stop.store("migrating the database"))
    }

    /// The name of the newest migration that was applied; `None` if the schema is not there yet.
    ///
    /// # Errors
    ///
    /// `Database`, also if the database was migrated by a later version that this one does not know.
    pub async fn version(&self) -> Result<Option<String>, StoreError> {
        tachi_migrations::version(self.reader())
            .await
            .map_err(|error| Stop::from(error).store("reading the database's version"))
    }

    /// The names of the migrations that [`Store::migrate`] would apply.
    ///
    /// # Errors
    ///
    /// As for [`Store::version`].
    pub async fn pending(&self) -> Result<Vec<String>, StoreError> {
        tachi_migrations::pending(self.reader())
            .await
            .map_err(|error| Stop::from(error).store("reading the pending migrations"))
    }

    /// When an engine first asked for this: the cluster's first start, from which start-up grace counts (R24).
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn first_start(&self) -> Result<Timestamp, StoreError> {
        let now = self.now();
        self.write(&FirstStart { now })
            .await
            .map_err(|stop| stop.store("reading the cluster's first start"))
    }

    /// Closes all connections, after what is running on them. The store cannot be used afterwards.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = async {
            if let Some(readers) = &self.inner.readers {
                readers.0.close_by_ref().await?;
            }
            self.inner.writer.0.close_by_ref().await
        };
        closed
            .await
            .map_err(|error| Stop::from(error).store("closing the database"))
    }

    pub(crate) fn writer(&self) -> &Conn<DatabaseConnection> {
        &self.inner.writer
    }

    pub(crate) fn reader(&self) -> &Conn<DatabaseConnection> {
        self.inner.readers.as_ref().unwrap_or(&self.inner.writer)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.wall()
    }
}

/// How often opening is tried when other processes are in the way, and how long to wait in between: two seconds in all.
const OPENINGS: u32 = 100;
const BETWEEN_OPENINGS: Duration = Duration::from_millis(20);

/// Opens a pool. Only one process can turn a new file to WAL; the others are told at once that it is busy, whatever their
/// busy timeout, and so try again.
async fn open(options: ConnectOptions) -> Result<Conn<DatabaseConnection>, StoreError> {
    let mut opening = 1;
    loop {
        match Database::connect(options.clone()).await {
            Ok(db) => return Ok(Conn(db)),
            Err(error) if opening < OPENINGS && in_the_way(&error) => {
                opening += 1;
                tokio::time::sleep(BETWEEN_OPENINGS).await;
            }
            Err(error) => return Err(Stop::from(error).store("opening the database")),
        }
    }
}

struct Migrate;

#[async_trait]
impl Work for Migrate {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
        tachi_migrations::Migrator::up(&tx.0, None).await?;
        Ok(Verdict::Keep(()))
    }
}

const FIRST_START: &str = "first_start_micros";

struct FirstStart {
    now: Timestamp,
}

#[async_trait]
impl Work for FirstStart {
    type Output = Timestamp;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Timestamp>, Stop> {
        let row = meta::ActiveModel {
            name: Set(FIRST_START.to_owned()),
            value: Set(self.now.micros().to_string()),
        };
        let insert = meta::Entity::insert(row).on_conflict(
            OnConflict::column(meta::Column::Name)
                .do_nothing_on([meta::Column::Name])
                .to_owned(),
        );
        tx.execute(&sea_orm::QueryTrait::into_query(insert)).await?;
        let row = meta::Entity::find_by_id(FIRST_START.to_owned())
            .one(tx)
            .await?
            .ok_or_else(|| Failure::Dangling {
                table: "tachi_meta",
                row: FIRST_START.to_owned(),
            })?;
        let micros = row.value.parse().map_err(|_| Failure::Corrupt {
            table: "tachi_meta",
            row: row.name,
            column: "value",
            value: row.value.clone(),
        })?;
        Ok(Verdict::Keep(Timestamp::from_micros(micros)))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    use tachi_engine::ports::{Journal as _, OperatorDesk as _, Registry as _};

    use super::*;
    use crate::testing::{Bench, START, new_segment, stopped};

    async fn texts(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
        let rows = db
            .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql))
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let bench = Bench::empty().await;
        assert_eq!(bench.store.version().await.unwrap(), None);
        let pending = bench.store.pending().await.unwrap();
        assert_eq!(pending.len(), 3);
        bench.store.migrate().await.unwrap();
        let schema = texts(
            bench.store.reader(),
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL",
        )
        .await;
        bench.store.migrate().await.unwrap();
        let again = texts(
            bench.store.reader(),
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL",
        )
        .await;
        assert_eq!(schema, again);
        assert_eq!(bench.store.version().await.unwrap(), pending.last().cloned());
        assert!(bench.store.pending().await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn four_processes_may_migrate_at_the_same_time() {
        let bench = Bench::empty().await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = bench.another().await;
            tasks.spawn(async move { store.migrate().await });
        }
        while let Some(migrated) = tasks.join_next().await {
            migrated.unwrap().unwrap();
        }
        assert!(bench.store.pending().await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn processes_may_make_open_and_migrate_a_new_file_at_the_same_time() {
        let bench = Bench::empty().await;
        for round in 0..20 {
            let path = bench.path().with_file_name(format!("new{round}.sqlite"));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let options = StoreOptions::file(&path);
                let clock = Arc::<crate::testing::TestClock>::clone(&bench.clock);
                tasks.spawn(async move {
                    let store = Store::connect(&options, clock).await?;
                    store.migrate().await?;
                    store.pending().await
                });
            }
            while let Some(pending) = tasks.join_next().await {
                assert!(pending.unwrap().unwrap().is_empty(), "round {round}");
            }
        }
    }

    #[tokio::test]
    async fn the_file_is_opened_as_it_must_be() {
        let bench = Bench::new().await;
        for db in [bench.store.reader(), bench.store.writer()] {
            for (pragma, value) in [
                ("journal_mode", "wal"),
                ("synchronous", "2"),
                ("foreign_keys", "1"),
            ] {
                let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
                assert_eq!(texts(db, &sql).await, [value], "{pragma}");
            }
        }
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let notification = bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine1").await;
        bench.store.close().await.unwrap();
        assert!(bench.store.get_segment(segment.id).await.is_err(), "closed");

        let reopened = bench.another().await;
        assert_eq!(reopened.get_segment(segment.id).await.unwrap(), Some(segment));
        let views = reopened.unsettled().await.unwrap();
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].epoch, claimed.epoch);
        assert_eq!(views[0].owner.as_deref(), Some("engine1"));
        let again = reopened.claim(claimed.id, 1, "engine2").await.unwrap().unwrap();
        assert_eq!(again.notification.id, notification.id);
    }

    #[tokio::test]
    async fn times_are_on_disk_as_sqlalchemy_writes_them() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let read = "SELECT created_at FROM hosts UNION ALL SELECT generated_time FROM notifications";
        assert_eq!(
            texts(bench.store.reader(), read).await,
            ["2023-11-14 22:13:20.000000", "2023-11-14 22:13:20.123456"]
        );
    }

    #[tokio::test]
    async fn the_first_start_stays_the_first() {
        let bench = Bench::new().await;
        let first = bench.store.first_start().await.unwrap();
        assert_eq!(first.micros(), START);
        bench.clock.advance(60);
        assert_eq!(bench.another().await.first_start().await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_database_in_memory_does_everything() {
        let bench = Bench::empty().await;
        let store = Store::connect(
            &StoreOptions::memory(),
            Arc::<crate::testing::TestClock>::clone(&bench.clock),
        )
        .await
        .unwrap();
        store.migrate().await.unwrap();
        let segment = store.create_segment(&new_segment("s1")).await.unwrap();
        let host = store
            .create_host(&crate::testing::new_host(&segment, "cmp1"))
            .await
            .unwrap();
        let new = stopped(&host.name, bench.clock.wall());
        store
            .accept_notification(&new, 180, bench.clock.wall())
            .await
            .unwrap();
        let id = store.recoveries(false).await.unwrap()[0].id;
        assert!(store.claim(id, 0, "engine").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_database_without_tables_says_what_failed() {
        let bench = Bench::empty().await;
        let error = bench.store.create_segment(&new_segment("s1")).await.unwrap_err();
        assert_eq!(error.to_string(), "creating a segment");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("failover_segments"), "{source}");
    }
}
