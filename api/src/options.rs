//! What an operator may choose.

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
use crate::health::HealthOptions;
use crate::live::StreamOptions;
use crate::metrics::MetricsAccess;
use crate::policy::Policy;
use crate::ports::TokenValidator;

/// Who is let in.
#[derive(Clone)]
pub enum Auth {
    /// Holders of a token that Keystone says is valid.
    Keystone {
        /// Asks Keystone.
        validator: Arc<dyn TokenValidator>,
        /// `www_authenticate_uri`: where a client without a token is sent.
        www_authenticate_uri: String,
        /// How long its answers are believed.
        cache: CacheOptions,
    },
    /// Everybody, as administrator. For tests on a closed machine only.
    Noauth2,
}

/// The options of the API.
#[derive(Clone)]
pub struct Options {
    /// Who is let in.
    pub auth: Auth,
    /// Which tokens are taken for what.
    pub tokens: TokenOptions,
    /// Who may do what.
    pub policy: Policy,
    /// `osapi_max_limit`: the longest page.
    pub max_limit: u64,
    /// `max_request_body_size`, in bytes.
    pub max_body_bytes: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// `osapi_masakari_link_prefix`: replaces scheme and host in links, and goes in front of their path.
    pub link_prefix: Option<String>,
    /// The path this service is mounted at behind a proxy that does not strip it, such as `/instance-ha`; else empty.
    pub base_path: String,
    /// `enable_proxy_headers_parsing`: believe `Forwarded` and `X-Forwarded-*` when making links.
    pub proxy_headers: bool,
    /// `secure_proxy_ssl_header`: the header whose value is the scheme of links.
    pub scheme_header: Option<HeaderName>,
    /// `use_forwarded_for`: log the address that proxies name; `proxy_headers` does so too.
    pub forwarded_for: bool,
    /// Whether the listener speaks TLS, so that links begin with `https`.
    pub tls: bool,
    /// `max_header_line`, in bytes: the longest header, and the longest first line.
    pub max_line_bytes: usize,
    /// `project_id_regex`: which texts in a path are project ids; `None` for those of hexadecimal digits and hyphens.
    pub project_ids: Option<Regex>,
    /// `duplicate_notification_detection_interval`.
    pub duplicate_window_seconds: u32,
    /// Which host a reporter may speak for.
    pub binding: BindingOptions,
    /// `[api] notifications_per_segment`: how many a reporter that is no administrator may create in a minute; 0 for any number.
    pub notifications_per_segment: u32,
    /// `[healthcheck]`.
    pub health: HealthOptions,
    /// `[cors]`.
    pub cors: Cors,
    /// `wsgi_log_format`, or fields.
    pub access_log: AccessLog,
    /// `/metrics`; `None` if it is not served.
    pub metrics: Option<MetricsAccess>,
    /// `[board]`; `None` if it is not served.
    pub board: Option<Board>,
    /// Who may listen to `/operator/v1/events`, and for how long.
    pub streams: StreamOptions,
    /// Who is told of what requests change.
    pub events: Arc<dyn Events>,
}

impl Options {
    /// The defaults, which are Masakari's.
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
