//! What `MariaDB` and `PostgreSQL` have in common: two pools of connections, and what is known of their health.
//!
//! The registry has a pool of many connections. The journal has a pool of one: its writes queue in the order they came,
//! no number of API requests keeps a beat waiting, and a new owner reads on the connection that committed its claim.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::Error;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::trouble::Trouble;
use crate::{ServerKind, ServerOptions, mariadb, postgres};

/// How long a statement waits for a lock that another transaction holds.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long the server lets a transaction wait for its next statement; then it rolls it back. Ours wait for nothing but the
/// server, so that the process behind this one was paused, and what it has locked keeps others from going on.
pub(crate) const IDLE_TRANSACTION: Duration = Duration::from_secs(5);

/// How long a statement may take; then its connection counts as lost. A server that is cut off from the network says
/// nothing, and TCP waits for a quarter of an hour.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// How long the journal waits for its connection: longer than that and its claims are lost anyway (R2).
const JOURNAL_WAIT: Duration = Duration::from_secs(5);

/// How long opening the first connection may take.
const FIRST: Duration = Duration::from_secs(5);

/// A connection that was idle for so long is asked whether it is still there before it is used.
const IDLE: Duration = Duration::from_secs(20);

/// Who a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The API and the operator.
    Registry,
    /// Claims, beats, commits.
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
            Self::Journal => options.pool_timeout.min(JOURNAL_WAIT),
        }
    }
}

/// Which connections may be used: none that is older than the newest sign that the server went away. Without this each
/// connection of a pool would fail one request after a fail-over.
#[derive(Debug)]
pub(crate) struct Health {
    began: Instant,
    /// Microseconds after `began`.
    doubted: AtomicU64,
    /// Whether the server answers an INSERT with the rows; known when the first connection was set up.
    returns_rows: AtomicBool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            doubted: AtomicU64::new(0),
            returns_rows: AtomicBool::new(false),
        }
    }

    /// Notes whether the server understands INSERT ... RETURNING.
    pub(crate) fn note_returning(&self, understood: bool) {
        self.returns_rows.store(understood, Ordering::Relaxed);
    }

    /// Whether the server understands INSERT ... RETURNING, as far as is known.
    pub(crate) fn returns_rows(&self) -> bool {
        self.returns_rows.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The server, or the way to it, has failed: every connection that is open now is given up.
    pub(crate) fn doubt(&self) {
        self.doubted.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Whether a connection of that age may be used.
    pub(crate) fn trusts(&self, age: Duration) -> bool {
        let doubted = self.doubted.load(Ordering::Relaxed);
        let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        doubted == 0 || self.now().saturating_sub(age) > doubted
    }

    /// Whether a connection that was idle for so long is asked whether it is still there.
    #[expect(
        clippy::unused_self,
        reason = "the one place that knows when a connection is to be trusted"
    )]
    pub(crate) fn asks_after(&self, idle: Duration) -> bool {
        idle >= IDLE
    }
}

/// The pools of a server.
pub(crate) struct Pools {
    pub(crate) registry: DatabaseConnection,
    pub(crate) journal: DatabaseConnection,
    pub(crate) health: Arc<Health>,
}

/// Tries the server out until it answers or the retries are used up, then makes the pools.
pub(crate) async fn open(options: &ServerOptions) -> Result<Pools, StoreError> {
    let mut tried = 0;
    while let Err(error) = try_out(options).await {
        let left = options.start_retries.is_none_or(|retries| tried < retries);
        if !left || Trouble::of_sqlx(&error) == Trouble::Lasting {
            return Err(failed(options, error));
        }
        tried += 1;
        tracing::warn!(
            server = named(options),
            %error,
            tried,
            "the database cannot be used yet; trying again in {} s",
            options.start_interval.as_secs()
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
    match tokio::time::timeout(FIRST, tried).await {
        Ok(outcome) => outcome,
        Err(late) => Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late))),
    }
}

/// What sqlx says of an address never holds the address, and the server is named without user and password: no secret gets
/// out this way.
fn failed(options: &ServerOptions, error: Error) -> StoreError {
    StoreError::Server {
        server: named(options),
        source: Box::new(error),
    }
}

/// Which server it is, for people. Of an address with a slip in it anything may have been read as anything, a password as
/// part of a name too: what does not look like a name is left out.
fn named(options: &ServerOptions) -> String {
    let (kind, place) = match options.kind {
        ServerKind::MariaDb => ("MariaDB", mariadb::place(options)),
        ServerKind::Postgres => ("PostgreSQL", postgres::place(options)),
    };
    let plain = |word: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !word.is_empty() && word.chars().all(is_plain)
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
        assert!(health.trusts(second), "nothing has happened");
        tokio::time::advance(10 * second).await;
        health.doubt();
        assert!(!health.trusts(second), "opened before");
        assert!(!health.trusts(Duration::ZERO), "opened at that very moment");
        tokio::time::advance(5 * second).await;
        assert!(!health.trusts(6 * second), "still the old one");
        assert!(health.trusts(2 * second), "opened since");
        health.doubt();
        assert!(!health.trusts(2 * second), "a second doubt");
    }
}
