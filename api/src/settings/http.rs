//! Settings of the HTTP server around the API: listener, TLS, proxies, limits, browsers, health and metrics.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use regex::Regex;
use tachi_config::{Ini, Reader, Refusal};

use crate::{
    AccessLog, Cors, CorsGroup, HealthBackend, HealthOptions, LineFormat, Metrics, MetricsAccess, Options,
    ServeOptions, Tls, TlsFiles,
};

/// Upper limit of the timeout for silent clients: longer than any client needs, and short enough against attackers.
const MAX_CLIENT_TIMEOUT: Duration = Duration::from_secs(75);

/// Maximum time for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The web board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebBoard {
    /// The board is not served.
    Off,
    /// The board only shows.
    Shows,
    /// The board also accepts operator actions.
    Acts,
}

/// Options of the listener and of the layers before the API.
pub struct Http {
    /// TLS served by this process.
    pub tls: Option<Tls>,
    /// `tcp_keepidle`.
    pub keep_idle: Duration,
    /// `/metrics`, if it is served.
    pub metrics: Option<MetricsSettings>,
    /// `[board]`.
    pub board: WebBoard,
    patience: Duration,
    max_connections: usize,
    max_line_bytes: usize,
    keep_alive: bool,
    scheme_header: Option<HeaderName>,
    forwarded_for: bool,
    base_path: String,
    project_ids: Option<Regex>,
    access_log: AccessLog,
    health: HealthOptions,
    cors: Cors,
}

/// `[metrics]`.
pub struct MetricsSettings {
    /// Networks that may read the metrics.
    pub allowed_source_ranges: Vec<IpNet>,
    /// A separate address for the metrics.
    pub listen: Option<SocketAddr>,
}

impl MetricsSettings {
    /// Returns the metrics with their access rules.
    pub fn access(&self, metrics: Metrics) -> MetricsAccess {
        MetricsAccess {
            metrics,
            allowed_source_ranges: self.allowed_source_ranges.clone(),
        }
    }
}

impl Http {
    /// Returns the server's options for connections.
    pub fn serve_options(&self, drain_timeout: Duration) -> ServeOptions {
        ServeOptions {
            header_read_timeout: self.patience,
            write_timeout: self.patience,
            drain_timeout,
            max_connections: self.max_connections,
            max_head_bytes: self.max_line_bytes.saturating_mul(4),
            keep_alive: self.keep_alive,
            tls: self.tls.clone(),
            ..ServeOptions::default()
        }
    }

    /// Adds the options that the API needs.
    pub fn apply(&self, options: &mut Options) {
        options.body_timeout = self.patience.min(BODY_TIMEOUT);
        options.max_line_bytes = self.max_line_bytes;
        options.base_path.clone_from(&self.base_path);
        options.scheme_header.clone_from(&self.scheme_header);
        options.forwarded_for = self.forwarded_for;
        options.tls = self.tls.is_some();
        options.project_ids.clone_from(&self.project_ids);
        options.access_log = self.access_log.clone();
        options.health = self.health.clone();
        options.cors = self.cors.clone();
    }
}

/// `masakari_api_workers`: threads of the runtime; `None` for one per core. The option is read before there is a runtime.
pub fn workers(r: &mut Reader<'_>) -> Option<usize> {
    r.int("DEFAULT", "masakari_api_workers")
        .range(1..=1024)
        .unit("threads")
        .help("number of threads of the process; one per core unless set")
        .optional()
}

