//! The connections of a database, and their use for reads and writes.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr};
use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;

use crate::conn::Conn;
use crate::error::Stop;
use crate::failure_kind::FailureKind;
use crate::server::{self, Lane};
use crate::{StoreError, StoreOptions, files, sqlite};

/// The connections of a database, and a clock. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(crate) struct Database(Arc<Connections>);

struct Connections {
    /// On `SQLite` a single connection, so that writes queue in their order. On a server the registry's pool.
    writer: Conn<DatabaseConnection>,
    /// The readers of a `SQLite` file. `None` for a database in memory, which exists in the writer's connection only,
    /// and for a server, where the writer's pool is sufficient.
    readers: Option<Conn<DatabaseConnection>>,
    /// The single connection of a server to which the journal is written; `None` for `SQLite`, which has a single
    /// writer anyway.
    journal: Option<Conn<DatabaseConnection>>,
    clock: Arc<dyn Clock>,
}

impl Database {
    /// Opens a database without changing its schema.
    pub(crate) async fn open(options: &StoreOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let inner = match (&options.server, &options.path) {
            (Some(server), _) => {
                let pools = server::open(server).await?;
                let conn = |db| Conn::new(db, Some(pools.health.clone())).with_query_retries();
                Connections {
                    writer: conn(pools.registry),
                    readers: None,
                    journal: Some(conn(pools.journal)),
                    clock,
                }
            }
            (None, None) => Connections {
                writer: open(sqlite::memory()).await?,
                readers: None,
                journal: None,
                clock,
            },
            (None, Some(path)) => {
                files::prepare(path)?;
                // The writer is opened first, because it converts the file to WAL.
                let writer = open(sqlite::file(path, 1, options.busy_timeout)).await?;
                let readers = sqlite::file(path, options.readers.max(1), options.busy_timeout);
                Connections {
                    writer,
                    readers: Some(open(readers).await?),
                    journal: None,
                    clock,
                }
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Closes all connections after their running statements.
    pub(crate) async fn close(&self) -> Result<(), DbErr> {
        let others = [&self.0.readers, &self.0.journal];
        for pool in others.into_iter().flatten() {
            pool.db.close_by_ref().await?;
        }
        self.0.writer.db.close_by_ref().await
    }

    pub(crate) fn writer(&self) -> &Conn<DatabaseConnection> {
        &self.0.writer
    }

    pub(crate) fn journal(&self) -> &Conn<DatabaseConnection> {
        self.0.journal.as_ref().unwrap_or(&self.0.writer)
    }

    pub(crate) fn lane(&self, lane: Lane) -> &Conn<DatabaseConnection> {
        match lane {
            Lane::Registry => self.writer(),
            Lane::Journal => self.journal(),
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.0.writer.get_database_backend() == DbBackend::Sqlite
    }

    pub(crate) fn reader(&self) -> &Conn<DatabaseConnection> {
        self.0.readers.as_ref().unwrap_or(&self.0.writer)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.wall()
    }
}

/// Limit of attempts to open a database while other processes block it, and the delay between them: two seconds in all.
const MAX_OPEN_ATTEMPTS: u32 = 100;
const OPEN_RETRY_DELAY: Duration = Duration::from_millis(20);

/// Opens a pool. Only one process can convert a new file to WAL. The others get "busy" at once, regardless of their
/// busy timeout, and retry.
async fn open(options: ConnectOptions) -> Result<Conn<DatabaseConnection>, StoreError> {
    let mut opening = 1;
    loop {
        match sea_orm::Database::connect(options.clone()).await {
            Ok(db) => return Ok(Conn::new(db, None)),
            Err(error)
                if opening < MAX_OPEN_ATTEMPTS && FailureKind::of(&error) == FailureKind::Contention =>
            {
                opening += 1;
                tokio::time::sleep(OPEN_RETRY_DELAY).await;
            }
            Err(error) => return Err(Stop::from(error).store("opening the database")),
        }
    }
}
