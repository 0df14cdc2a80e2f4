//! Errors in setting up a session.

/// An error in setting up a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Keystone's address or a certificate file cannot be used.
    #[error(transparent)]
    Keystone(#[from] tachi_keystone::SetupError),
    /// The text is not a valid address of Nova.
    #[error("using {url:?} as Nova's endpoint: {why}")]
    Endpoint {
        /// The address.
        url: String,
        /// The reason.
        why: String,
    },
    /// osauth's session could not be set up.
    #[error("setting up the OpenStack session")]
    Session {
        /// The error.
        #[source]
        source: openstack::Error,
    },
}
