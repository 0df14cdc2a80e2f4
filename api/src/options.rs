//! Configuration of the API.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use regex::Regex;
use tachi_domain::binding::BindingOptions;
use tachi_engine::ports::{Events, NoEvents};

use crate::access_log::AccessLog;
use crate::auth::{CacheOptions, TokenOptions};
use crate::board::Board;
use crate::cors::Cors;
use crate::event_streams::StreamOptions;
use crate::health::HealthOptions;
use crate::metrics::MetricsAccess;
use crate::policy::Policy;
use crate::ports::TokenValidator;

/// The method of authentication.
#[derive(Clone)]
pub enum Auth {
    /// Keystone validates a token.
    Keystone {
        /// Validates tokens in Keystone.
        validator: Arc<dyn TokenValidator>,
        /// `www_authenticate_uri`: the address in the challenge for clients without a token.
        www_authenticate_uri: String,
        /// The lifetimes of cached answers.
        cache: CacheOptions,
    },
    /// No authentication: every caller is an administrator. For tests on an isolated machine only.
    Noauth2,
}

/// The options of the API.
#[derive(Clone)]
pub struct Options {
    pub auth: Auth,
    /// Options for accepting tokens.
    pub tokens: TokenOptions,
    pub policy: Policy,
    /// `osapi_max_limit`: the maximum number of rows per page.
    pub max_limit: u64,
    /// `max_request_body_size`, in bytes.
    pub max_body_bytes: usize,
    /// The timeout for receiving a request's body.
    pub body_timeout: Duration,
    /// `osapi_masakari_link_prefix`: replaces scheme and host in links, and precedes their path.
    pub link_prefix: Option<String>,
    /// The path where a proxy mounts this service without stripping it, such as `/instance-ha`; else empty.
    pub base_path: String,
    /// `enable_proxy_headers_parsing`: true if `Forwarded` and `X-Forwarded-*` are trusted for links.
    pub proxy_headers: bool,
    /// `secure_proxy_ssl_header`: the header with the scheme of links.
    pub scheme_header: Option<HeaderName>,
    /// `use_forwarded_for`: true if the log shows the address that proxies report; `proxy_headers` has the same effect.
    pub forwarded_for: bool,
    /// True if the listener serves TLS, so that links start with `https`.
    pub tls: bool,
    /// `max_header_line`, in bytes: the maximum length of a header and of the request line.
    pub max_line_bytes: usize,
    /// `project_id_regex`: matches project ids in a path. `None` accepts hexadecimal digits and hyphens.
    pub project_ids: Option<Regex>,
    /// `duplicate_notification_detection_interval`, in seconds.
    pub duplicate_window_seconds: u32,
    /// The hosts that reporters may report about.
    pub binding: BindingOptions,
    /// `[api] notifications_per_segment`: maximum number of notifications per minute from a non-administrator; 0 for no limit.
    pub notifications_per_segment: u32,
    /// `[healthcheck]`.
    pub health: HealthOptions,
    /// `[cors]`.
    pub cors: Cors,
    /// `wsgi_log_format`, or separate fields.
    pub access_log: AccessLog,
    /// `/metrics`; `None` if it is not served.
    pub metrics: Option<MetricsAccess>,
    /// `[board]`; `None` if it is not served.
    pub board: Option<Board>,
    /// The limits of streams at `/operator/v1/events`.
    pub streams: StreamOptions,
    /// The receiver of events about changes.
    pub events: Arc<dyn Events>,
}

impl Options {
    /// Returns the defaults, which are Masakari's.
    pub fn new(auth: Auth) -> Self {
        Self {
            auth,
            tokens: TokenOptions::default(),
            policy: Policy::default(),
            max_limit: 1000,
            max_body_bytes: 114_688,
            body_timeout: Duration::from_mins(1),
            link_prefix: None,
            base_path: String::new(),
            proxy_headers: false,
            scheme_header: None,
            forwarded_for: false,
            tls: false,
            max_line_bytes: 16_384,
            project_ids: None,
            duplicate_window_seconds: 180,
            binding: BindingOptions::default(),
            notifications_per_segment: 6_000,
            health: HealthOptions::default(),
            cors: Cors::default(),
            access_log: AccessLog::Fields,
            metrics: None,
            board: None,
            streams: StreamOptions::default(),
            events: Arc::new(NoEvents),
        }
    }
}
