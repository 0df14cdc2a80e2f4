//! Where Keystone is, and how it and the services are reached.

use std::time::Duration;

use crate::credentials::Credentials;
use crate::http::Tls;

/// Where and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keystone, with or without `/v3`.
    pub auth_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Only endpoints of this region.
    pub region: Option<String>,
    /// How servers are known, and how we are.
    pub tls: Tls,
    /// Who asks, in the logs of whoever is asked.
    pub user_agent: &'static str,
    /// How long a connection may take to be set up.
    pub connect_timeout: Duration,
    /// How long a request may take.
    pub timeout: Duration,
}

impl Options {
    /// With the defaults.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            auth_url: auth_url.into(),
            credentials,
            region: None,
            tls: Tls::default(),
            user_agent: concat!("tachi/", env!("CARGO_PKG_VERSION")),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// Which of an endpoint's addresses to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interface {
    /// For everybody.
    #[default]
    Public,
    /// For services.
    Internal,
    /// For administrators.
    Admin,
}

impl Interface {
    /// Keystone's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }

    /// By Keystone's word, with or without the `URL` of older catalogues.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.strip_suffix("URL").unwrap_or(word);
        [Self::Public, Self::Internal, Self::Admin]
            .into_iter()
            .find(|interface| interface.as_str() == word)
    }
}
