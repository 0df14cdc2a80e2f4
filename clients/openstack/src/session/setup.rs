//! What can be wrong before the first call.

use std::path::PathBuf;

/// Why a session cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Keystone's address is none.
    #[error("using {url:?} as auth_url: {why}")]
    AuthUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nova's address is none.
    #[error("using {url:?} as Nova's endpoint: {why}")]
    Endpoint {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The CA file cannot be read.
    #[error("reading the CA file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The CA file has something else in it.
    #[error("reading the certificates in {}", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The CA file has no certificate in it.
    #[error("there is no PEM certificate in {}", path.display())]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// Our own certificate or its key cannot be read.
    #[error("reading our own certificate from {}", path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The files are no certificate with its key.
    #[error("using the certificate in {} with the key in {}", certificate.display(), key.display())]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client")]
    Client {
        /// What it said.
        #[source]
        source: reqwest::Error,
    },
    /// osauth's session could not be set up.
    #[error("setting up the OpenStack session")]
    Session {
        /// What it said.
        #[source]
        source: openstack::Error,
    },
}
