//! Database URLs in `SQLAlchemy`'s form, translated for sqlx.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::parse::{Refusal, boolean, is_number, or};
use crate::percent::{decoded, encoded};

/// The database system of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `SQLite`: a file, or memory.
    Sqlite,
    /// `MySQL`, `MariaDB`, Galera.
    MySql,
    /// `PostgreSQL`.
    Postgres,
}

/// A translated database URL. `Display` masks the password.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    pub backend: Backend,
    /// The URL for sqlx.
    pub url: SecretString,
    /// The file of a `SQLite` database, as written; `None` for memory and for servers.
    pub path: Option<PathBuf>,
    /// Dropped parameters, each with the reason.
    pub notes: Vec<String>,
    shown: String,
}

impl DatabaseUrl {
    /// True if the URL contains no password.
    pub fn is_without_password(&self) -> bool {
        self.shown == self.url.expose_secret()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The reason why a text is not a supported database URL. Never contains the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a database URL: {why}; {help}")]
#[non_exhaustive]
pub struct DatabaseUrlError {
    pub why: String,
    pub help: String,
}

impl From<DatabaseUrlError> for Refusal {
    fn from(error: DatabaseUrlError) -> Self {
        Self::new(error.why, error.help)
    }
}

fn wrong(why: impl Into<String>, help: impl Into<String>) -> DatabaseUrlError {
    DatabaseUrlError {
        why: why.into(),
        help: help.into(),
    }
}

/// Supported drivers; the part after `+` only chooses a Python library.
const DRIVERS: &[(&str, Backend, &[&str])] = &[
    ("sqlite", Backend::Sqlite, &["pysqlite", "aiosqlite"]),
    (
        "mysql",
        Backend::MySql,
        &[
            "pymysql",
            "mysqldb",
            "mysqlconnector",
            "mariadbconnector",
            "aiomysql",
            "asyncmy",
        ],
    ),
    (
        "mariadb",
        Backend::MySql,
        &[
            "pymysql",
            "mysqldb",
            "mysqlconnector",
            "mariadbconnector",
            "aiomysql",
            "asyncmy",
        ],
    ),
    (
        "postgresql",
        Backend::Postgres,
        &["psycopg2", "psycopg", "psycopg2cffi", "asyncpg", "pg8000"],
    ),
    (
        "postgres",
        Backend::Postgres,
        &["psycopg2", "psycopg", "psycopg2cffi", "asyncpg", "pg8000"],
    ),
];

/// Translates a `SQLAlchemy` URL.
///
/// # Errors
///
/// The problem, and the text to write instead.
pub fn database_url(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let example = "write mysql+pymysql://user:password@host/database, postgresql://... or sqlite:////path";
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| wrong("it has no `://`", example))?;
    let (dialect, driver) = scheme
        .split_once('+')
        .map_or((scheme, None), |(dialect, driver)| (dialect, Some(driver)));
    let found = DRIVERS.iter().find(|(name, ..)| *name == dialect);
    let (_, backend, drivers) =
        found.ok_or_else(|| wrong(format!("`{dialect}` is not supported"), example))?;
    if let Some(driver) = driver.filter(|driver| !drivers.contains(driver)) {
        let help = format!("write {dialect}:// or one of the drivers {}", or(drivers));
        return Err(wrong(format!("driver `{driver}` is unknown"), help));
    }
    match backend {
        Backend::Sqlite => sqlite(rest),
        Backend::MySql => server(*backend, "mysql", rest, mysql_parameters),
        Backend::Postgres => server(*backend, "postgres", rest, postgres_parameters),
    }
}

/// Translates a `SQLite` URL: three slashes are a relative path, four an absolute one, none or `:memory:` is memory.
fn sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let (address, parameters) = split_query(rest);
    let path = match address.strip_prefix('/') {
        Some(path) => decoded(path),
        None if address.is_empty() => String::new(),
        None => {
            return Err(wrong(
                "a SQLite URL has no host",
                "write sqlite:////absolute/path or sqlite:///relative/path: three slashes and the path",
            ));
        }
    };
    let notes = parameters
        .iter()
        .map(|(name, _)| format!("{name}: unknown parameter"))
        .collect();
    let (url, path) = if path.is_empty() || path == ":memory:" {
        ("sqlite::memory:".to_owned(), None)
    } else {
        // A missing file is created, as with SQLAlchemy.
        (
            format!("sqlite://{}?mode=rwc", encoded(&path, b"/")),
            Some(PathBuf::from(path)),
        )
    };
    let shown = url.clone();
    Ok(DatabaseUrl {
        backend: Backend::Sqlite,
        url: SecretString::from(url),
        path,
        notes,
        shown,
    })
}

