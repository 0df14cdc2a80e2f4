//! A database, and its parts for the engine's ports.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, Set};
use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;

use crate::database::Database;
use crate::engine_registry::EngineTable;
use crate::entity::meta;
use crate::error::{Failure, Stop};
use crate::journal::JournalTables;
use crate::machines::MachineTable;
use crate::operator_journal::OperatorJournalTables;
use crate::registry::RegistryTables;
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::{
    FactTable, FreezeTable, JobTable, MonitorTable, PlanTables, RefusalTable, StoreError, StoreOptions,
};

/// A database. Cheap to clone; all clones share its connections.
///
/// The methods of this type are about the database as a whole: its schema, work that Masakari left open, and old rows.
/// Each port has a separate handle.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Database,
    registry: RegistryTables,
    journal: JournalTables,
    operator_journal: OperatorJournalTables,
    machines: MachineTable,
    engine_registry: EngineTable,
    facts: FactTable,
    freezes: FreezeTable,
    plans: PlanTables,
    monitors: MonitorTable,
    jobs: JobTable,
    refusals: RefusalTable,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a database without changing its schema; see [`Store::migrate`].
    ///
    /// # Errors
    ///
    /// `NetworkFileSystem`, `File`, `Database`.
    pub async fn connect(options: &StoreOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let db = Database::open(options, clock).await?;
        let registry = RegistryTables::of(&db);
        Ok(Self {
            journal: JournalTables::of(&registry),
            operator_journal: OperatorJournalTables::of(&registry),
            registry,
            machines: MachineTable::of(&db),
            engine_registry: EngineTable::of(&db),
            facts: FactTable::of(&db),
            freezes: FreezeTable::of(&db),
            plans: PlanTables::of(&db),
            monitors: MonitorTable::of(&db),
            jobs: JobTable::of(&db),
            refusals: RefusalTable::of(&db),
            db,
        })
    }

    /// Returns segments, hosts, notifications and vmoves: the port `Registry`.
    pub fn registry(&self) -> &RegistryTables {
        &self.registry
    }

    /// Returns claims and the writes of recoveries: the port `Journal`.
    pub fn journal(&self) -> &JournalTables {
        &self.journal
    }

    /// Returns the operators' view of recoveries, and their actions: the port `OperatorJournal`.
    pub fn operator_journal(&self) -> &OperatorJournalTables {
        &self.operator_journal
    }

    /// Returns the machines behind the fence devices: the port `Machines`.
    pub fn machines(&self) -> &MachineTable {
        &self.machines
    }

    /// Returns the running engines and their backlog: the port `EngineRegistry`.
    pub fn engine_registry(&self) -> &EngineTable {
        &self.engine_registry
    }

    /// Returns observations of the cloud: the port `Facts`.
    pub fn facts(&self) -> &FactTable {
        &self.facts
    }

    /// Returns the freezes: the port `Freezes`.
    pub fn freezes(&self) -> &FreezeTable {
        &self.freezes
    }

    /// Returns the operators' plans: the port `Plans`.
    pub fn plans(&self) -> &PlanTables {
        &self.plans
    }

    /// Returns the monitors' heartbeats: the port `Monitors`.
    pub fn monitors(&self) -> &MonitorTable {
        &self.monitors
    }

    /// Returns the engines' scheduled jobs: the port `Jobs`.
    pub fn jobs(&self) -> &JobTable {
        &self.jobs
    }

    /// Returns the rejected reports: the port `RefusalLog`.
    pub fn refusals(&self) -> &RefusalTable {
        &self.refusals
    }

    /// Returns the name of the newest applied migration; `None` if there is no schema yet.
    ///
    /// # Errors
    ///
    /// `Database`, also if a later version, unknown to this one, has migrated the database.
    pub async fn version(&self) -> Result<Option<String>, StoreError> {
        tachi_migrations::version(self.db.reader())
            .await
            .map_err(|error| Stop::from(error).store("reading the database's version"))
    }

    /// Returns the names of the migrations that [`Store::migrate`] would apply.
    ///
    /// # Errors
    ///
    /// The same as for [`Store::version`].
    pub async fn pending(&self) -> Result<Vec<String>, StoreError> {
        tachi_migrations::pending(self.db.reader())
            .await
            .map_err(|error| Stop::from(error).store("reading the pending migrations"))
    }

    /// Returns the time of the first call by any engine: the cluster's first start, from which the start-up grace
    /// counts.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn first_start(&self) -> Result<Timestamp, StoreError> {
        let now = self.db.now();
        self.db
            .write(&FirstStart { now })
            .await
            .map_err(|stop| stop.store("reading the cluster's first start"))
    }

    /// Closes all connections after their running statements. The store cannot be used afterwards.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = self.db.close().await;
        closed.map_err(|error| Stop::from(error).store("closing the database"))
    }
}

const FIRST_START: &str = "first_start_micros";

