//! The location of a test's database: a `SQLite` file, or a new database on a server.
//!
//! `TACHI_TEST_DATABASE` is `sqlite` (the default), `mysql` or `postgres`. `TACHI_TEST_MYSQL_URL` and
//! `TACHI_TEST_POSTGRES_URL` contain the credentials of administrators who may create databases. A migrated database is
//! a copy of one that the first test migrates: `PostgreSQL` can copy, and on `MariaDB` the tables are created in the
//! same form. The databases stay until the server is stopped, because dropping one takes longer than most tests.

use std::path::PathBuf;
use std::sync::Arc;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{ServerKind, ServerOptions, Store, StoreOptions};

pub(super) enum TestDatabase {
    File(TempDir),
    Server { server: Server, database: String },
}

/// A server for the tests.
#[derive(Clone)]
pub(super) struct Server {
    kind: ServerKind,
    admin: String,
}

impl TestDatabase {
    pub(super) fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    pub(super) async fn empty() -> Self {
        match Server::configured() {
            None => Self::file(),
            Some(server) => {
                let database = format!("t{}", Uuid::new_v4().simple());
                let admin = server.connect(None).await;
                run(&admin, &format!("CREATE DATABASE {database}")).await;
                admin.close().await.unwrap();
                Self::Server { server, database }
            }
        }
    }

    pub(super) async fn migrated() -> Self {
        match Server::configured() {
            None => Self::file(),
            Some(server) => {
                let template = server.template().await;
                let database = format!("t{}", Uuid::new_v4().simple());
                server.copy(&template, &database).await;
                Self::Server { server, database }
            }
        }
    }

    pub(super) fn options(&self) -> StoreOptions {
        match self {
            Self::File(folder) => StoreOptions::file(folder.path().join("tachi.sqlite")),
            Self::Server { server, database } => server.options(database),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::File(folder) => folder.path().join("tachi.sqlite"),
            Self::Server { .. } => panic!("not in a file: this test needs Bench::sqlite()"),
        }
    }
}

/// The password of users in test databases.
const PASSWORD: &str = "tachi";

impl TestDatabase {
    /// Creates a user without privileges, and returns the options of the database for that user; `None` for a file.
    pub(super) async fn new_user(&self) -> Option<(String, StoreOptions)> {
        let Self::Server { server, database } = self else {
            return None;
        };
        let user = format!("u{}", Uuid::new_v4().simple())
            .chars()
            .take(24)
            .collect::<String>();
        let admin = server.connect(None).await;
        let made = match server.kind {
            ServerKind::MariaDb => format!("CREATE USER `{user}`@`%` IDENTIFIED BY '{PASSWORD}'"),
            ServerKind::Postgres => format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"),
        };
        run(&admin, &made).await;
        admin.close().await.unwrap();
        let (scheme, rest) = server.admin.split_once("://").unwrap();
        let (_, rest) = rest.rsplit_once('@').unwrap();
        let (address, _) = rest.rsplit_once('/').unwrap();
        let url = format!("{scheme}://{user}:{PASSWORD}@{address}/{database}");
        Some((user, StoreOptions::server(ServerOptions::new(server.kind, url))))
    }

    /// Returns the name of the database; empty for a file.
    pub(super) fn database(&self) -> &str {
        match self {
            Self::File(_) => "",
            Self::Server { database, .. } => database,
        }
    }
}

impl Server {
    pub(super) fn configured() -> Option<Self> {
        let (kind, url) = match std::env::var("TACHI_TEST_DATABASE").as_deref() {
            Err(_) | Ok("" | "sqlite") => return None,
            Ok("mysql") => (ServerKind::MariaDb, "TACHI_TEST_MYSQL_URL"),
            Ok("postgres") => (ServerKind::Postgres, "TACHI_TEST_POSTGRES_URL"),
            Ok(other) => panic!("TACHI_TEST_DATABASE={other}: sqlite, mysql or postgres"),
        };
        let admin = std::env::var(url).unwrap_or_else(|_| panic!("{url} is not set"));
        Some(Self { kind, admin })
    }

    fn url(&self, database: &str) -> String {
        let (server, _) = self.admin.rsplit_once('/').unwrap();
        format!("{server}/{database}")
    }

    fn options(&self, database: &str) -> StoreOptions {
        StoreOptions::server(ServerOptions::new(self.kind, self.url(database)))
    }

    async fn connect(&self, database: Option<&str>) -> DatabaseConnection {
        let url = database.map_or_else(|| self.admin.clone(), |database| self.url(database));
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    /// Returns the name of a migrated database, which is created unless another test has created it. The server belongs
    /// to one run of the tests, so the database cannot have other migrations.
    async fn template(&self) -> String {
        let name = "template_of_tests".to_owned();
        let admin = self.connect(None).await;
        match self.kind {
            ServerKind::MariaDb => run(&admin, "DO GET_LOCK('template_of_tests', 300)").await,
            ServerKind::Postgres => run(&admin, "SELECT pg_advisory_lock(1)").await,
        }
        let known = match self.kind {
            ServerKind::MariaDb => "SELECT schema_name FROM information_schema.schemata",
            ServerKind::Postgres => "SELECT datname::text FROM pg_database",
        };
        if !texts(&admin, known, []).await.contains(&name) {
            // It has another name until it is complete, because a test may be killed half way.
            let raw = format!("t{}", Uuid::new_v4().simple());
            run(&admin, &format!("CREATE DATABASE {raw}")).await;
            let clock = Arc::new(tachi_testkit::ManualClock::at(
                tachi_domain::Timestamp::from_micros(super::START),
            ));
            let store = Store::connect(&self.options(&raw), clock).await.unwrap();
            store.migrate().await.unwrap();
            store.close().await.unwrap();
            match self.kind {
                ServerKind::MariaDb => {
                    run(&admin, &format!("CREATE DATABASE {name}")).await;
                    self.copy(&raw, &name).await;
                }
                ServerKind::Postgres => {
                    run(&admin, &format!("ALTER DATABASE {raw} RENAME TO {name}")).await;
                }
            }
        }
        admin.close().await.unwrap();
        name
    }

    async fn copy(&self, template: &str, database: &str) {
        let admin = self.connect(None).await;
        if self.kind == ServerKind::Postgres {
            run(&admin, &format!("CREATE DATABASE {database} TEMPLATE {template}")).await;
        } else {
            run(&admin, &format!("CREATE DATABASE IF NOT EXISTS {database}")).await;
            run(&admin, &format!("USE {database}")).await;
            run(&admin, "SET foreign_key_checks = 0").await;
            let known = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?";
            for table in texts(&admin, known, [template.into()]).await {
                let made = admin
                    .query_one_raw(Statement::from_string(
                        DbBackend::MySql,
                        format!("SHOW CREATE TABLE {template}.`{table}`"),
                    ))
                    .await
                    .unwrap()
                    .unwrap();
                run(&admin, &made.try_get_by_index::<String>(1).unwrap()).await;
            }
            let applied =
                format!("INSERT INTO {database}.tachi_migrations SELECT * FROM {template}.tachi_migrations");
            run(&admin, &applied).await;
        }
        admin.close().await.unwrap();
    }
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn texts(db: &DatabaseConnection, sql: &str, values: impl IntoIterator<Item = Value>) -> Vec<String> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