fn server(
    backend: Backend,
    scheme: &str,
    rest: &str,
    translate: Translate,
) -> Result<DatabaseUrl, DatabaseUrlError> {
    // The password ends at the first `@`, as in SQLAlchemy, and may contain `/` and `?`; a bare user name may not.
    let (user, place) = match rest.split_once('@') {
        Some((user, place)) if user.contains(':') || !user.contains('/') => (Some(user), place),
        _ => (None, rest),
    };
    let (place, parameters) = split_query(place);
    let (place, database) = place.split_once('/').unwrap_or((place, ""));
    if place.contains('@') || database.contains('@') {
        return Err(wrong(
            "it has more than one `@`",
            "write an `@` in user name or password as %40",
        ));
    }
    if database.is_empty() {
        return Err(wrong(
            "it contains no database name",
            "end it with /database, for example /masakari",
        ));
    }
    let (host, database) = (host(place)?, decoded(database));
    let translated = translate(&parameters)?;
    let credentials = user.map(|user| {
        user.split_once(':')
            .map_or((user, None), |(name, password)| (name, Some(password)))
    });
    let assemble = |mask: bool| {
        let mut url = format!("{scheme}://");
        if let Some((name, password)) = credentials {
            url.push_str(&encoded(&decoded(name), b""));
            if let Some(password) = password {
                url.push(':');
                url.push_str(&if mask {
                    "***".to_owned()
                } else {
                    encoded(&decoded(password), b"")
                });
            }
            url.push('@');
        }
        url.push_str(&host);
        url.push('/');
        url.push_str(&encoded(&database, b""));
        for (number, (name, value)) in translated.parameters.iter().enumerate() {
            url.push(if number == 0 { '?' } else { '&' });
            let _ = write!(url, "{name}={}", encoded(value, b"/"));
        }
        url
    };
    let (url, shown) = (assemble(false), assemble(true));
    Ok(DatabaseUrl {
        backend,
        url: SecretString::from(url),
        path: None,
        notes: translated.notes,
        shown,
    })
}

/// Checks `host`, `host:port` or `[address]:port`; an empty host is the local one.
fn host(place: &str) -> Result<String, DatabaseUrlError> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (inner, after) = rest
            .split_once(']')
            .ok_or_else(|| wrong("a `[` is not closed", "write [2001:db8::1]:3306"))?;
        if inner.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong(
                "the text in brackets is not an IPv6 address",
                "write [2001:db8::1]:3306",
            ));
        }
        (format!("[{inner}]"), after)
    } else {
        let (name, port) = place
            .split_at_checked(place.find(':').unwrap_or(place.len()))
            .unwrap_or((place, ""));
        let good = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !good {
            return Err(wrong(
                "the host contains invalid characters",
                "write `@`, `/`, `:` and `?` in user name or password as %40, %2F, %3A and %3F",
            ));
        }
        (
            if name.is_empty() {
                "localhost".to_owned()
            } else {
                name.to_owned()
            },
            port,
        )
    };
    let number = port.strip_prefix(':').unwrap_or(port);
    let good =
        port.is_empty() || (port.starts_with(':') && is_number(number) && number.parse::<u16>().is_ok());
    if good {
        Ok(format!("{host}{port}"))
    } else {
        Err(wrong(
            "the port is not a number up to 65535",
            "write host:3306, and %3A for a `:` in the password",
        ))
    }
}

