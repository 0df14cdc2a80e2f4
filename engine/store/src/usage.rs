//! The use of the pool that serves the API, for metrics.

use sea_orm::sqlx::{Database, Pool};
use sea_orm::{DatabaseConnection, DbBackend};
use tachi_engine::ports::PoolUsage;

use crate::conn::Conn;

impl Conn<DatabaseConnection> {
    /// Returns the current connections of this pool; `None` for an unsupported database.
    pub(crate) fn usage(&self) -> Option<PoolUsage> {
        let backend = self.db.get_database_backend();
        if backend == DbBackend::Sqlite {
            Some(of(self.db.get_sqlite_connection_pool()))
        } else if backend == DbBackend::MySql {
            Some(of(self.db.get_mysql_connection_pool()))
        } else if backend == DbBackend::Postgres {
            Some(of(self.db.get_postgres_connection_pool()))
        } else {
            None
        }
    }
}

fn of<DB: Database>(pool: &Pool<DB>) -> PoolUsage {
    // The two numbers are read one after the other, so the second may be newer.
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    PoolUsage {
        in_use: pool.size().saturating_sub(idle),
        idle,
        max: pool.options().get_max_connections(),
    }
}
