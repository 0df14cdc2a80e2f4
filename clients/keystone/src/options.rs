//! Connection options for Keystone and the services.

use std::time::Duration;

use crate::credentials::Credentials;
use crate::http::Tls;

/// Address, credentials and connection settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// The credentials.
    pub credentials: Credentials,
    /// The region whose endpoints are used.
    pub region: Region,
    /// The option that sets the region, for messages.
    pub region_option: &'static str,
    /// TLS settings.
    pub tls: Tls,
    /// User agent, for the services' logs.
    pub user_agent: &'static str,
    /// Timeout for establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout of a request.
    pub timeout: Duration,
}

impl Options {
    /// Creates options with the defaults.
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
    /// Set for the services: only this region counts.
    Named(String),
    /// Set for Keystone alone, which may have its own region. Applies to a service with an endpoint there; otherwise
    /// as if none were set.
    Preferred(String),
}

impl Region {
    /// Returns the configured region, if any.
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

/// The endpoint interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interface {
    /// The public interface.
    #[default]
    Public,
    /// The internal interface.
    Internal,
    /// The admin interface.
    Admin,
}

impl Interface {
    /// Returns Keystone's name of the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }

    /// Parses Keystone's name of the interface, with or without the `URL` suffix of older catalogues.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix("URL").unwrap_or(text);
        [Self::Public, Self::Internal, Self::Admin]
            .into_iter()
            .find(|interface| interface.as_str() == text)
    }
}
