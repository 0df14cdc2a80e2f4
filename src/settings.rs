//! Settings: from configuration files to the options of each component. A component reads its own, in its crate or in a file below this one.

mod database;
mod engine;
mod events;
mod fencing;
mod identity;
mod schedule;

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tachi_api::BindingOptions;
use tachi_api::settings::{self as api, Http, PolicySettings};
use tachi_audit::AuditSettings;
use tachi_bus::MessagingSettings;
use tachi_cli::arguments::ConfigArgs;
use tachi_config::{ConfigErrors, ConfigReport, Effective, Ini, KnownOptions, Origin, Reader, Refusal};
use tachi_domain::policy::Policy;
use tachi_log::LogSettings;
use tachi_witnesses::SurroundingSettings;

pub(crate) use database::{Database, folder as database_folder};
pub(crate) use events::{Driver, EventSettings};
pub(crate) use fencing::Fencing;
pub(crate) use identity::AuthStrategy;

/// All settings of a process, read and checked at once.
pub(crate) struct Settings {
    /// Address that the API listens on.
    pub(crate) listen: IpAddr,
    /// Port that the API listens on.
    pub(crate) port: u16,
    /// Authentication of API callers.
    pub(crate) auth: AuthStrategy,
    /// Maximum number of rows in a list.
    pub(crate) max_limit: u64,
    /// Maximum size of a request's body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// Prefix of the links in answers, if not the request's own address.
    pub(crate) link_prefix: Option<String>,
    /// True if `X-Forwarded-*` and `Forwarded` are trusted.
    pub(crate) proxy_headers: bool,
    /// Options of the HTTP server around the API.
    pub(crate) http: Http,
    /// `duplicate_notification_detection_interval`, in seconds.
    pub(crate) duplicate_window_seconds: u32,
    /// The hosts that a reporter may report.
    pub(crate) binding: BindingOptions,
    /// `[api] notifications_per_segment`.
    pub(crate) notifications_per_segment: u32,
    /// Time that requests in flight get after SIGTERM.
    pub(crate) drain: Duration,
    /// Access to Nova; `None` if it is not configured.
    pub(crate) nova: Option<tachi_openstack::Options>,
    /// The broker, if one is configured.
    pub(crate) messaging: Option<MessagingSettings>,
    /// The database.
    pub(crate) database: Database,
    /// Folder of sockets and locks.
    pub(crate) state_path: PathBuf,
    /// Prefix of the name under which engines claim recoveries.
    pub(crate) host: String,
    /// Files of the policy rules.
    pub(crate) oslo_policy: PolicySettings,
    /// The rules of recoveries.
    pub(crate) policy: Policy,
    /// Settings of hooks that are not part of the rules of recoveries.
    pub(crate) hooks: tachi_hooks::HookSettings,
    /// `notifications_expired_interval`: notifications that Masakari left open for longer are not started any more.
    pub(crate) notification_expiry: Duration,
    /// Maximum delay that a lost wake-up may cause.
    pub(crate) sweep_interval: Duration,
    /// Worst-case time from a power loss to the first evacuation above which `tachi doctor` warns.
    pub(crate) worst_case_warning: Duration,
    /// Address where an engine serves its metrics and health.
    pub(crate) engine_listen: Option<std::net::SocketAddr>,
    /// Receivers of events.
    pub(crate) events: EventSettings,
    /// Limits of the engine's pace.
    pub(crate) pace: tachi_engine::PaceOptions,
    /// Devices that switch the hosts' power.
    pub(crate) fencing: Fencing,
    /// Inputs of the guards besides Nova and the database.
    pub(crate) surroundings: SurroundingSettings,
    /// Schedule of the engine's jobs.
    pub(crate) schedule: tachi_operator::schedule::Schedule,
    /// The audit log of power commands.
    pub(crate) audit: AuditSettings,
    /// The log.
    pub(crate) log: LogSettings,
    /// The options that were read, for `tachi config show`.
    pub(crate) report: ConfigReport,
}

/// True if every user of this machine may read the file.
fn is_open(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o004 != 0)
}

