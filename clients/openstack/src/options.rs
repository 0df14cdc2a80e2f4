//! Options of a session, filled in from the configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tachi_keystone::{Credentials, Interface};

/// Connection options of a cloud.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keystone and the connection settings for all services. Its `timeout` covers a whole call, including a new token
    /// and a retry.
    pub keystone: tachi_keystone::Options,
    /// The catalogue entry of Nova.
    pub compute: CatalogInfo,
    /// Nova's versioned endpoint, such as `https://nova.example/v2.1`, instead of the catalogue's.
    pub compute_endpoint: Option<String>,
    /// Timeout for all pages of a list together.
    pub list_timeout: Duration,
    /// Page size to request; Nova may return less.
    pub page_size: u32,
}

impl Options {
    /// Creates options with the default timeouts and the public `compute` endpoint.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            keystone: tachi_keystone::Options::new(auth_url, credentials),
            compute: CatalogInfo::default(),
            compute_endpoint: None,
            list_timeout: Duration::from_mins(2),
            page_size: 1000,
        }
    }
}

/// A catalogue entry, as `nova_catalog_admin_info` writes it: `service type:service name:interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogInfo {
    /// The service type, such as `compute`.
    pub service_type: String,
    /// The service name, such as `nova`; `None` matches any.
    pub service_name: Option<String>,
    /// The endpoint interface.
    pub interface: Interface,
}

impl Default for CatalogInfo {
    fn default() -> Self {
        Self {
            service_type: "compute".to_owned(),
            service_name: None,
            interface: Interface::Public,
        }
    }
}

/// A catalogue entry that does not have the form `type:name:interface`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{text:?} is not `service type:service name:interface` with an interface of publicURL, internalURL or adminURL"
)]
pub struct CatalogInfoError {
    /// The configured text.
    pub text: String,
}

impl fmt::Display for CatalogInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.service_name.as_deref().unwrap_or_default();
        write!(f, "{}:{name}:{}URL", self.service_type, self.interface.as_str())
    }
}

impl FromStr for CatalogInfo {
    type Err = CatalogInfoError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || CatalogInfoError {
            text: text.to_owned(),
        };
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let [service_type, service_name, interface] = parts.as_slice() else {
            return Err(wrong());
        };
        if service_type.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            service_type: (*service_type).to_owned(),
            service_name: (!service_name.is_empty()).then(|| (*service_name).to_owned()),
            interface: Interface::parse(interface).ok_or_else(wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type ExpectedEndpoint = Option<(&'static str, Option<&'static str>, Interface)>;

    #[test]
    fn catalog_info_is_read_as_masakari_writes_it() {
        let cases: [(&str, ExpectedEndpoint); 9] = [
            (
                "compute:nova:publicURL",
                Some(("compute", Some("nova"), Interface::Public)),
            ),
            (
                "compute:nova:internalURL",
                Some(("compute", Some("nova"), Interface::Internal)),
            ),
            (
                "compute:nova:adminURL",
                Some(("compute", Some("nova"), Interface::Admin)),
            ),
            ("compute::internal", Some(("compute", None, Interface::Internal))),
            ("compute", None),
            (":nova:publicURL", None),
            ("compute:nova:PublicURL", None),
            ("compute:nova:publicURL:x", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let got = text.parse::<CatalogInfo>().ok();
            if let Some(got) = &got {
                assert_eq!(got.to_string().parse().as_ref(), Ok(got));
            }
            let got = got
                .as_ref()
                .map(|c| (c.service_type.as_str(), c.service_name.as_deref(), c.interface));
            assert_eq!(got, expected, "{text:?}");
        }
    }
}
