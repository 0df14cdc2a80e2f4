//! A separate database for each test, on every available kind: `SQLite` always, the others if the test run has
//! started a server (`TACHI_TEST_MYSQL_URL`, `TACHI_TEST_POSTGRES_URL`).

use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend,
};
use tempfile::TempDir;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A location for one database.
pub(crate) struct Bench {
    pub(crate) backend: DbBackend,
    url: String,
    server: Option<(String, String)>,
    _folder: Option<TempDir>,
}

/// Returns an empty database on every available server.
pub(crate) async fn benches() -> Vec<Bench> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.sqlite");
    let mut benches = vec![Bench {
        backend: DbBackend::Sqlite,
        url: format!("sqlite://{}?mode=rwc", file.display()),
        server: None,
        _folder: Some(folder),
    }];
    for (backend, variable) in [
        (DbBackend::MySql, "TACHI_TEST_MYSQL_URL"),
        (DbBackend::Postgres, "TACHI_TEST_POSTGRES_URL"),
    ] {
        if let Ok(server) = std::env::var(variable) {
            benches.push(on_server(backend, server).await);
        }
    }
    benches
}

async fn on_server(backend: DbBackend, server: String) -> Bench {
    let name = format!(
        "tachi_migrations_{}_{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    let db = Database::connect(&server).await.unwrap();
    db.execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    db.close().await.unwrap();
    let (scheme, rest) = server.split_once("://").unwrap();
    let rest = rest.split('?').next().unwrap();
    let authority = rest.split('/').next().unwrap();
    Bench {
        backend,
        url: format!("{scheme}://{authority}/{name}"),
        server: Some((server, name)),
        _folder: None,
    }
}

impl Bench {
    /// Connects like another process.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(2);
        Database::connect(options).await.unwrap()
    }

    /// Drops and creates the database.
    pub(crate) async fn empty(&self) {
        if let Some((server, name)) = &self.server {
            let db = Database::connect(server).await.unwrap();
            for sql in [format!("DROP DATABASE {name}"), format!("CREATE DATABASE {name}")] {
                db.execute_unprepared(&sql).await.unwrap();
            }
            db.close().await.unwrap();
        } else {
            let file = self
                .url
                .trim_start_matches("sqlite://")
                .split('?')
                .next()
                .unwrap();
            std::fs::remove_file(file).unwrap();
        }
    }

    /// Drops the database on the server.
    pub(crate) async fn remove(self) {
        if let Some((server, name)) = &self.server {
            let db = Database::connect(server).await.unwrap();
            db.execute_unprepared(&format!("DROP DATABASE {name}"))
                .await
                .unwrap();
            db.close().await.unwrap();
        }
    }
}