impl Settings {
    /// Reads the files that `args` name, or the first of the default ones, and the environment.
    ///
    /// # Errors
    ///
    /// Every problem of every option, each with file, line and option.
    pub(crate) fn load(args: &ConfigArgs) -> Result<Self, ConfigErrors> {
        let mut ini = args.load()?;
        args.log.apply(&mut ini);
        let mut settings = Self::read(&ini.with_environment(std::env::vars_os()))?;
        settings.oslo_policy.folders = api::policy_folders(&args.config_file, &args.config_dir);
        Ok(settings)
    }

    /// Returns a warning for each of [`Self::open_files`], with the command that fixes it.
    pub(crate) fn exposed(&self) -> Vec<String> {
        let all = self.open_files().into_iter();
        all.map(|(file, what)| {
            format!("{file} holds {what}, and every user of this machine may read it: chmod o= {file}")
        })
        .collect()
    }

    /// Returns files with a secret that every user of this machine may read, and the kind of the secret. Only files that Masakari's
    /// configuration names are listed, as a warning: refusing them would stop a working cloud. Files that exist for Tachi alone are refused
    /// when they are read.
    pub(crate) fn open_files(&self) -> Vec<(&str, &str)> {
        let mut files: Vec<(&str, &str)> = Vec::new();
        for option in &self.report.effective {
            if let (true, Origin::File { file, .. }) = (option.sensitive, &option.origin) {
                files.push((&**file, "a password"));
            }
            let is_key = matches!(option.option.as_str(), "ssl_key_file" | "keyfile" | "key_file");
            if let (true, Some(file)) = (is_key, option.value.as_deref()) {
                files.push((file, "a private key"));
            }
        }
        files.sort_unstable();
        files.dedup();
        files.retain(|(file, _)| is_open(Path::new(file)));
        files
    }

    /// Returns the number of threads of `masakari_api_workers`. Errors of the configuration are reported later, by `load`.
    pub(crate) fn worker_threads(args: &ConfigArgs) -> Option<usize> {
        let ini = args.load().ok()?;
        let ini = ini.with_environment(std::env::vars_os());
        api::workers(&mut Reader::new(&ini, &KnownOptions::masakari()))
    }

