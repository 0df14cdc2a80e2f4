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
    /// The region whose endpoints are used.
    pub region: Region,
    /// The option that sets the region, for messages.
    pub region_option: &'static str,
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
            region: Region::Unset,
            region_option: "a region",
            tls: Tls::default(),
            user_agent: concat!("tachi/", env!("CARGO_PKG_VERSION")),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// The region whose endpoints are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Region {
    /// None is set: the catalogue must have a service in one region only.
    #[default]
    Unset,
    /// Set for the services themselves: no other region counts.
    Named(String),
    /// Set for Keystone alone, which may have a region of its own: counts for a service that has an endpoint there. Otherwise
    /// as if none were set.
    Preferred(String),
}

impl Region {
    /// The region that is set, if any.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Unset => None,
            Self::Named(name) | Self::Preferred(name) => Some(name),
        }
    }
}

impl From<Option<String>> for Region {
    fn from(name: Option<String>) -> Self {
        name.map_or(Self::Unset, Self::Named)
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
