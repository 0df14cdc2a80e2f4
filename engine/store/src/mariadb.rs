//! The parts that only `MariaDB`, Galera and `MySQL` need: connection set-up, transient errors, and the precision of
//! times.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Executor as _, Row as _};
use sea_orm::{DatabaseConnection, SqlxMySqlConnector};
use secrecy::ExposeSecret as _;

use crate::ServerOptions;
use crate::failure_kind::FailureKind;
use crate::server::{Health, IDLE_TRANSACTION_TIMEOUT, LOCK_TIMEOUT, Lane};

fn address(options: &ServerOptions) -> Result<MySqlConnectOptions, Error> {
    let address: MySqlConnectOptions = options.url.expose_secret().parse()?;
    // All session settings are made in `set_up`.
    Ok(address
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .disable_statement_logging())
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
    set_up(&mut connection, options, Lane::Journal).await?;
    connection.close().await
}

/// Creates a pool that connects on demand.
pub(crate) fn pool(
    options: &ServerOptions,
    lane: Lane,
    health: Arc<Health>,
) -> Result<DatabaseConnection, Error> {
    let session = options.clone();
    let known = health.clone();
    let pool = MySqlPoolOptions::new()
        .max_connections(lane.connections(options))
        .min_connections(0)
        .acquire_timeout(lane.acquire_timeout(options))
        .max_lifetime(options.recycle)
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let options = session.clone();
            let health = known.clone();
            Box::pin(async move {
                let server = set_up(connection, &options, lane).await?;
                health.note_returning(returns_rows(&server));
                Ok(())
            })
        })
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
    Ok(SqlxMySqlConnector::from_sqlx_mysql_pool(pool))
}

/// Sets up a new connection and returns the server's version. Refuses a server that accepts no writes: after a failover
/// the old primary may still respond.
async fn set_up(
    connection: &mut MySqlConnection,
    options: &ServerOptions,
    lane: Lane,
) -> Result<String, Error> {
    let mode = options.sql_mode.replace(['\'', '\\'], "");
    let set = format!(
        "SET SESSION sql_mode = '{mode}', SESSION time_zone = '+00:00', SESSION innodb_lock_wait_timeout = {}",
        LOCK_TIMEOUT.as_secs(),
    );
    connection.execute(AssertSqlSafe(set)).await?;
    connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    // Galera's variable exists wherever Galera may be used, and has no effect without a cluster. MySQL has neither
    // variable.
    let there =
        "SHOW SESSION VARIABLES WHERE variable_name IN ('wsrep_sync_wait', 'idle_transaction_timeout')";
    for row in connection.fetch_all(there).await? {
        let name: String = row.try_get(0)?;
        let value = match (name.as_str(), lane) {
            ("idle_transaction_timeout", _) => IDLE_TRANSACTION_TIMEOUT.as_secs(),
            // Bit 1 makes reads and BEGIN wait for the commits of other nodes.
            (_, Lane::Registry) => options.wsrep_sync_wait.into(),
            (_, Lane::Journal) => (options.wsrep_sync_wait | 1).into(),
        };
        let set = format!("SET SESSION {name} = {value}");
        connection.execute(AssertSqlSafe(set)).await?;
    }
    let row = connection
        .fetch_one("SELECT CAST(@@global.read_only AS SIGNED), VERSION()")
        .await?;
    if row.try_get::<i64, _>(0)? != 0 {
        return Err(Error::Io(std::io::Error::other(
            "the server is read-only, so it is not the primary",
        )));
    }
    row.try_get(1)
}

/// True if a server of this version returns the rows of an INSERT: `MariaDB` does since 10.5, `MySQL` never does.
fn returns_rows(version: &str) -> bool {
    // Because of the replication protocol some versions start with 5.5.5-.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    version.contains("MariaDB") && (numbers.next(), numbers.next()) >= (Some(10), Some(5))
}

/// True if the error means that the user lacks a privilege on a table or a column.
pub(crate) fn is_denied(number: u16) -> bool {
    // ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR.
    matches!(number, 1142 | 1143)
}

/// Classifies an error number.
pub(crate) fn failure_kind(number: u16) -> FailureKind {
    match number {
        // Lock wait timeout, deadlock (also Galera's certification failure), and a row that has changed since the
        // snapshot.
        1205 | 1213 | 1020 => FailureKind::Contention,
        // Too many connections, shutdown, network, kill, WSREP not ready (1047), error during commit (1180: Galera lost
        // its quorum), and read-only: the server has become a replica.
        1040
        | 1047
        | 1053
        | 1077..=1080
        | 1152
        | 1158..=1161
        | 1180
        | 1184
        | 1203
        | 1290
        | 1317
        | 1792
        | 1836
        | 1927
        | 2006
        | 2013
        | 4031 => FailureKind::Lost,
        _ => FailureKind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mariadb_returns_inserted_rows() {
        let cases = [
            ("10.11.6-MariaDB-0+deb12u1", true),
            ("5.5.5-10.5.9-MariaDB-log", true),
            ("11.4.2-MariaDB", true),
            ("10.4.34-MariaDB", false),
            ("8.0.36", false),
            ("9.1.0-mysql", false),
            ("", false),
        ];
        for (version, expected) in cases {
            assert_eq!(returns_rows(version), expected, "{version:?}");
        }
    }

    #[test]
    fn error_numbers_are_classified() {
        let cases = [
            ("deadlock or certification failure", 1213, FailureKind::Contention),
            ("lock wait timeout", 1205, FailureKind::Contention),
            ("too many connections", 1040, FailureKind::Lost),
            ("shutting down", 1053, FailureKind::Lost),
            ("connection killed", 1927, FailureKind::Lost),
            ("read-only after a fail-over", 1290, FailureKind::Lost),
            ("not a member of the cluster", 1047, FailureKind::Lost),
            ("duplicate key", 1062, FailureKind::Permanent),
            ("no such table", 1146, FailureKind::Permanent),
            ("wrong password", 1045, FailureKind::Permanent),
        ];
        for (case, number, kind) in cases {
            assert_eq!(failure_kind(number), kind, "{case}");
        }
    }
}
