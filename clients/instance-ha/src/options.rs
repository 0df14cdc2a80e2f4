//! Options of the client.

use tachi_keystone::{Credentials, Interface};

/// Address, credentials and connection settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keystone and connection settings. Masakari's API may take 5 s before it handles a notification.
    pub keystone: tachi_keystone::Options,
    /// The endpoint interface to use.
    pub interface: Interface,
    /// Address of the API that overrides the catalogue.
    pub endpoint: Option<String>,
    /// The place where the user configured the credentials, for messages about a refused login.
    pub config_source: String,
}

impl Options {
    /// Creates options with the defaults.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        let mut keystone = tachi_keystone::Options::new(auth_url, credentials);
        keystone.user_agent = concat!("tachi-monitor/", env!("CARGO_PKG_VERSION"));
        Self {
            keystone,
            interface: Interface::Public,
            endpoint: None,
            config_source: "[api]".to_owned(),
        }
    }
}