/// A translation of one dialect's parameters into those of sqlx.
type Translate = fn(&[(String, String)]) -> Result<ConvertedUrl, DatabaseUrlError>;

#[derive(Default)]
struct ConvertedUrl {
    parameters: Vec<(&'static str, String)>,
    notes: Vec<String>,
}

/// The valid values of `ssl_mode`.
const MODES: &[&str] = &[
    "DISABLED",
    "PREFERRED",
    "REQUIRED",
    "VERIFY_CA",
    "VERIFY_IDENTITY",
];

fn mysql_parameters(given: &[(String, String)]) -> Result<ConvertedUrl, DatabaseUrlError> {
    let mut out = ConvertedUrl::default();
    let (mut authority, mut quoted) = (false, false);
    let (mut check_name, mut check) = (true, None);
    for (name, value) in given {
        let truth =
            || boolean(value).map_err(|refusal| wrong(format!("{name} {}", refusal.why), refusal.help));
        match name.as_str() {
            // sqlx uses utf8mb4, which includes the other two. The server converts columns with another charset.
            "charset" if matches!(value.as_str(), "utf8" | "utf8mb3" | "utf8mb4") => {}
            "charset" => {
                return Err(wrong(
                    "only UTF-8 is supported",
                    "write charset=utf8mb4 or remove it",
                ));
            }
            "ssl_ca" => {
                authority = true;
                out.parameters.push(("ssl-ca", value.clone()));
            }
            "ssl_cert" => out.parameters.push(("ssl-cert", value.clone())),
            "ssl_key" => out.parameters.push(("ssl-key", value.clone())),
            "ssl_check_hostname" | "ssl_verify_identity" => check_name = truth()?,
            "ssl_verify_cert" => check = Some(truth()?),
            "ssl" => quoted = truth()?,
            "ssl_mode" => {
                let mode = value.to_uppercase();
                if !MODES.contains(&mode.as_str()) {
                    return Err(wrong(
                        "ssl_mode has an unknown value",
                        format!("write one of {}", or(MODES)),
                    ));
                }
                out.parameters.push(("ssl-mode", mode));
            }
            "unix_socket" => out.parameters.push(("socket", value.clone())),
            _ => out.notes.push(format!("{name}: a setting of the Python driver")),
        }
    }
    if out.parameters.iter().any(|(name, _)| *name == "ssl-mode") {
        return Ok(out);
    }
    // PyMySQL with an authority also compares the server's name unless configured otherwise.
    let mode = match (check.unwrap_or(authority), check_name) {
        (true, true) => Some("VERIFY_IDENTITY"),
        (true, false) => Some("VERIFY_CA"),
        (false, _) => (authority || quoted).then_some("REQUIRED"),
    };
    if let Some(mode) = mode {
        out.parameters.push(("ssl-mode", mode.to_owned()));
    }
    Ok(out)
}

fn postgres_parameters(given: &[(String, String)]) -> Result<ConvertedUrl, DatabaseUrlError> {
    const SAME: &[&str] = &[
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "host",
        "port",
        "application_name",
        "options",
    ];
    let mut out = ConvertedUrl::default();
    for (name, value) in given {
        if let Some(same) = SAME.iter().find(|same| *same == name) {
            out.parameters.push((same, value.clone()));
        } else if name == "client_encoding" {
            if !matches!(value.to_lowercase().as_str(), "utf8" | "utf-8") {
                return Err(wrong(
                    "only UTF-8 is supported",
                    "write client_encoding=utf8 or remove it",
                ));
            }
        } else {
            out.notes.push(format!("{name}: a setting of the Python driver"));
        }
    }
    Ok(out)
}

/// Splits off the query and parses it.
fn split_query(text: &str) -> (&str, Vec<(String, String)>) {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let part = |text: &str| decoded(&text.replace('+', " "));
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (part(name), part(value))
    });
    (address, pairs.collect())
}

#[cfg(test)]
mod tests;
