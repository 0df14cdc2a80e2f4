//! The parts that only `PostgreSQL` needs: connection set-up and transient errors.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Executor as _, Row as _};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use secrecy::ExposeSecret as _;

use crate::ServerOptions;
use crate::failure_kind::FailureKind;
use crate::server::{Health, IDLE_TRANSACTION_TIMEOUT, LOCK_TIMEOUT, Lane};

fn address(options: &ServerOptions) -> Result<PgConnectOptions, Error> {
    let address: PgConnectOptions = options.url.expose_secret().parse()?;
    Ok(address.disable_statement_logging())
}

/// Returns the server's address and the database's name; `None` if the address cannot be parsed.
pub(crate) fn place(options: &ServerOptions) -> Option<(String, Option<String>)> {
    let address = address(options).ok()?;
    let place = match address.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", address.get_host(), address.get_port()),
    };
    Some((place, address.get_database().map(str::to_owned)))
}

/// Connects once, so that errors are reported at start-up.
pub(crate) async fn try_out(options: &ServerOptions) -> Result<(), Error> {
    let mut connection = address(options)?.connect().await?;
    set_up(&mut connection).await?;
    connection.close().await
}

/// Creates a pool that connects on demand.
pub(crate) fn pool(
    options: &ServerOptions,
    lane: Lane,
    health: Arc<Health>,
) -> Result<DatabaseConnection, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(lane.connections(options))
        .min_connections(0)
        .acquire_timeout(lane.acquire_timeout(options))
        .max_lifetime(options.recycle)
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(set_up(connection)))
        .before_acquire(move |connection, about| {
            let health = health.clone();
            Box::pin(async move {
                if !health.is_usable(about.age) {
                    return Ok(false);
                }
                if health.needs_test(about.idle_for) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(address(options)?);
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// Sets up a new connection. Refuses a standby, as `target_session_attrs=read-write` does. Uses statements, because
/// poolers in between refuse parameters at start-up.
async fn set_up(connection: &mut PgConnection) -> Result<(), Error> {
    let set = format!(
        "SET TIME ZONE 'UTC'; SET default_transaction_isolation = 'read committed'; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}",
        LOCK_TIMEOUT.as_millis(),
        IDLE_TRANSACTION_TIMEOUT.as_millis(),
    );
    connection.execute(AssertSqlSafe(set)).await?;
    let row = connection.fetch_one("SHOW transaction_read_only").await?;
    if row.try_get::<String, _>(0)? != "off" {
        return Err(Error::Io(std::io::Error::other(
            "the server is read-only, so it is not the primary",
        )));
    }
    Ok(())
}

/// True if the error means that the user lacks a privilege.
pub(crate) fn is_denied(code: &str) -> bool {
    // insufficient_privilege
    code == "42501"
}

/// Classifies an SQLSTATE.
pub(crate) fn failure_kind(code: &str) -> FailureKind {
    match code {
        // Serialization failure, deadlock, lock timeout.
        "40001" | "40P01" | "55P03" => FailureKind::Contention,
        // Shutdown, crash, start-up, too many connections, cancellation, and read-only: the server has become a
        // standby. Class 08 means a lost connection.
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "53300" | "25006" => FailureKind::Lost,
        code if code.starts_with("08") => FailureKind::Lost,
        _ => FailureKind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_classified() {
        let cases = [
            ("serialisation failure", "40001", FailureKind::Contention),
            ("deadlock", "40P01", FailureKind::Contention),
            ("lock timeout", "55P03", FailureKind::Contention),
            ("shut down by its administrator", "57P01", FailureKind::Lost),
            ("starting up", "57P03", FailureKind::Lost),
            ("a standby", "25006", FailureKind::Lost),
            ("connection failure", "08006", FailureKind::Lost),
            ("unique violation", "23505", FailureKind::Permanent),
            ("undefined table", "42P01", FailureKind::Permanent),
            ("wrong password", "28P01", FailureKind::Permanent),
        ];
        for (case, code, kind) in cases {
            assert_eq!(failure_kind(code), kind, "{case}");
        }
    }
}
