//! The location of the database, and the connection options.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::StoreError;

/// The location of the database, and the connection options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The `SQLite` file; `None` for a server, and for a database in memory, which ends with its `Store`.
    pub path: Option<PathBuf>,
    /// The number of reading connections to a `SQLite` file, in addition to the writing one.
    pub readers: u32,
    /// Time that a statement waits for another process that is writing to the `SQLite` file.
    pub busy_timeout: Duration,
    /// The server; `None` for `SQLite`.
    pub server: Option<ServerOptions>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// `MariaDB`, as a single server or a Galera cluster, and `MySQL`.
    MariaDb,
    /// `PostgreSQL`.
    Postgres,
}

/// A server and its connection options, named as in `oslo.db`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    pub kind: ServerKind,
    /// The server's address with user, password, database and parameters, in sqlx's form.
    pub url: SecretString,
    /// Limit of concurrent connections, not counting the journal's connection.
    pub connections: u32,
    /// Time to wait for a connection while all are in use or the server cannot be reached.
    pub pool_timeout: Duration,
    /// Maximum age of a connection before it is replaced.
    pub recycle: Duration,
    /// Limit of retries at start-up while the server cannot be reached; `None` means no limit.
    pub start_retries: Option<u32>,
    /// Delay before each of these retries.
    pub start_interval: Duration,
    /// `MariaDB`'s `sql_mode`.
    pub sql_mode: String,
    /// Galera's `wsrep_sync_wait`. The journal's reads are causal regardless of this value.
    pub wsrep_sync_wait: u32,
}

impl ServerOptions {
    /// Creates the options of a server with `oslo.db`'s defaults, as far as they apply here.
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
    /// Creates options for a database in a file, which is created if it is missing.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            server: None,
        }
    }

    /// Creates options for a database in memory, in which all reads and writes share one connection.
    pub fn memory() -> Self {
        Self {
            path: None,
            ..Self::file("")
        }
    }

    /// Creates options for a database on a server.
    pub fn server(server: ServerOptions) -> Self {
        Self {
            server: Some(server),
            ..Self::memory()
        }
    }

    /// Parses a URL: `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite://` for a database in memory, and
    /// `mysql://` or `postgresql://` in sqlx's form. A driver after a plus sign is ignored.
    ///
    /// # Errors
    ///
    /// `Url` for another kind of database, and for a `SQLite` URL with a host.
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
            _ => return Err(wrong("is not a sqlite, mysql or postgresql URL")),
        }
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| wrong("must start with sqlite://"))?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Ok(Self::memory()),
            None => Err(wrong("must not name a host; a path starts with a third slash")),
            Some("" | ":memory:") => Ok(Self::memory()),
            Some(path) => Ok(Self::file(path.split('?').next().unwrap_or(path))),
        }
    }
}

/// Masks the password in `user:password@host`.
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
