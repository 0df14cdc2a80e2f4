//! Behaviour of servers only. The tests pass trivially on `SQLite`; the part `databases` of `tests/run` runs them on
//! servers.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use secrecy::ExposeSecret as _;
use tachi_engine::ports::{RegistryError, Segments as _};
use tokio::sync::oneshot;

use crate::error::Stop;
use crate::testing::{Bench, all, new_segment};
use crate::transaction::{Transaction, Tx, TxOutcome, roll_back};
use crate::{ServerKind, ServerOptions, Store, StoreError, StoreOptions};
use tachi_testkit::ManualClock;

/// Returns a test database with its server; `None` on `SQLite`.
async fn on_a_server() -> Option<(Bench, ServerOptions)> {
    let bench = Bench::new().await;
    let server = bench.options().server?;
    Some((bench, server))
}

async fn connect(bench: &Bench, server: ServerOptions) -> Result<Store, StoreError> {
    let clock = Arc::<ManualClock>::clone(&bench.clock);
    Store::connect(&StoreOptions::server(server), clock).await
}

fn with_query(server: &ServerOptions, query: &str) -> ServerOptions {
    let url = format!("{}?{query}", server.url.expose_secret());
    ServerOptions {
        start_retries: Some(0),
        ..ServerOptions::new(server.kind, url)
    }
}

async fn text(store: &Store, sql: &str) -> String {
    let backend = store.db.reader().get_database_backend();
    let row = store
        .db
        .reader()
        .query_one_raw(Statement::from_string(backend, sql))
        .await
        .unwrap()
        .unwrap();
    row.try_get_by_index(0).unwrap()
}

/// Renders an error with all its causes.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        chain = format!("{chain}: {error}");
        below = error.source();
    }
    chain
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_that_a_private_authority_vouches_for_and_no_other() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let folder = std::env::var("TACHI_TEST_TLS").unwrap();
    let (strict, own, query) = match server.kind {
        ServerKind::MariaDb => (
            "ssl-mode=VERIFY_IDENTITY&ssl-ca",
            "ssl-cert={f}/client.pem&ssl-key={f}/client.key",
            "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'ssl_cipher'",
        ),
        ServerKind::Postgres => (
            "sslmode=verify-full&sslrootcert",
            "sslcert={f}/client.pem&sslkey={f}/client.key",
            "SELECT COALESCE(cipher, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ),
    };
    let own = own.replace("{f}", &folder);
    for (case, more) in [
        ("by its authority", String::new()),
        ("with a certificate of ours", format!("&{own}")),
    ] {
        let options = with_query(&server, &format!("{strict}={folder}/ca.pem{more}"));
        let store = connect(&bench, options)
            .await
            .unwrap_or_else(|error| panic!("{case}: {}", error_chain(&error)));
        assert_ne!(text(&store, query).await, "", "{case}: not encrypted");
        store.registry().list_segments(&all()).await.unwrap();
        store.close().await.unwrap();
    }
    let options = with_query(&server, &format!("{strict}={folder}/other-ca.pem"));
    let error = connect(&bench, options).await.unwrap_err();
    let chain = error_chain(&error).to_lowercase();
    assert!(chain.contains("tls") || chain.contains("certificate"), "{chain}");
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let url = server.url.expose_secret().to_owned();
    let (credentials, place) = url.split_once('@').unwrap();
    let (_, password) = credentials.rsplit_once(':').unwrap();
    let wrong = url.replace(password, "geheim");
    let nowhere = format!("{credentials}@127.0.0.1:1/{}", place.rsplit_once('/').unwrap().1);
    let cases = [
        ("wrong password", wrong, "geheim"),
        ("no server", nowhere, password),
        ("no database", format!("{url}_not"), password),
        ("no URL", url.replace("://", ":/"), password),
    ];
    for (case, url, secret) in cases {
        let options = ServerOptions {
            start_retries: Some(0),
            ..ServerOptions::new(server.kind, url)
        };
        let error = connect(&bench, options).await.unwrap_err();
        let chain = format!("{} {error:?}", error_chain(&error));
        assert!(!chain.contains(secret), "{case}: {chain}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_tried_again() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let url = format!(
        "{}://u:p@127.0.0.1:1/d",
        server.url.expose_secret().split_once(':').unwrap().0
    );
    let options = ServerOptions {
        start_retries: Some(2),
        start_interval: Duration::from_millis(50),
        ..ServerOptions::new(server.kind, url)
    };
    let began = std::time::Instant::now();
    let error = connect(&bench, options).await.unwrap_err();
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
    let kind = match server.kind {
        ServerKind::MariaDb => "MariaDB",
        ServerKind::Postgres => "PostgreSQL",
    };
    assert_eq!(
        error.to_string(),
        format!("connecting to {kind} at 127.0.0.1:1, database d")
    );
}

#[tokio::test]
async fn sessions_are_set_up_as_they_must_be() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let cases: &[(&str, &str)] = match server.kind {
        ServerKind::MariaDb => &[
            ("SELECT @@session.time_zone", "+00:00"),
            ("SELECT @@session.tx_isolation", "READ-COMMITTED"),
            ("SELECT CAST(@@session.innodb_lock_wait_timeout AS CHAR)", "5"),
            ("SELECT CAST(@@session.wsrep_sync_wait AS CHAR)", "1"),
            ("SELECT CAST(@@session.idle_transaction_timeout AS CHAR)", "5"),
            (
                "SELECT IF(@@session.sql_mode LIKE '%STRICT_ALL_TABLES%', 'strict', @@sql_mode)",
                "strict",
            ),
        ],
        ServerKind::Postgres => &[
            ("SHOW TimeZone", "UTC"),
            ("SHOW transaction_isolation", "read committed"),
            ("SHOW lock_timeout", "5s"),
            ("SHOW idle_in_transaction_session_timeout", "5s"),
        ],
    };
    for (sql, value) in cases {
        assert_eq!(text(&bench.store, sql).await, *value, "{sql}");
    }
}