/// Reads all options of this file.
pub fn http(r: &mut Reader<'_>, ini: &Ini, json_log: bool) -> Http {
    const G: &str = "wsgi";
    let patience = r
        .seconds(G, "client_socket_timeout")
        .default(Duration::from_secs(900))
        .help("timeout for a client that sends nothing; at most 75 s, which 0 means, too")
        .get();
    let patience = if patience.is_zero() {
        MAX_CLIENT_TIMEOUT
    } else {
        patience.min(MAX_CLIENT_TIMEOUT)
    };
    let keep_idle = r
        .seconds(G, "tcp_keepidle")
        .default(Duration::from_secs(600))
        .range(Duration::from_secs(1)..=Duration::from_secs(32_767))
        .help("idle time of a connection before TCP keepalive probes are sent")
        .get();
    let line_format = r
        .string(G, "wsgi_log_format")
        .default(LineFormat::MASAKARI.to_owned())
        .check(|text| {
            LineFormat::parse(text)
                .map(drop)
                .map_err(|error| Refusal::new("is not a log format", error.to_string()))
        })
        .help("format of access log lines, with eventlet's names and ours")
        .get();
    let access_log = if json_log {
        AccessLog::Fields
    } else {
        AccessLog::Line(LineFormat::parse(&line_format).unwrap_or_default())
    };
    Http {
        tls: tls(r),
        keep_idle,
        metrics: metrics(r),
        board: board(r),
        patience,
        max_connections: r
            .int(G, "default_pool_size")
            .default(1000)
            .range(1..=1_000_000)
            .unit("connections")
            .help("maximum number of concurrent connections")
            .get(),
        max_line_bytes: r
            .int(G, "max_header_line")
            .default(16_384)
            .range(2048..=1 << 20)
            .unit("bytes")
            .help("maximum size of the request line and of each header")
            .get(),
        keep_alive: r
            .bool(G, "keep_alive")
            .default(true)
            .help("keeps a connection open after an answer")
            .get(),
        scheme_header: r
            .parsed(G, "secure_proxy_ssl_header", scheme_header, ToString::to_string)
            .help("header with the scheme for links in answers, such as HTTP_X_FORWARDED_PROTO")
            .optional(),
        forwarded_for: r
            .bool("DEFAULT", "use_forwarded_for")
            .default(false)
            .help("logs the address of `X-Forwarded-For`")
            .get(),
        base_path: r
            .string(G, "base_path")
            .default(String::new())
            .check(|path| {
                if path.is_empty() || path.starts_with('/') {
                    return Ok(());
                }
                Err(Refusal::new(
                    "does not start with a slash",
                    "write a path such as /instance-ha",
                ))
            })
            .unit("path")
            .help("path prefix that a proxy leaves in the requests, such as /instance-ha")
            .optional()
            .unwrap_or_default(),
        project_ids: r
            .parsed("osapi_v1", "project_id_regex", project_ids, written)
            .help("pattern of the project id at the start of old clients' paths")
            .optional(),
        access_log,
        health: health(r),
        cors: cors(r, ini),
    }
}

/// Prefix and suffix that make a pattern match the whole of a project's id.
const BEGIN: &str = "^(?:";
const END: &str = ")$";

/// Returns the pattern as it was written, without the prefix and the suffix.
fn written(pattern: &Regex) -> String {
    let text = pattern.as_str();
    let inner = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
    inner.unwrap_or(text).to_owned()
}

/// `[board]`.
fn board(r: &mut Reader<'_>) -> WebBoard {
    let enabled = r.bool("board", "enabled").default(false);
    let enabled = enabled
        .help("serves the web board at /board ([observe.md](../observe.md))")
        .get();
    let actions = r.bool("board", "actions").default(false);
    let actions = actions
        .help("allows actions in the board, such as approve and freeze")
        .get();
    match (enabled, actions) {
        (false, _) => WebBoard::Off,
        (true, false) => WebBoard::Shows,
        (true, true) => WebBoard::Acts,
    }
}

/// `use_ssl` and the files of `[wsgi]`.
fn tls(r: &mut Reader<'_>) -> Option<Tls> {
    const G: &str = "wsgi";
    let is_enabled = r
        .bool("DEFAULT", "use_ssl")
        .default(false)
        .help("serves HTTPS, with the files of `[wsgi]`")
        .get();
    let mut file = |option, help: &'static str| {
        let path = r.string(G, option).unit("path").help(help);
        path.optional().map(PathBuf::from)
    };
    let certificate = file("ssl_cert_file", "certificate of the API, PEM");
    let key = file(
        "ssl_key_file",
        "key of the certificate, PEM, without a passphrase",
    );
    let client_authorities = file(
        "ssl_ca_file",
        "CA certificates; each client needs a certificate of one of them. Unless set clients need none",
    );
    if !is_enabled {
        return None;
    }
    let mut missing = |option| {
        r.refuse(
            G,
            option,
            Refusal::new("is missing, and use_ssl is set", "write the path of a PEM file"),
        );
    };
    let (Some(certificate), Some(key)) = (&certificate, &key) else {
        if certificate.is_none() {
            missing("ssl_cert_file");
        }
        if key.is_none() {
            missing("ssl_key_file");
        }
        return None;
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authorities: client_authorities.clone(),
    };
    match Tls::load(files) {
        Ok(tls) => Some(tls),
        Err(error) => {
            let path = error.file();
            let option = if path.is_some() && path == client_authorities.as_deref() {
                "ssl_ca_file"
            } else if path == Some(key.as_path()) {
                "ssl_key_file"
            } else {
                "ssl_cert_file"
            };
            let why = tachi_operator::Failure::new("cannot be used", error).chain();
            r.refuse(G, option, Refusal::new(why, "correct the file or the path"));
            None
        }
    }
}

