//! Where the database is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use crate::StoreError;

/// Where the database is and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The `SQLite` file; `None` for a database in memory, which is gone with its `Store`.
    pub path: Option<PathBuf>,
    /// How many connections read beside the one that writes.
    pub readers: u32,
    /// How long one statement waits for another process that is writing.
    pub busy_timeout: Duration,
}

impl StoreOptions {
    /// A database in a file, which is made if it is missing.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
            readers: 4,
            busy_timeout: Duration::from_secs(5),
        }
    }

    /// A database in memory. All reads and writes share one connection.
    pub fn memory() -> Self {
        Self {
            path: None,
            ..Self::file("")
        }
    }

    /// From a URL as `[database] connection` has it: `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite://`
    /// for a database in memory. A driver behind a plus sign is ignored.
    ///
    /// # Errors
    ///
    /// `Url` if it is another database's, or names a host.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let wrong = |reason| StoreError::Url {
            url: without_password(url),
            reason,
        };
        let (scheme, rest) = url.split_once(':').ok_or_else(|| wrong("has no scheme"))?;
        let dialect = scheme.split('+').next().unwrap_or(scheme);
        if dialect != "sqlite" {
            return Err(wrong("only sqlite is supported by this build"));
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
        }
    }

    #[test]
    fn other_urls_are_refused_without_showing_their_password() {
        let cases = [
            ("mariadb", "mysql+pymysql://masakari:geheim@db/masakari"),
            ("postgresql", "postgresql://masakari:geheim@db/masakari"),
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