/// Covers R33.
#[tokio::test]
async fn a_read_that_decides_waits_for_other_nodes_commits_whatever_the_option_is() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    if server.kind == ServerKind::Postgres {
        return;
    }
    let options = ServerOptions {
        wsrep_sync_wait: 0,
        ..server
    };
    let store = connect(&bench, options).await.unwrap();
    let sql = "SELECT CAST(@@session.wsrep_sync_wait AS CHAR)";
    assert_eq!(text(&store, sql).await, "0", "registry");
    let snapshot = store.db.snapshot().await.unwrap();
    let statement = Statement::from_string(DbBackend::MySql, sql);
    let row = snapshot.query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "1", "journal");
    roll_back(snapshot).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_standby_is_refused() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    if server.kind == ServerKind::MariaDb {
        // On that database only a whole server can be read-only: the `failover` test covers it.
        return;
    }
    let name = text(&bench.store, "SELECT current_database()::text").await;
    let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    bench.store.db.writer().execute_unprepared(&alter).await.unwrap();
    let options = ServerOptions {
        start_retries: Some(0),
        ..server
    };
    let error = connect(&bench, options).await.unwrap_err();
    assert!(
        error_chain(&error).contains("read-only"),
        "{}",
        error_chain(&error)
    );
}

/// Holds its connection until it is released.
struct Hold {
    sender: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    go: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Transaction for Hold {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        tx.execute_unprepared("SELECT 1").await?;
        if let Some(sender) = self.sender.lock().unwrap().take() {
            sender.send(()).unwrap();
        }
        self.go.notified().await;
        Ok(TxOutcome::Undo(()))
    }
}

#[tokio::test]
async fn a_pool_that_is_used_up_makes_a_request_unavailable_and_leaves_the_journal_alone() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let options = ServerOptions {
        connections: 1,
        pool_timeout: Duration::from_secs(1),
        ..server
    };
    let store = connect(&bench, options).await.unwrap();
    roll_back(store.db.snapshot().await.unwrap()).await;
    let (sender, begun) = oneshot::channel();
    let hold = Hold {
        sender: std::sync::Mutex::new(Some(sender)),
        go: tokio::sync::Notify::new(),
    };
    let others = async {
        begun.await.unwrap();
        let read = store.registry().list_segments(&all()).await.unwrap_err();
        let written = store
            .registry()
            .create_segment(&new_segment("s1"))
            .await
            .unwrap_err();
        let snapshot = store.db.snapshot().await;
        hold.go.notify_one();
        (read, written, snapshot.is_ok())
    };
    let (done, (read, written, journal)) = tokio::join!(store.db.write(&hold), others);
    done.unwrap();
    for error in [read, written] {
        assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    }
    assert!(journal, "the journal has a connection of its own");
    assert_eq!(store.registry().list_segments(&all()).await.unwrap(), []);
}

/// Locks a host and then hangs, like a stopped process.
struct Freeze {
    uuid: String,
    taken: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Transaction for Freeze {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        crate::lock::take(tx, [self.uuid.clone()]).await?;
        self.taken.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_locks_of_a_stopped_process_are_released() {
    let Some((bench, _)) = on_a_server().await else {
        return;
    };
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let other = bench.another().await;
    let frozen = Freeze {
        uuid: host.id.to_string(),
        taken: tokio::sync::Notify::new(),
    };
    let accepting = async {
        frozen.taken.notified().await;
        bench.stopped(&host).await
    };
    let limit = Duration::from_secs(30);
    tokio::select! {
        outcome = other.db.write(&frozen) => panic!("{outcome:?}"),
        accepted = tokio::time::timeout(limit, accepting) => {
            assert_eq!(accepted.unwrap().source_host, host.id);
        }
    }
}

/// Kills the connections of a store, as a server does at its shutdown.
#[tokio::test]
async fn connections_that_were_cut_fail_no_request() {
    let Some((bench, server)) = on_a_server().await else {
        return;
    };
    let segment = bench.segment("s1").await;
    let store = bench.another().await;
    // Opens as many connections as the pool allows.
    let reads = (0..8).map(|_| store.registry().get_segment(segment.id));
    for read in futures_join(reads).await {
        read.unwrap();
    }
    let mut own = sea_orm::ConnectOptions::new(server.url.expose_secret());
    own.max_connections(1).sqlx_logging(false);
    let own = sea_orm::Database::connect(own).await.unwrap();
    let kill: Vec<String> = match server.kind {
        ServerKind::MariaDb => {
            let sql = "SELECT CAST(id AS CHAR) FROM information_schema.processlist \
                       WHERE db = DATABASE() AND id <> CONNECTION_ID()";
            let rows = own
                .query_all_raw(Statement::from_string(DbBackend::MySql, sql))
                .await
                .unwrap();
            rows.iter()
                .map(|row| format!("KILL {}", row.try_get_by_index::<String>(0).unwrap()))
                .collect()
        }
        ServerKind::Postgres => vec![
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
                .to_owned(),
        ],
    };
    assert!(!kill.is_empty());
    for sql in kill {
        own.execute_unprepared(&sql).await.unwrap();
    }
    assert_eq!(
        store.registry().get_segment(segment.id).await.unwrap(),
        Some(segment)
    );
    store.registry().create_segment(&new_segment("s2")).await.unwrap();
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        pending.retain_mut(|read| match read.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}
