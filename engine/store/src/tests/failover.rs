//! A server that is killed during a stream of notifications, and restarted.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use tachi_engine::ports::journal::WriteOutcome;
use tachi_engine::ports::{
    Clock as _, Hosts as _, Notifications as _, OperatorJournal as _, RegistryError, Reports as _,
    Segments as _,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::testing::{START, all, new_host, new_segment, stopped};
use crate::{ServerKind, ServerOptions, Store, StoreOptions};
use tachi_testkit::ManualClock;

/// Number of notifications, each of a different host.
const POSTS: usize = 400;

/// Number of concurrent requests.
const IN_FLIGHT: usize = 8;

/// Timeout of any step on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that only this test uses.
struct OwnServer {
    kind: ServerKind,
    serve: String,
    admin: String,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl OwnServer {
    /// Starts one if the test run uses a server of that kind; `None` on `SQLite`.
    fn make() -> Option<Self> {
        let (kind, serve, url) = match std::env::var("TACHI_TEST_DATABASE").as_deref() {
            Ok("mysql") => (
                ServerKind::MariaDb,
                "TACHI_TEST_MYSQL_SERVE",
                "TACHI_TEST_MYSQL_URL",
            ),
            Ok("postgres") => (
                ServerKind::Postgres,
                "TACHI_TEST_POSTGRES_SERVE",
                "TACHI_TEST_POSTGRES_URL",
            ),
            _ => return None,
        };
        let (serve, admin) = (std::env::var(serve).unwrap(), std::env::var(url).unwrap());
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = tachi_testkit::free_port();
        let made = Command::new(&serve)
            .arg("make")
            .arg(folder.path().join("data"))
            .status()
            .unwrap();
        assert!(made.success(), "{made}");
        let mut own = Self {
            kind,
            serve,
            admin,
            folder,
            port,
            child: None,
        };
        own.start();
        Some(own)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&mut self) {
        let child = Command::new(&self.serve)
            .arg("run")
            .arg(self.data())
            .arg(self.port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Restarts it until it stays up: right after a kill, the old process may still block it.
    async fn until_it_answers(&mut self, database: &str) {
        let began = Instant::now();
        loop {
            if let Ok(Some(_)) = self.child.as_mut().unwrap().try_wait() {
                self.start();
            }
            if sea_orm::Database::connect(self.url(database)).await.is_ok() {
                return;
            }
            assert!(began.elapsed() < LIMIT, "the server does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn url(&self, database: &str) -> String {
        let (credentials, _) = self.admin.split_once('@').unwrap();
        format!("{credentials}@127.0.0.1:{}/{database}", self.port)
    }

    async fn admin(&self) -> sea_orm::DatabaseConnection {
        let name = match self.kind {
            ServerKind::MariaDb => "mysql",
            ServerKind::Postgres => "postgres",
        };
        sea_orm::Database::connect(self.url(name)).await.unwrap()
    }

    fn options(&self) -> ServerOptions {
        ServerOptions {
            connections: 8,
            start_retries: Some(0),
            ..ServerOptions::new(self.kind, self.url("tachi"))
        }
    }

    async fn store(&self) -> Result<Store, crate::StoreError> {
        let clock = Arc::new(ManualClock::at(tachi_domain::Timestamp::from_micros(START)));
        Store::connect(&StoreOptions::server(self.options()), clock).await
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The result of a post.
#[derive(Debug, PartialEq)]
enum PostResult {
    Accepted,
    Unavailable,
}

/// Registers a host for each post.
async fn hosts(store: &Store) {
    let segment = store.registry().create_segment(&new_segment("s1")).await.unwrap();
    let mut creations = JoinSet::new();
    let segment = segment.id;
    for number in 0..POSTS {
        let (store, new) = (store.clone(), new_host(&format!("cmp{number}")));
        creations.spawn(async move { store.registry().create_host(segment, &new).await });
        if creations.len() >= IN_FLIGHT {
            creations.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    while let Some(created) = creations.join_next().await {
        created.unwrap().unwrap();
    }
}

/// A stream of posts, and the number that were accepted.
#[derive(Clone, Default)]
struct Stream {
    next: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Stream {
    async fn post(self, store: Store) -> BTreeMap<String, PostResult> {
        let mut post_results = BTreeMap::new();
        let at = ManualClock::at(tachi_domain::Timestamp::from_micros(START)).wall();
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= POSTS {
                return post_results;
            }
            let name = format!("cmp{number}");
            let outcome = match store
                .registry()
                .accept_notification(&stopped(&name, at), 180, at)
                .await
            {
                Ok(_) => {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                    PostResult::Accepted
                }
                Err(RegistryError::Unavailable { .. }) => PostResult::Unavailable,
                Err(error) => panic!("{name}: {error:?}"),
            };
            post_results.insert(name, outcome);
        }
    }

    /// Waits until this number was accepted, or all posts are done.
    async fn until(&self, accepted: usize) {
        let began = Instant::now();
        while self.accepted.load(Ordering::SeqCst) < accepted && self.next.load(Ordering::SeqCst) < POSTS {
            assert!(began.elapsed() < LIMIT, "no post goes through");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_killed_in_mid_stream_leaves_no_half_write_and_the_store_heals() {
    let Some(mut own) = OwnServer::make() else { return };
    let first = match own.kind {
        ServerKind::MariaDb => "mysql",
        ServerKind::Postgres => "postgres",
    };
    own.until_it_answers(first).await;
    let make = "CREATE DATABASE tachi";
    own.admin().await.execute_unprepared(make).await.unwrap();
    let store = own.store().await.unwrap();
    store.migrate().await.unwrap();
    hosts(&store).await;

    let stream = Stream::default();
    let mut posters = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        posters.spawn(stream.clone().post(store.clone()));
    }
    for kills in 1..=2 {
        stream.until(kills * POSTS / 4).await;
        own.kill();
        own.start();
        own.until_it_answers("tachi").await;
    }
    let mut post_results = BTreeMap::new();
    while let Some(poster) = posters.join_next().await {
        post_results.extend(poster.unwrap());
    }
    assert_eq!(post_results.len(), POSTS);

    // Read through the handle that was open during the restart.
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let recoveries = store.operator_journal().recoveries(true).await.unwrap();
    for recovery in &recoveries {
        *found.entry(recovery.host.clone()).or_default() += 1;
    }
    let listed = store.registry().list_notifications(&all()).await.unwrap();
    assert_eq!(listed.len(), recoveries.len(), "one without the other");
    for (name, outcome) in &post_results {
        let rows = found.get(name).copied().unwrap_or(0);
        match outcome {
            PostResult::Accepted => assert_eq!(rows, 1, "{name} was accepted"),
            PostResult::Unavailable => assert!(rows <= 1, "{name}: {rows}"),
        }
    }
    let unavailable = post_results
        .values()
        .filter(|post_results| **post_results == PostResult::Unavailable)
        .count();
    println!("{} accepted, {unavailable} unavailable", POSTS - unavailable);
    assert!(unavailable <= POSTS / 4, "{unavailable}");
    let claimed = store
        .journal()
        .claim_at(recoveries[0].id, 0, "engine")
        .await
        .unwrap()
        .unwrap();
    let beaten = store
        .journal()
        .beat_at(claimed.id, claimed.epoch, claimed.elapsed)
        .await
        .unwrap();
    assert!(matches!(beaten, WriteOutcome::Written(_)), "{beaten:?}");

    if own.kind == ServerKind::MariaDb {
        // The former primary accepts no writes any more.
        let admin = own.admin().await;
        admin
            .execute_unprepared("SET GLOBAL read_only = 1")
            .await
            .unwrap();
        assert!(own.store().await.is_err(), "a read-only server was taken");
        admin
            .execute_unprepared("SET GLOBAL read_only = 0")
            .await
            .unwrap();
        own.store().await.unwrap();
    }
}
