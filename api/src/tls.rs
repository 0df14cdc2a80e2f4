//! TLS served by ourselves: certificate, key, and whose clients are let in. Read again without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

/// Where the parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `ssl_cert_file`: our certificate, and what leads from it to the authority.
    pub certificate: PathBuf,
    /// `ssl_key_file`: its private key, not encrypted.
    pub key: PathBuf,
    /// `ssl_ca_file`: if it is there, every client needs a certificate of one of these authorities.
    pub client_authorities: Option<PathBuf>,
}

/// Why the files make no TLS. Each names the file; none shows what is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("reading {what} from {}", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// There is no such thing in a file.
    #[error("{} holds no {what}", path.display())]
    Nothing {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// An authority cannot be used.
    #[error("taking the certificates of {} as authorities of clients", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key cannot be used together.
    #[error("using the certificate of {} with the key of {}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// The one file that is wrong; `None` if two do not fit.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::Nothing { path, .. } | Self::Authority { path, .. } => Some(path),
            Self::Pair { .. } => None,
        }
    }
}

/// TLS as it is served. Clones share the certificate, also after it was read again.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Arc<TlsFiles>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = read(&files)?;
        Ok(Self {
            files: Arc::new(files),
            config: Arc::new(RwLock::new(Arc::new(config))),
        })
    }

    /// Reads the files anew; connections from now on get what is in them. Those that exist go on as they are.
    ///
    /// # Errors
    ///
    /// One of them cannot be used; then everything stays as it was.
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
    const WHAT: &str = "a private key without a passphrase";
    PrivateKeyDer::from_pem_file(path).map_err(|source| {
        let path = path.to_owned();
        if matches!(source, pem::Error::NoItemsFound) {
            TlsError::Nothing { what: WHAT, path }
        } else {
            TlsError::File {
                what: WHAT,
                path,
                source,
            }
        }
    })
}
