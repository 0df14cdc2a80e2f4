//! What a client needs to know.

use tachi_keystone::{Credentials, Interface};

/// Where and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keystone, and how everybody is reached. Masakari's API waits up to 5 s before it looks at a notification.
    pub keystone: tachi_keystone::Options,
    /// Which of the API's addresses.
    pub interface: Interface,
    /// The API's address, in place of the catalogue's.
    pub endpoint: Option<String>,
    /// Where a person has written user and password, for what is said when Keystone refuses them.
    pub written_in: String,
}

impl Options {
    /// With the defaults.
    pub fn new(auth_url: impl Into<String>, credentials: Credentials) -> Self {
        let mut keystone = tachi_keystone::Options::new(auth_url, credentials);
        keystone.user_agent = concat!("tachi-monitor/", env!("CARGO_PKG_VERSION"));
        Self {
            keystone,
            interface: Interface::Public,
            endpoint: None,
            written_in: "[api]".to_owned(),
        }
    }
}
