//! What a session needs to know; filled in by the wiring from the configuration.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use openstack::{IdOrName, InterfaceType};
use secrecy::SecretString;

/// How to reach and use a cloud.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keystone, with or without `/v3`.
    pub auth_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Only endpoints of this region are used.
    pub region: Option<String>,
    /// Which catalogue entry is Nova.
    pub compute: CatalogInfo,
    /// Nova's versioned endpoint, such as `https://nova.example/v2.1`, instead of the catalogue's.
    pub compute_endpoint: Option<String>,
    /// PEM file with the certificate authorities to trust *instead of* the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our own certificate and its key, for servers that ask for one. One file may hold both.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate. Logged at each start.
    pub insecure: bool,
    /// How long a connection may take to be set up.
    pub connect_timeout: Duration,
    /// How long a call may take altogether, with a new token and a replay.
    pub timeout: Duration,
    /// How long all pages of a list may take together.
    pub list_timeout: Duration,
    /// How many items a page of a list is asked to have; Nova may give less.
    pub page_size: u32,
}

impl Options {
    /// With the default deadlines and the public `compute` endpoint.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            auth_url: auth_url.into(),
            credentials,
            region: None,
            compute: CatalogInfo::default(),
            compute_endpoint: None,
            ca_file: None,
            client_certificate: None,
            insecure: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            list_timeout: Duration::from_mins(2),
            page_size: 1000,
        }
    }
}

/// Who we are. Secrets do not show in `Debug`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A user's password, with a token scoped to a project.
    Password {
        /// The user.
        user: IdOrName,
        /// The user's domain; needed when the user is given by name.
        user_domain: Option<IdOrName>,
        /// The password.
        password: SecretString,
        /// The project to work in.
        project: Project,
    },
    /// An application credential by its id; it knows its user and project.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// An application credential by its name, which is unique per user only.
    NamedApplicationCredential {
        /// Its name.
        name: String,
        /// The user.
        user: IdOrName,
        /// The user's domain; needed when the user is given by name.
        user_domain: Option<IdOrName>,
        /// Its secret.
        secret: SecretString,
    },
}

/// The project a token is scoped to.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its id, or its name within `domain`.
    pub project: IdOrName,
    /// Its domain; needed when the project is given by name.
    pub domain: Option<IdOrName>,
}

/// Which of an endpoint's addresses to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// For everybody.
    #[default]
    Public,
    /// For services.
    Internal,
    /// For administrators.
    Admin,
}

impl From<Interface> for InterfaceType {
    fn from(interface: Interface) -> Self {
        match interface {
            Interface::Public => Self::Public,
            Interface::Internal => Self::Internal,
            Interface::Admin => Self::Admin,
        }
    }
}

/// A catalogue entry, as `nova_catalog_admin_info` writes it: `service type:service name:interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogInfo {
    /// Such as `compute`.
    pub service_type: String,
    /// Such as `nova`; `None` takes any.
    pub service_name: Option<String>,
    /// Which address.
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

/// A catalogue entry that is not written as `type:name:interface`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{text:?} is not `service type:service name:interface` with an interface of publicURL, internalURL or adminURL"
)]
pub struct CatalogInfoError {
    /// What was given.
    pub text: String,
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
        let interface = match *interface {
            "publicURL" | "public" => Interface::Public,
            "internalURL" | "internal" => Interface::Internal,
            "adminURL" | "admin" => Interface::Admin,
            _ => return Err(wrong()),
        };
        Ok(Self {
            service_type: (*service_type).to_owned(),
            service_name: (!service_name.is_empty()).then(|| (*service_name).to_owned()),
            interface,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Want = Option<(&'static str, Option<&'static str>, Interface)>;

    #[test]
    fn catalog_info_is_read_as_masakari_writes_it() {
        let cases: [(&str, Want); 9] = [
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
        for (text, want) in cases {
            let got = text.parse::<CatalogInfo>().ok();
            let got = got
                .as_ref()
                .map(|c| (c.service_type.as_str(), c.service_name.as_deref(), c.interface));
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let password = Credentials::Password {
            user: IdOrName::from_name("tachi"),
            user_domain: None,
            password: "pa55-in-debug".into(),
            project: Project {
                project: IdOrName::from_name("service"),
                domain: None,
            },
        };
        let by_id = Credentials::ApplicationCredential {
            id: "a".into(),
            secret: "pa55-in-debug".into(),
        };
        let by_name = Credentials::NamedApplicationCredential {
            name: "a".into(),
            user: IdOrName::from_id("u"),
            user_domain: None,
            secret: "pa55-in-debug".into(),
        };
        for credentials in [password, by_id, by_name] {
            let shown = format!("{:?}", Options::new("http://127.0.0.1", credentials));
            assert!(!shown.contains("pa55-in-debug"), "{shown}");
        }
    }
}
