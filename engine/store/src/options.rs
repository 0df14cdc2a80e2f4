//! Where the database is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::StoreError;

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The `SQLite` file; `None` for a server, and for a database in memory, which is gone with its `Store`.
    pub path: Option<PathBuf>,
    /// How many connections read beside the one that writes, of a `SQLite` file.
    pub readers: u32,
    /// How long one statement waits for another process that is writing to the `SQLite` file.
    pub busy_timeout: Duration,
    /// The server; `None` for `SQLite`.
    pub server: Option<ServerOptions>,
}

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// `MariaDB`, alone or as a Galera cluster, and `MySQL`.
    MariaDb,
    /// `PostgreSQL`.
    Postgres,
}

/// A server and how it is used. The names are those of `oslo.db`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Which it is.
    pub kind: ServerKind,
    /// Its address with user, password, database and parameters, as sqlx takes it.
    pub url: SecretString,
    /// How many connections are open at the same time at most, not counting the one of the journal.
    pub connections: u32,
    /// How long to wait for a connection: while all are in use, and while the server cannot be reached.
    pub pool_timeout: Duration,
    /// After how long a connection is replaced by a new one.
    pub recycle: Duration,
    /// How often a server that cannot be reached is tried again when a process starts; `None` for ever.
    pub start_retries: Option<u32>,
    /// How long to wait before each of these.
    pub start_interval: Duration,
    /// `MariaDB`'s `sql_mode`.
    pub sql_mode: String,
    /// Galera's `wsrep_sync_wait`. The journal's reads are causal whatever this says.
    pub wsrep_sync_wait: u32,
}

impl ServerOptions {
    /// A server with `oslo.db`'s defaults, as far as they make sense here.
    pub fn new(kind: ServerKind, url: impl Into<SecretString>) -> Self {
        Self {
            kind,
            url: url.into(),
            connections: 20,
            pool_timeout: Duration::from_secs(10),
            recycle: Duration::from_secs(3600),
            start_retries: Some(10),
            start_interval: Duration::from_secs(10),
            sql_mode: "TRADITIONAL".to_owned(),
            wsrep_sync_wait: 1,
        }
    }
}

impl StoreOptions {
    /// A database in a file, which is made if it is missing.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            server: None,
        }
    }

    /// A database in memory. All reads and writes share one connection.
    pub fn memory() -> Self {
        Self {
            path: None,
            ..Self::file("")
        }
    }

    /// A database on a server.
    pub fn server(server: ServerOptions) -> Self {
        Self {
            server: Some(server),
            ..Self::memory()
        }
    }

    /// From a URL: `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite://` for a database in memory, and
    /// `mysql://` or `postgresql://` as sqlx takes them. A driver behind a plus sign is ignored.
    ///
    /// # Errors
    ///
    /// `Url` if it is another database's, or a `SQLite` URL that names a host.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let wrong = |reason| StoreError::Url {
            url: without_password(url),
            reason,
        };
        let (scheme, rest) = url.split_once(':').ok_or_else(|| wrong("has no scheme"))?;
        let dialect = scheme.split('+').next().unwrap_or(scheme);
        let server = |kind, scheme| {
            let url = format!("{scheme}:{rest}");
            Ok(Self::server(ServerOptions::new(kind, url)))
        };
        match dialect {
            "sqlite" => {}
            "mysql" | "mariadb" => return server(ServerKind::MariaDb, "mysql"),
            "postgres" | "postgresql" => return server(ServerKind::Postgres, "postgres"),
            _ => return Err(wrong("is neither of sqlite nor of mysql nor of postgresql")),
        }
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| wrong("must begin with sqlite://"))?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Ok(Self::memory()),
            None => Err(wrong("must not name a host; a path begins with a third slash")),
            Some("" | ":memory:") => Ok(Self::memory()),
            Some(path) => Ok(Self::file(path.split('?').next().unwrap_or(path))),
        }
    }
}

/// Hides what stands between the colon and the at sign of `user:password@host`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or(user);
            format!("{scheme}://{user}:***@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn urls_name_a_file_or_memory() {
        let cases = [
            (
                "absolute",
                "sqlite:////var/lib/tachi/tachi.sqlite",
                Some("/var/lib/tachi/tachi.sqlite"),
            ),
            ("relative", "sqlite:///tachi.sqlite", Some("tachi.sqlite")),
            ("with driver", "sqlite+pysqlite:////tmp/a.db", Some("/tmp/a.db")),
            ("with a query", "sqlite:////tmp/a.db?timeout=3", Some("/tmp/a.db")),
            ("memory", "sqlite://", None),
            ("memory by name", "sqlite:///:memory:", None),
        ];
        for (case, url, path) in cases {
            let options = StoreOptions::from_url(url).unwrap();
            assert_eq!(options.path, path.map(PathBuf::from), "{case}");
            assert!(options.server.is_none(), "{case}");
        }
    }

    #[test]
    fn urls_name_a_server_and_their_password_is_not_shown() {
        let cases = [
            (
                "mariadb",
                "mysql+pymysql://masakari:geheim@db/masakari",
                ServerKind::MariaDb,
                "mysql://masakari:geheim@db/masakari",
            ),
            (
                "postgresql",
                "postgresql://masakari:geheim@db/masakari?sslmode=require",
                ServerKind::Postgres,
                "postgres://masakari:geheim@db/masakari?sslmode=require",
            ),
        ];
        for (case, url, kind, plain) in cases {
            let options = StoreOptions::from_url(url).unwrap();
            assert!(!format!("{options:?}").contains("geheim"), "{case}");
            let server = options.server.unwrap();
            assert_eq!(server.kind, kind, "{case}");
            assert_eq!(server.url.expose_secret(), plain, "{case}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_showing_their_password() {
        let cases = [
            ("another database", "oracle://masakari:geheim@db/masakari"),
            ("a host", "sqlite://host/geheimlos"),
            ("no scheme", "tachi.sqlite"),
            ("one slash", "sqlite:/tmp/a.db"),
        ];
        for (case, url) in cases {
            let error = StoreOptions::from_url(url).unwrap_err();
            assert!(matches!(error, StoreError::Url { .. }), "{case}");
            assert!(!error.to_string().contains("geheim@"), "{case}: {error}");
        }
    }
}