/// Parses the name of a header, as WSGI or as HTTP spells it.
fn scheme_header(text: &str) -> Result<HeaderName, Refusal> {
    let name = text.strip_prefix("HTTP_").unwrap_or(text).replace('_', "-");
    name.parse()
        .map_err(|_| Refusal::new("is not a header name", "write HTTP_X_FORWARDED_PROTO or similar"))
}

/// Compiles a pattern for a whole segment of a path.
fn project_ids(text: &str) -> Result<Regex, Refusal> {
    Regex::new(&format!("{BEGIN}{text}{END}"))
        .map_err(|_| Refusal::new("is not a regular expression", "write one such as [0-9a-f\\-]+"))
}

/// Reads a list whose items are checked one by one.
fn each<T: 'static>(
    r: &mut Reader<'_>,
    (section, option): (&str, &str),
    help: &'static str,
    default: &[&str],
    parse: fn(&str) -> Result<T, Refusal>,
) -> Vec<T> {
    let texts = r
        .list(section, option)
        .default(default.iter().map(|&text| text.to_owned()).collect())
        .check(move |texts| texts.iter().try_for_each(|text| parse(text).map(drop)))
        .help(help)
        .get();
    texts.iter().filter_map(|text| parse(text).ok()).collect()
}

fn range(text: &str) -> Result<IpNet, Refusal> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        Refusal::new(
            format!("`{text}` is not a network"),
            "write networks such as 127.0.0.0/8, ::1/128",
        )
    })
}

fn port_and_path(text: &str) -> Result<(u16, PathBuf), Refusal> {
    let wrong = || {
        Refusal::new(
            format!("`{text}` is not a port and path"),
            "write port:path, as 15868:/run/x",
        )
    };
    let (port, path) = text.trim().split_once(':').ok_or_else(wrong)?;
    Ok((port.parse().map_err(|_| wrong())?, PathBuf::from(path)))
}

fn backend(text: &str) -> Result<HealthBackend, Refusal> {
    let found = HealthBackend::ALL.iter().find(|(name, _)| *name == text);
    found.map(|&(_, backend)| backend).ok_or_else(|| {
        let names = HealthBackend::ALL.map(|(name, _)| name).join(", ");
        Refusal::new(
            format!("no backend is named `{text}`"),
            format!("write any of {names}"),
        )
    })
}

/// `[healthcheck]`.
fn health(r: &mut Reader<'_>) -> HealthOptions {
    const G: &str = "healthcheck";
    let defaults = HealthOptions::default();
    let backends = each(
        r,
        (G, "backends"),
        "checks of /healthcheck: disable_by_file, disable_by_files_ports, enable_by_files, database",
        &["disable_by_file"],
        backend,
    );
    if backends.contains(&HealthBackend::DisableByFile) && backends.contains(&HealthBackend::EnableByFiles) {
        r.refuse(
            G,
            "backends",
            Refusal::new("has disable_by_file and enable_by_files", "write one of them"),
        );
    }
    HealthOptions {
        backends,
        detailed: r
            .bool(G, "detailed")
            .default(false)
            .help("shows file names in /healthcheck")
            .get(),
        disable_file: r
            .string(G, "disable_by_file_path")
            .default(
                defaults
                    .disable_file
                    .map(|path| path.display().to_string())
                    .unwrap_or_default(),
            )
            .unit("path")
            .help("disable_by_file: while this file exists, the answer is 503")
            .optional()
            .map(PathBuf::from),
        disable_files: each(
            r,
            (G, "disable_by_file_paths"),
            "disable_by_files_ports: port:path, a file for each port",
            &[],
            port_and_path,
        ),
        enable_files: r
            .list(G, "enable_by_file_paths")
            .default(Vec::new())
            .help("enable_by_files: while one of these files is missing, the answer is 503")
            .get()
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        allowed_source_ranges: each(
            r,
            (G, "allowed_source_ranges"),
            "networks that may read /healthcheck; empty: all",
            &[],
            range,
        ),
        ignore_proxied_requests: r
            .bool(G, "ignore_proxied_requests")
            .default(false)
            .help("answers 404 to requests that come through a proxy")
            .get(),
    }
}

