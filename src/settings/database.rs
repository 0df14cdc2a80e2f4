//! `[database]`: the database, and the use of its server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tachi_config::{Backend, DatabaseUrl, MasakariSeconds, Reader, Refusal, database_url};
use tachi_store::{ServerKind, ServerOptions, StoreOptions};

/// Minimum time to wait for a connection, and to keep one.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Ten years: longer than any process runs.
const NEVER: Duration = Duration::from_secs(315_360_000);

/// The location of the database. `Display` shows no password.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    options: StoreOptions,
    shown: String,
}

impl Database {
    /// Returns the database in a `SQLite` file.
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            options: StoreOptions::file(path),
            shown: path.display().to_string(),
        }
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Returns the options, without retries if the server does not answer the first time.
    pub(crate) fn once(&self) -> StoreOptions {
        let mut options = self.options.clone();
        if let Some(server) = &mut options.server {
            server.start_retries = Some(0);
        }
        options
    }

    /// Returns the file, if it is `SQLite`.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.options.path.as_deref()
    }

    /// True if there is something to connect to; for a server only connecting can show that.
    pub(crate) fn exists(&self) -> bool {
        self.path().is_none_or(Path::exists)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Reads `[database]`.
pub(super) fn database(r: &mut Reader<'_>, state_path: &Path) -> Database {
    let url = r
        .parsed("database", "connection", usable, ToString::to_string)
        .secret()
        .harmless_if(DatabaseUrl::is_without_password)
        .unit("URL").help("the database, as mysql+pymysql://user:password@host/masakari, postgresql://... or sqlite:////path; unless set \
            tachi.sqlite in `state_path`").optional();
    let size = r
        .int("database", "max_pool_size")
        .default(10)
        .at_least(0)
        .unit("connections")
        .help("maximum number of connections of a process")
        .get();
    let overflow: i64 = r
        .int("database", "max_overflow")
        .default(10)
        .range(-1..=i64::from(u32::MAX))
        .unit("connections")
        .help("maximum number of additional connections under load. -1: the default, because there is always a limit")
        .get();
    let pool_timeout = MasakariSeconds {
        section: "database",
        option: "pool_timeout",
        help: "timeout for a free connection, at least 1 s",
        instead: "the timeout for a free connection is at least 1 s",
    }
    .read(r, Duration::from_secs(10))
    .unwrap_or_default()
    .max(MIN_TIMEOUT);
    let recycle: f64 = r
        .number("database", "connection_recycle_time")
        .default(3600.0)
        .unit("seconds")
        .help("age at which a connection is replaced, at least 1 s. -1: never")
        .get();
    let recycle = if recycle < 0.0 {
        NEVER
    } else {
        Duration::try_from_secs_f64(recycle).map_or(NEVER, |span| span.clamp(MIN_TIMEOUT, NEVER))
    };
    let retries: i64 = r
        .int("database", "max_retries")
        .default(10)
        .range(-1..=i64::from(u32::MAX))
        .unit("times")
        .help("number of retries at the start if the server does not answer; -1: no limit")
        .get();
    let interval = r
        .seconds("database", "retry_interval")
        .default(Duration::from_secs(10))
        .help("pause between these retries")
        .get();
    let sql_mode = r
        .string("database", "mysql_sql_mode")
        .default("TRADITIONAL".to_owned())
        .help("SQL mode of MariaDB sessions")
        .get();
    let sync_wait = r
        .int("database", "mysql_wsrep_sync_wait")
        .default(1)
        .range(0..=15)
        .unit("number")
        .help("`wsrep_sync_wait` of sessions on a Galera node, as a bit mask")
        .get();
    let kind = match &url {
        None => return Database::file(&state_path.join("tachi.sqlite")),
        Some(url) => match (url.backend, &url.path) {
            (Backend::Sqlite, path) => {
                return Database::file(path.as_deref().unwrap_or(&state_path.join("tachi.sqlite")));
            }
            (Backend::MySql, _) => ServerKind::MariaDb,
            (Backend::Postgres, _) => ServerKind::Postgres,
        },
    };
    let (address, shown) = url
        .map(|url| (url.url.expose_secret().to_owned(), url.to_string()))
        .unwrap_or_default();
    let mut server = ServerOptions::new(kind, address);
    server.connections = pool_of(size, overflow);
    server.pool_timeout = pool_timeout;
    server.recycle = recycle;
    // -1 is no limit, as in oslo.db.
    server.start_retries = u32::try_from(retries).ok();
    server.start_interval = interval;
    server.sql_mode = sql_mode;
    server.wsrep_sync_wait = sync_wait;
    Database {
        options: StoreOptions::server(server),
        shown,
    }
}

/// Returns the size of the pool. `oslo.db` distinguishes connections that stay open from those that are closed after each use; ours
/// are closed when they are idle for a while. In oslo.db size 0 is no limit; here it is the default.
fn pool_of(size: u32, overflow: i64) -> u32 {
    let size = if size == 0 { 10 } else { size };
    size.saturating_add(u32::try_from(overflow).unwrap_or(10))
}

fn usable(text: &str) -> Result<DatabaseUrl, Refusal> {
    let url = database_url(text).map_err(|error| Refusal::new(error.to_string(), "correct the URL"))?;
    if url.backend == Backend::Sqlite && url.path.is_none() {
        return Err(Refusal::new(
            "names a database in memory",
            "name a file, such as sqlite:////var/lib/tachi/tachi.sqlite",
        ));
    }
    Ok(url)
}

/// Returns the folder of a `SQLite` file, which must exist before the file can be created.
pub(crate) fn folder(database: &Database) -> Option<PathBuf> {
    database.path().and_then(Path::parent).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use tachi_config::ConfigErrors;

    use crate::settings::Settings;

    fn read(text: &str) -> Result<Settings, ConfigErrors> {
        Settings::parse("test.conf", &format!("[database]\n{text}"))
    }

    #[test]
    fn the_connection_decides_which_database_it_is() {
        use tachi_store::ServerKind::{MariaDb, Postgres};
        let cases = [
            ("nothing", "", None, "tachi.sqlite"),
            (
                "a file",
                "connection = sqlite:////tmp/a.sqlite",
                None,
                "/tmp/a.sqlite",
            ),
            (
                "as masakari.conf has it",
                "connection = mysql+pymysql://masakari:geheim@10.0.0.1/masakari?charset=utf8",
                Some(MariaDb),
                "mysql://masakari:***@10.0.0.1/masakari",
            ),
            (
                "postgresql",
                "connection = postgresql+psycopg2://masakari:geheim@db/masakari",
                Some(Postgres),
                "postgres://masakari:***@db/masakari",
            ),
        ];
        for (case, text, kind, shown) in cases {
            let database = read(text).unwrap().database;
            let server = database.options().server.as_ref();
            assert_eq!(server.map(|server| server.kind), kind, "{case}");
            let text = database.to_string();
            assert!(text.ends_with(shown), "{case}: {text}");
            assert!(!format!("{database:?}").contains("geheim"), "{case}");
        }
    }

    #[test]
    fn oslos_options_are_read() {
        let text = "connection = mysql://u:p@h/d\nmax_pool_size = 3\nmax_overflow = 4\npool_timeout = 7\n\
                    connection_recycle_time = 280\nmax_retries = -1\nretry_interval = 2\n\
                    mysql_sql_mode = STRICT_ALL_TABLES\nmysql_wsrep_sync_wait = 7\n";
        let database = read(text).unwrap().database;
        let server = database.options().server.clone().unwrap();
        assert_eq!(server.connections, 7);
        assert_eq!(server.pool_timeout.as_secs(), 7);
        assert_eq!(server.recycle.as_secs(), 280);
        assert_eq!(server.start_retries, None);
        assert_eq!(server.start_interval.as_secs(), 2);
        assert_eq!(server.sql_mode, "STRICT_ALL_TABLES");
        assert_eq!(server.wsrep_sync_wait, 7);
    }

    #[test]
    fn wrong_ones_are_refused_without_their_password() {
        let cases = [
            ("memory", "connection = sqlite://"),
            ("another database", "connection = oracle://u:geheim@h/d"),
            ("no database", "connection = mysql://u:geheim@h"),
            ("no number", "max_pool_size = many"),
            ("retries", "max_retries = -2"),
        ];
        for (case, text) in cases {
            let Err(errors) = read(text) else {
                panic!("{case} was let through");
            };
            assert!(!errors.to_string().contains("geheim"), "{case}: {errors}");
        }
    }
}
