//! The database's clock. Engines on several machines use it for joint decisions, because their own clocks may differ.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use tachi_domain::Timestamp;

/// Returns the time of the database's clock. A `SQLite` file is on one machine, whose clock is `own`.
pub(crate) async fn now(db: &impl ConnectionTrait, own: Timestamp) -> Result<Timestamp, DbErr> {
    // Tests control their own clock.
    if cfg!(test) {
        return Ok(own);
    }
    Ok(server_time(db).await?.unwrap_or(own))
}

/// Returns the clock of the database's machine; `None` for a file.
pub(crate) async fn server_time(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    let backend = db.get_database_backend();
    let text = if backend == DbBackend::MySql {
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) AS micros"
    } else if backend == DbBackend::Postgres {
        "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS micros"
    } else {
        return Ok(None);
    };
    let row = db
        .query_one_raw(Statement::from_string(backend, text.to_owned()))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the database returned no time".into()))?;
    Ok(Some(Timestamp::from_micros(row.try_get("", "micros")?)))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::testing::Bench;

    /// Covers C10.
    #[tokio::test]
    async fn a_server_returns_its_own_time() {
        let bench = Bench::new().await;
        let Some(server_clock) = server_time(bench.store.db.reader()).await.unwrap() else {
            return;
        };
        let local = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let local = i64::try_from(local.as_micros()).unwrap();
        // Both clocks are this machine's.
        assert!(
            (server_clock.micros() - local).abs() < 60_000_000,
            "{server_clock:?} {local}"
        );
    }
}