/// `[metrics]`.
fn metrics(r: &mut Reader<'_>) -> Option<MetricsSettings> {
    const G: &str = "metrics";
    let enabled = r.bool(G, "enabled").default(true).help("serves /metrics").get();
    let allowed_source_ranges = each(
        r,
        (G, "allowed_source_ranges"),
        "networks that may read /metrics",
        &["127.0.0.0/8", "::1/128"],
        range,
    );
    let listen = r
        .parsed(
            G,
            "listen",
            |text| {
                text.parse::<SocketAddr>().map_err(|_| {
                    Refusal::new("is not an address and port", "write one such as 127.0.0.1:15869")
                })
            },
            ToString::to_string,
        )
        .unit("address and port")
        .help("a separate address for /metrics")
        .optional();
    enabled.then_some(MetricsSettings {
        allowed_source_ranges,
        listen,
    })
}

/// `[cors]` and every `[cors.NAME]`, which takes missing options from `[cors]`.
fn cors(r: &mut Reader<'_>, ini: &Ini) -> Cors {
    let first = cors_group(r, "cors", &CorsGroup::default());
    let mut groups = vec![first.clone()];
    for section in ini.sections() {
        if section.starts_with("cors.") {
            groups.push(cors_group(r, section, &first));
        }
    }
    groups.retain(|group| !group.origins.is_empty());
    Cors { groups }
}

fn cors_group(r: &mut Reader<'_>, section: &str, default: &CorsGroup) -> CorsGroup {
    let texts = |texts: &[String]| texts.to_vec();
    let header = |text: &str| {
        text.parse::<HeaderName>()
            .map(drop)
            .map_err(|_| Refusal::new(format!("`{text}` is not a header name"), "correct it"))
    };
    CorsGroup {
        origins: each(
            r,
            (section, "allowed_origin"),
            "origins whose pages may use the API, as https://dashboard.example.org; more groups in [cors.NAME]",
            &[],
            origin,
        ),
        credentials: r
            .bool(section, "allow_credentials")
            .default(default.credentials)
            .help("lets browsers send credentials")
            .get(),
        expose_headers: r
            .list(section, "expose_headers")
            .default(texts(&default.expose_headers))
            .check(move |names| names.iter().try_for_each(|name| header(name)))
            .help("headers of answers that a page may read")
            .get(),
        max_age: r
            .seconds(section, "max_age")
            .default(default.max_age)
            .help("how long a browser may cache the answer to a preflight request")
            .get(),
        methods: r
            .list(section, "allow_methods")
            .default(texts(&default.methods))
            .help("methods that a page may use")
            .get(),
        headers: r
            .list(section, "allow_headers")
            .default(texts(&default.headers))
            .check(move |names| names.iter().try_for_each(|name| header(name)))
            .help("headers that a page may send")
            .get(),
    }
}

/// Returns the origin as a browser sends it: without a trailing slash.
fn origin(text: &str) -> Result<String, Refusal> {
    let origin = text.trim_end_matches('/');
    let has_scheme = origin == "*" || origin == "null" || origin.contains("://");
    if has_scheme && HeaderValue::from_str(origin).is_ok() {
        return Ok(origin.to_owned());
    }
    Err(Refusal::new(
        format!("`{text}` is not an origin"),
        "write scheme, host and port, as https://dashboard.example.org",
    ))
}

#[cfg(test)]
mod tests;
