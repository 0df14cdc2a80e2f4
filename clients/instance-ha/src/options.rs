//! What a client needs to know.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Where and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keystone, with or without `/v3`.
    pub auth_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Only endpoints of this region.
    pub region: Option<String>,
    /// Which of the addresses.
    pub interface: Interface,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our own certificate and its key; one file may hold both.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Who asks, in the logs of whoever is asked.
    pub user_agent: &'static str,
    /// Where a person has written user and password, for what is said when Keystone refuses them.
    pub written_in: String,
    /// How long a connection may take to be set up.
    pub connect_timeout: Duration,
    /// How long a request may take. Masakari's API waits up to 5 s before it looks at a notification.
    pub timeout: Duration,
}

impl Options {
    /// With the defaults.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            auth_url: auth_url.into(),
            credentials,
            region: None,
            interface: Interface::Public,
            ca_file: None,
            client_certificate: None,
            insecure: false,
            user_agent: concat!("tachi-monitor/", env!("CARGO_PKG_VERSION")),
            written_in: "[api]".to_owned(),
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
}

/// Something of Keystone's that has an id, and a name that is unique within a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The name.
        name: String,
        /// Its domain.
        domain: Option<Domain>,
    },
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project.
    Project(Named),
    /// A domain.
    Domain(Domain),
    /// The whole system.
    System,
    /// What Keystone takes for the user's default.
    Default,
}

/// Who we are. Secrets do not show in `Debug`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user's password.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: SecretString,
        /// What for.
        scope: Scope,
    },
    /// An application credential, which knows its project.
    ApplicationCredential {
        /// Its id, or its name and its user.
        credential: ApplicationCredential,
        /// Its secret.
        secret: SecretString,
    },
}

/// An application credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name, which is unique per user.
    Name {
        /// The name.
        name: String,
        /// The user.
        user: Named,
    },
}
