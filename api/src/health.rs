//! The checks of `/healthcheck`: oslo.middleware's backends, and two of Tachi's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use tachi_domain::entity::segment::SegmentFilter;
use tachi_engine::ports::registry::Page;
use tachi_engine::ports::{Notifier, Segments};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Timeout of the database query.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lifetime of the database result. Every client may use the route, and must not keep the database busy with it.
const CACHE_LIFETIME: Duration = Duration::from_secs(1);

/// A health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthBackend {
    /// `disable_by_file`: fails while a file exists.
    DisableByFile,
    /// `disable_by_files_ports`: fails on a port while its file exists.
    DisableByFilesPorts,
    /// `enable_by_files`: fails while any of the files is missing.
    EnableByFiles,
    /// `database`, specific to Tachi: fails while the database does not answer.
    Database,
    /// `broker`, specific to Tachi: fails while a configured broker does not accept messages. Nothing is lost meanwhile, so this is
    /// for monitoring rather than for a load balancer.
    Broker,
}

impl HealthBackend {
    /// All backends with their names in the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("disable_by_file", Self::DisableByFile),
        ("disable_by_files_ports", Self::DisableByFilesPorts),
        ("enable_by_files", Self::EnableByFiles),
        ("database", Self::Database),
        ("broker", Self::Broker),
    ];

    /// Returns the class name in oslo.middleware, which detailed answers contain.
    const fn class(self) -> &'static str {
        match self {
            Self::DisableByFile => "DisableByFileHealthcheck",
            Self::DisableByFilesPorts => "DisableByFilesPortsHealthcheck",
            Self::EnableByFiles => "EnableByFilesHealthcheck",
            Self::Database => "DatabaseHealthcheck",
            Self::Broker => "BrokerHealthcheck",
        }
    }
}

/// Options of the group `[healthcheck]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// `backends`, in the order of the answer.
    pub backends: Vec<HealthBackend>,
    /// `detailed`: true if answers include class names, details and the version.
    pub detailed: bool,
    /// `disable_by_file_path`.
    pub disable_file: Option<PathBuf>,
    /// `disable_by_file_paths`.
    pub disable_files: Vec<(u16, PathBuf)>,
    /// `enable_by_file_paths`.
    pub enable_files: Vec<PathBuf>,
    /// `allowed_source_ranges`: the client addresses that are allowed; empty for all.
    pub allowed_source_ranges: Vec<IpNet>,
    /// `ignore_proxied_requests`: true if requests that came through a proxy get 404.
    pub ignore_proxied_requests: bool,
}

impl Default for HealthOptions {
    /// Returns the defaults of Masakari's pipeline file.
    fn default() -> Self {
        Self {
            backends: vec![HealthBackend::DisableByFile],
            detailed: false,
            disable_file: Some(PathBuf::from("/etc/masakari/healthcheck_disable")),
            disable_files: Vec::new(),
            enable_files: Vec::new(),
            allowed_source_ranges: Vec::new(),
            ignore_proxied_requests: false,
        }
    }
}

/// The result of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendResult {
    pub(crate) is_good: bool,
    /// A short reason.
    pub(crate) reason: &'static str,
    /// Details, for detailed answers.
    pub(crate) details: String,
    pub(crate) class: &'static str,
}

/// The health checks, with a short-lived cache of the database result.
#[derive(Default)]
pub(crate) struct Health {
    pub(crate) options: HealthOptions,
    database: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    pub(crate) fn new(options: HealthOptions) -> Self {
        Self {
            options,
            database: Mutex::default(),
        }
    }

    /// Runs all backends for a request to `port`.
    pub(crate) async fn run(
        &self,
        segments: &dyn Segments,
        notify: &dyn Notifier,
        port: Option<u16>,
    ) -> Vec<BackendResult> {
        let mut findings = Vec::with_capacity(self.options.backends.len());
        for backend in &self.options.backends {
            let (is_good, reason, details) = match backend {
                HealthBackend::DisableByFile => disabled_by(self.options.disable_file.as_deref()).await,
                HealthBackend::DisableByFilesPorts => {
                    let port_file = self
                        .options
                        .disable_files
                        .iter()
                        .find(|(of, _)| Some(*of) == port);
                    disabled_by(port_file.map(|(_, path)| path.as_path())).await
                }
                HealthBackend::EnableByFiles => enabled_by(&self.options.enable_files).await,
                HealthBackend::Broker => broker(notify.is_connected()),
                HealthBackend::Database => {
                    if self.database_answers(segments).await {
                        (true, "OK", "the database answers".to_owned())
                    } else {
                        (
                            false,
                            "DATABASE UNREACHABLE",
                            "the database does not answer".to_owned(),
                        )
                    }
                }
            };
            findings.push(BackendResult {
                is_good,
                reason,
                details,
                class: backend.class(),
            });
        }
        findings
    }

    /// Queries the database. Concurrent callers wait for the same answer, so that at most one query runs.
    async fn database_answers(&self, segments: &dyn Segments) -> bool {
        let mut last = self.database.lock().await;
        if let Some((queried_at, answer)) = *last
            && queried_at.elapsed() < CACHE_LIFETIME
        {
            return answer;
        }
        let one = Page {
            filter: SegmentFilter::default(),
            sort: Vec::new(),
            marker: None,
            limit: 1,
        };
        let answer = match timeout(DATABASE_TIMEOUT, segments.list_segments(&one)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = %crate::error::Chain(&error), "healthcheck failed; the database does not answer");
                false
            }
            Err(_) => {
                tracing::warn!(timeout = ?DATABASE_TIMEOUT, "healthcheck failed; the database does not answer");
                false
            }
        };
        *last = Some((Instant::now(), answer));
        answer
    }
}

type HealthSnapshot = (bool, &'static str, String);

async fn is_there(path: &Path) -> bool {
    // A file that this process cannot check counts as missing.
    tokio::fs::try_exists(path).await.unwrap_or(false)
}

fn broker(is_connected: Option<bool>) -> (bool, &'static str, String) {
    match is_connected {
        None => (true, "OK", "no broker is configured".to_owned()),
        Some(true) => (true, "OK", "the broker accepts messages".to_owned()),
        Some(false) => (
            false,
            "BROKER UNREACHABLE",
            "the broker does not accept messages; recoveries start with the engines' next sweep".to_owned(),
        ),
    }
}

async fn disabled_by(file: Option<&Path>) -> HealthSnapshot {
    match file {
        None => (true, "OK", "no file is configured".to_owned()),
        Some(path) if is_there(path).await => (
            false,
            "DISABLED BY FILE",
            format!("Path '{}' was found", path.display()),
        ),
        Some(path) => (true, "OK", format!("Path '{}' was not found", path.display())),
    }
}

async fn enabled_by(files: &[PathBuf]) -> HealthSnapshot {
    for path in files {
        if !is_there(path).await {
            let details = format!("File path {} is missing", path.display());
            return (false, "FILE PATH MISSING", details);
        }
    }
    (true, "OK", "Specified file paths are available".to_owned())
}
