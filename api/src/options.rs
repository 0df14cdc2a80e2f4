//! What an operator may choose.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::CacheOptions;
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
    /// Whether the listener speaks TLS, so that links begin with `https`.
    pub tls: bool,
    /// `duplicate_notification_detection_interval`.
    pub duplicate_window_seconds: u32,
    /// While this file exists `/healthcheck` answers 503.
    pub healthcheck_disable_file: Option<PathBuf>,
}

impl Options {
    /// The defaults, which are Masakari's.
    pub fn new(auth: Auth) -> Self {
        Self {
            auth,
            policy: Policy::default(),
            max_limit: 1000,
            max_body_bytes: 114_688,
            body_timeout: Duration::from_mins(1),
            link_prefix: None,
            base_path: String::new(),
            proxy_headers: false,
            tls: false,
            duplicate_window_seconds: 180,
            healthcheck_disable_file: Some(PathBuf::from("/etc/masakari/healthcheck_disable")),
        }
    }
}
