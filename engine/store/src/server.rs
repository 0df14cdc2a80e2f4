//! The common parts of `MariaDB` and `PostgreSQL`: two pools of connections, and their health.
//!
//! The registry has a pool with many connections. The journal has a pool with one: its writes queue in their order, API
//! requests never delay a heartbeat, and a new owner reads on the connection that committed its claim.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::Error;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::failure_kind::FailureKind;
use crate::{ServerKind, ServerOptions, mariadb, postgres};

/// Time that a statement waits for a lock of another transaction.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that the server lets a transaction wait for its next statement before it rolls it back. Our transactions wait
/// only for the server, so this means that our process was paused while its locks block others.
pub(crate) const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of a statement, after which its connection counts as lost. A server that is cut off from the network does
/// not respond, and TCP waits for a quarter of an hour.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Time that the journal waits for its connection. After a longer wait its claims are lost anyway.
const JOURNAL_POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for opening the first connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle time after which a connection is tested before it is used.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(20);

/// The user of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The API and operators.
    Registry,
    /// Claims, heartbeats and commits.
    Journal,
}

impl Lane {
    pub(crate) fn connections(self, options: &ServerOptions) -> u32 {
        match self {
            Self::Registry => options.connections.max(1),
            Self::Journal => 1,
        }
    }

    pub(crate) fn acquire_timeout(self, options: &ServerOptions) -> Duration {
        match self {
            Self::Registry => options.pool_timeout,
            Self::Journal => options.pool_timeout.min(JOURNAL_POOL_TIMEOUT),
        }
    }
}

/// The health of a server's connections: those opened before the latest failure of the server are not used. Otherwise
/// each connection of a pool would fail one request after a failover.
#[derive(Debug)]
pub(crate) struct Health {
    began: Instant,
    /// Microseconds after `began`.
    failed_at: AtomicU64,
    /// True if the server returns the rows of an INSERT; known once the first connection was set up.
    returns_rows: AtomicBool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            failed_at: AtomicU64::new(0),
            returns_rows: AtomicBool::new(false),
        }
    }

    /// Records whether the server supports INSERT ... RETURNING.
    pub(crate) fn note_returning(&self, understood: bool) {
        self.returns_rows.store(understood, Ordering::Relaxed);
    }

    /// True if the server is known to support INSERT ... RETURNING.
    pub(crate) fn returns_rows(&self) -> bool {
        self.returns_rows.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Records a failure of the server or of the network: all connections that are open now are discarded.
    pub(crate) fn record_failure(&self) {
        self.failed_at.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// True if a connection of that age may be used.
    pub(crate) fn is_usable(&self, age: Duration) -> bool {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        failed_at == 0 || self.now().saturating_sub(age) > failed_at
    }

    /// True if a connection with this idle time is tested before use.
    #[expect(
        clippy::unused_self,
        reason = "all decisions about the trust in connections are here"
    )]
    pub(crate) fn needs_test(&self, idle: Duration) -> bool {
        idle >= TEST_AFTER_IDLE
    }
}

pub(crate) struct Pools {
    pub(crate) registry: DatabaseConnection,
    pub(crate) journal: DatabaseConnection,
    pub(crate) health: Arc<Health>,
}

/// Tries to connect until the server responds or the retries are used up, then creates the pools.
pub(crate) async fn open(options: &ServerOptions) -> Result<Pools, StoreError> {
    let mut tried = 0;
    while let Err(error) = try_out(options).await {
        let left = options.start_retries.is_none_or(|retries| tried < retries);
        if !left || FailureKind::of_sqlx(&error) == FailureKind::Permanent {
            return Err(failed(options, error));
        }
        tried += 1;
        tracing::warn!(
            server = named(options),
            %error,
            tried,
            retry_seconds = options.start_interval.as_secs(),
            "failed to connect to the database; retrying"
        );
        tokio::time::sleep(options.start_interval).await;
    }
    let health = Arc::new(Health::new());
    let pool = |lane| {
        let pool = match options.kind {
            ServerKind::MariaDb => mariadb::pool(options, lane, health.clone()),
            ServerKind::Postgres => postgres::pool(options, lane, health.clone()),
        };
        pool.map_err(|error| failed(options, error))
    };
    Ok(Pools {
        registry: pool(Lane::Registry)?,
        journal: pool(Lane::Journal)?,
        health,
    })
}

async fn try_out(options: &ServerOptions) -> Result<(), Error> {
    let tried = async {
        match options.kind {
            ServerKind::MariaDb => mariadb::try_out(options).await,
            ServerKind::Postgres => postgres::try_out(options).await,
        }
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, tried).await {
        Ok(outcome) => outcome,
        Err(late) => Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late))),
    }
}

/// Creates the error. sqlx's message never contains the address, and the server is named without user and password, so
/// no secret is shown.
fn failed(options: &ServerOptions, error: Error) -> StoreError {
    StoreError::Server {
        server: named(options),
        source: Box::new(error),
    }
}

/// Returns the server's name for people. If the address has a typing error, any part may have been parsed as any other,
/// even a password as part of a name. So parts that do not look like a name are omitted.
fn named(options: &ServerOptions) -> String {
    let (kind, place) = match options.kind {
        ServerKind::MariaDb => ("MariaDB", mariadb::place(options)),
        ServerKind::Postgres => ("PostgreSQL", postgres::place(options)),
    };
    let plain = |name: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !name.is_empty() && name.chars().all(is_plain)
    };
    match place {
        Some((place, Some(database))) if plain(&database) => {
            format!("{kind} at {place}, database {database}")
        }
        Some((place, None)) => format!("{kind} at {place}"),
        Some(_) | None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_older_than_a_doubt_are_given_up() {
        let health = Health::new();
        let second = Duration::from_secs(1);
        assert!(health.is_usable(second), "nothing has happened");
        tokio::time::advance(10 * second).await;
        health.record_failure();
        assert!(!health.is_usable(second), "opened before");
        assert!(!health.is_usable(Duration::ZERO), "opened at that very moment");
        tokio::time::advance(5 * second).await;
        assert!(!health.is_usable(6 * second), "still the old one");
        assert!(health.is_usable(2 * second), "opened since");
        health.record_failure();
        assert!(!health.is_usable(2 * second), "a second doubt");
    }
}