    /// Reads a single text, as the sandbox writes it.
    ///
    /// # Errors
    ///
    /// Those of [`Settings::load`].
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        Self::read(&Ini::parse(name, text)?)
    }

    fn read(ini: &Ini) -> Result<Self, ConfigErrors> {
        let known = KnownOptions::masakari();
        let mut reader = Reader::new(ini, &known);
        let settings = Self::ask(&mut reader, ini);
        let report = reader.finish()?;
        Ok(Self { report, ..settings })
    }

    /// Returns every option.
    pub(crate) fn declared() -> Vec<Effective> {
        let (ini, known) = (Ini::default(), KnownOptions::masakari());
        let mut reader = Reader::new(&ini, &known);
        Self::ask(&mut reader, &ini);
        reader.declared()
    }

    #[allow(clippy::too_many_lines, reason = "a line or two for each component")]
    fn ask(r: &mut Reader<'_>, ini: &Ini) -> Self {
        let state_path = PathBuf::from(
            r.string("DEFAULT", "state_path")
                .default(default_state_path())
                .unit("path")
                .varies("/var/lib/tachi; of a user who is not root ~/.local/state/tachi")
                .help("folder for an engine's state, and for the SQLite file if no database is named")
                .get(),
        );
        let listen: IpAddr = r
            .parsed(
                "DEFAULT",
                "masakari_api_listen",
                |text: &str| {
                    text.parse().map_err(|_| {
                        Refusal::new("is not an IP address", "write an address such as 127.0.0.1")
                    })
                },
                |address: &IpAddr| address.to_string(),
            )
            .default(IpAddr::from([0, 0, 0, 0]))
            .unit("address")
            .help("address the API listens on")
            .optional()
            .unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let port = r
            .int("DEFAULT", "masakari_api_listen_port")
            .default(15868)
            .range(1..=65535)
            .unit("port")
            .help("port the API listens on")
            .get();
        let max_limit = r
            .int("DEFAULT", "osapi_max_limit")
            .default(1000)
            .at_least(1)
            .unit("rows")
            .help("maximum number of rows in an answer of the API")
            .get();
        let link_prefix = r
            .string("DEFAULT", "osapi_masakari_link_prefix")
            .unit("URL")
            .help("replaces scheme and host of the links in answers")
            .optional();
        let max_body_bytes = r
            .int("oslo_middleware", "max_request_body_size")
            .default(114_688)
            .at_least(1024)
            .unit("bytes")
            .help("maximum size of a request's body; a larger one gets 413")
            .get();
        let proxy_headers = r
            .bool("oslo_middleware", "enable_proxy_headers_parsing")
            .default(false)
            .help("trusts `Forwarded` and `X-Forwarded-*`; only behind a proxy that sets them itself")
            .get();
        let duplicate_window_seconds = r
            .int("DEFAULT", "duplicate_notification_detection_interval")
            .default(180)
            .unit("seconds")
            .help("a notification that repeats one from within this time gets 409")
            .get();
        let binding = api::binding(r);
        let notifications_per_segment = r.int("api", "notifications_per_segment").default(6000).unit("notifications").help("maximum \
            number of notifications per minute of one reporter about one segment, except from administrators; more get 429. 0: no \
            limit").get();
        let drain = r
            .seconds("DEFAULT", "graceful_shutdown_timeout")
            .default(Duration::from_secs(60))
            .help("timeout of requests in flight after SIGTERM")
            .get();
        let host = r
            .string("DEFAULT", "host")
            .default(hostname())
            .varies("this machine's name")
            .help("name of this process in records and queues")
            .get();
        let messaging = MessagingSettings::read(
            r,
            "DEFAULT",
            "RabbitMQ, as rabbit://user:password@host:5672/; without it, engines find work by polling",
            &host,
        );
        let log = LogSettings::read(r);
        // `worker_threads` has read this already; here it is only checked and shown.
        api::workers(r);
        let http = api::http(r, ini, log.is_json());
        let database = database::database(r, &state_path);
        let authtoken = identity::keystone_authtoken(r);
        let auth = identity::auth_strategy(r, authtoken.as_ref());
        let nova = identity::nova(r, authtoken);
        let oslo_policy = api::policy(r);
        let fencing = fencing::fencing(r);
        let audit = AuditSettings::read(r, &state_path);
        let surroundings = SurroundingSettings::read(r);
        let (flows, hooks) = tachi_hooks::flows(r);
        let policy = Policy {
            flows,
            ..tachi_rules::policy(r, fencing.is_configured())
        };
        let nova = nova.map(|mut nova| {
            nova.keystone.timeout = policy.call_deadline;
            nova
        });
        let notification_expiry = tachi_rules::expiry(r);
        let sweep_interval = engine::sweep_interval(r);
        let worst_case_warning = engine::worst_case_warning(r);
        let engine_listen = engine::metrics_listen(r);
        let events = events::events(r, &host);
        let pace = tachi_rules::pace(r, &policy);
        let schedule = schedule::schedule(r);
        Self {
            listen,
            port,
            auth,
            max_limit,
            max_body_bytes,
            link_prefix,
            proxy_headers,
            http,
            duplicate_window_seconds,
            binding,
            notifications_per_segment,
            drain,
            nova,
            messaging,
            database,
            state_path,
            host,
            oslo_policy,
            policy,
            hooks,
            notification_expiry,
            sweep_interval,
            worst_case_warning,
            engine_listen,
            events,
            pace,
            fencing,
            surroundings,
            schedule,
            audit,
            log,
            report: ConfigReport::default(),
        }
    }
}

/// `/var/lib/tachi` for root, else below the user's own state folder.
fn default_state_path() -> String {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/tachi".into();
    }
    let below = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    below
        .unwrap_or_else(|| PathBuf::from("/var/tmp"))
        .join("tachi")
        .display()
        .to_string()
}

/// Returns this machine's host name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// True if a secret was set.
fn is_given(secret: &secrecy::SecretString) -> bool {
    !secret.expose_secret().is_empty()
}

#[cfg(test)]
mod tests;