pub(crate) struct FirstStart {
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Transaction for FirstStart {
    type Output = Timestamp;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Timestamp>, Stop> {
        let now = crate::clock::now(tx, self.now).await?;
        let row = meta::ActiveModel {
            name: Set(FIRST_START.to_owned()),
            value: Set(now.micros().to_string()),
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
        Ok(TxOutcome::Keep(Timestamp::from_micros(micros)))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    use tachi_engine::ports::{Hosts as _, Journal as _, OperatorJournal as _, Reports as _, Segments as _};

    use super::*;
    use crate::testing::{Bench, START, new_segment, stopped};

    async fn texts(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
            .await
            .unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// Reads the tables, columns and indexes from the database's catalogue.
    async fn schema(bench: &Bench) -> Vec<String> {
        let sql = match bench.store.db.reader().get_database_backend() {
            DbBackend::MySql => {
                "SELECT CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_default) \
                 FROM information_schema.columns WHERE table_schema = DATABASE() UNION ALL \
                 SELECT CONCAT_WS(' ', table_name, index_name, column_name, non_unique) \
                 FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY 1"
            }
            DbBackend::Postgres => {
                "SELECT CONCAT_WS(' ', table_name, column_name, udt_name, is_nullable, column_default) \
                 FROM information_schema.columns WHERE table_schema = 'public' UNION ALL \
                 SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
            }
            DbBackend::Sqlite | _ => "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL",
        };
        texts(bench.store.db.reader(), sql).await
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let bench = Bench::empty().await;
        assert_eq!(bench.store.version().await.unwrap(), None);
        let pending = bench.store.pending().await.unwrap();
        assert!(!pending.is_empty());
        bench.store.migrate().await.unwrap();
        let once = schema(&bench).await;
        assert!(once.len() > 20, "{once:?}");
        bench.store.migrate().await.unwrap();
        assert_eq!(schema(&bench).await, once);
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
        let bench = Bench::sqlite().await;
        for round in 0..20 {
            let path = bench.path().with_file_name(format!("new{round}.sqlite"));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let options = StoreOptions::file(&path);
                let clock = Arc::<tachi_testkit::ManualClock>::clone(&bench.clock);
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
        let bench = Bench::sqlite().await;
        for db in [bench.store.db.reader(), bench.store.db.writer()] {
            for (pragma, value) in [
                ("journal_mode", "wal"),
                ("synchronous", "2"),
                ("foreign_keys", "1"),
                ("cache_size", "-256"),
            ] {
                let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
                assert_eq!(texts(db, &sql).await, [value], "{pragma}");
            }
        }
    }

    #[tokio::test]
    async fn written_data_survives_a_restart() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let notification = bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine1").await;
        bench.store.close().await.unwrap();
        assert!(
            bench.store.registry().get_segment(segment.id).await.is_err(),
            "closed"
        );

        let reopened = bench.another().await;
        assert_eq!(
            reopened.registry().get_segment(segment.id).await.unwrap(),
            Some(segment)
        );
        let views = reopened.journal().unsettled().await.unwrap();
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].epoch, claimed.epoch);
        assert_eq!(views[0].owner.as_deref(), Some("engine1"));
        let again = reopened
            .journal()
            .claim_at(claimed.id, 1, "engine2")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again.notification.id, notification.id);
    }

    #[tokio::test]
    async fn times_are_on_disk_as_sqlalchemy_writes_them() {
        let bench = Bench::sqlite().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let read = "SELECT created_at FROM hosts UNION ALL SELECT generated_time FROM notifications";
        assert_eq!(
            texts(bench.store.db.reader(), read).await,
            ["2023-11-14 22:13:20.000000", "2023-11-14 22:13:20.123456"]
        );
    }

    #[tokio::test]
    async fn the_first_start_stays_the_first() {
        let bench = Bench::new().await;
        let first = bench.store.first_start().await.unwrap();
        assert_eq!(first.micros(), START);
        bench.clock.set_wall_on(60);
        assert_eq!(bench.another().await.first_start().await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_database_in_memory_does_everything() {
        let bench = Bench::sqlite().await;
        let store = Store::connect(
            &StoreOptions::memory(),
            Arc::<tachi_testkit::ManualClock>::clone(&bench.clock),
        )
        .await
        .unwrap();
        store.migrate().await.unwrap();
        let segment = store.registry().create_segment(&new_segment("s1")).await.unwrap();
        let host = store
            .registry()
            .create_host(segment.id, &crate::testing::new_host("cmp1"))
            .await
            .unwrap();
        let new = stopped(&host.name, bench.clock.wall());
        store
            .registry()
            .accept_notification(&new, 180, bench.clock.wall())
            .await
            .unwrap();
        let id = store.operator_journal().recoveries(false).await.unwrap()[0].id;
        assert!(store.journal().claim_at(id, 0, "engine").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_error_without_tables_names_the_operation() {
        let bench = Bench::empty().await;
        let error = bench
            .store
            .registry()
            .create_segment(&new_segment("s1"))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "creating a segment");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("failover_segments"), "{source}");
    }
}
