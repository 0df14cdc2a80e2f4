//! TLS: certificate, key, and the authorities of client certificates. They can be reloaded without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

/// The paths of the TLS files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `ssl_cert_file`: the server's certificate, and the chain to its authority.
    pub certificate: PathBuf,
    /// `ssl_key_file`: the private key of the certificate, not encrypted.
    pub key: PathBuf,
    /// `ssl_ca_file`: if set, every client needs a certificate of one of these authorities.
    pub client_authorities: Option<PathBuf>,
}

/// A reason why the files are not usable for TLS. Each names the file; none shows its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("reading {what} from {}", path.display())]
    File {
        /// The expected content.
        what: &'static str,
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    /// A file does not contain the expected item.
    #[error("{} contains no {what}", path.display())]
    Nothing {
        /// The expected content.
        what: &'static str,
        path: PathBuf,
    },
    /// An authority's certificate is not usable.
    #[error("using the certificates of {} as client authorities", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate and the key do not match or are not usable together.
    #[error("using the certificate of {} with the key of {}", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// Returns the faulty file; `None` if certificate and key do not match.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::Nothing { path, .. } | Self::Authority { path, .. } => Some(path),
            Self::Pair { .. } => None,
        }
    }
}

/// The TLS configuration of the server. Clones share it, also after a reload.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Arc<TlsFiles>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    ///
    /// A file is not usable.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = read(&files)?;
        Ok(Self {
            files: Arc::new(files),
            config: Arc::new(RwLock::new(Arc::new(config))),
        })
    }

    /// Reloads the files for new connections. Existing connections are unaffected.
    ///
    /// # Errors
    ///
    /// A file is not usable. The previous configuration then remains in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = Arc::new(read(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates("a certificate", &files.certificate)?;
    let key = private_key(&files.key)?;
    let provider = Arc::new(ring::default_provider());
    let pair = |source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Authority {
                path: path.clone(),
                source,
            };
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates("an authority's certificate", path)? {
                roots.add(certificate).map_err(|error| wrong(Box::new(error)))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| wrong(Box::new(error)))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File {
        what,
        path: path.to_owned(),
        source,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    let found = found.map_err(wrong)?;
    if found.is_empty() {
        return Err(TlsError::Nothing {
            what,
            path: path.to_owned(),
        });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const EXPECTED: &str = "a private key without a passphrase";
    PrivateKeyDer::from_pem_file(path).map_err(|source| {
        let path = path.to_owned();
        if matches!(source, pem::Error::NoItemsFound) {
            TlsError::Nothing { what: EXPECTED, path }
        } else {
            TlsError::File {
                what: EXPECTED,
                path,
                source,
            }
        }
    })
}
