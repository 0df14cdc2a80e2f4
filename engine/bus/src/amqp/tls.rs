//! TLS to the broker: rustls, the authorities of a file or of the system, and a client certificate if one is
//! configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::fault::AmqpError;
use super::options::TlsOptions;

/// A TLS configuration that is ready for use.
#[derive(Clone)]
pub struct BrokerTls(RustlsConnector);

impl std::fmt::Debug for BrokerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerTls").finish_non_exhaustive()
    }
}

impl BrokerTls {
    /// Reads the files. The broker's name is always checked against its certificate.
    ///
    /// # Errors
    ///
    /// `TlsFile` names the file that cannot be used; `Tls` is any other problem.
    pub fn load(options: &TlsOptions) -> Result<Self, AmqpError> {
        let identity = identity(options)?;
        let Some(path) = &options.authorities else {
            return system(identity).map(Self);
        };
        let wrong = |source: rustls::Error| at(path, source);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(wrong)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| AmqpError::Tls {
                source: Box::new(source),
            })?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key, path)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|source| at(&path, source))?,
        };
        Ok(Self(RustlsConnector::from(config)))
    }

    pub(super) fn connector(&self) -> &RustlsConnector {
        &self.0
    }
}

/// The client certificate, its key, and the file of the certificate.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, PathBuf);

fn at(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> AmqpError {
    AmqpError::TlsFile {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn system(identity: Option<Identity>) -> Result<RustlsConnector, AmqpError> {
    let config = RustlsConnectorConfig::new_with_native_certs().map_err(|source| AmqpError::Tls {
        source: Box::new(source),
    })?;
    match identity {
        None => config
            .connector_with_no_client_auth()
            .map_err(|source| AmqpError::Tls {
                source: Box::new(source),
            }),
        Some((chain, key, path)) => config
            .connector_with_single_cert(chain, key)
            .map_err(|source| at(&path, source)),
    }
}

fn identity(options: &TlsOptions) -> Result<Option<Identity>, AmqpError> {
    let Some(certificate) = &options.certificate else {
        return Ok(None);
    };
    // The key may be in the file of its certificate, as elsewhere.
    let key = options.key.as_ref().unwrap_or(certificate);
    let found = PrivateKeyDer::from_pem_file(key).map_err(|source| at(key, source))?;
    Ok(Some((certificates(certificate)?, found, certificate.clone())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AmqpError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| at(path, source))?;
    if found.is_empty() {
        return Err(at(path, rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../api/testdata")
            .join(name)
    }

    #[test]
    fn valid_tls_files_are_accepted_and_invalid_ones_named() {
        let all = |authorities: &str, certificate: Option<&str>, key: Option<&str>| TlsOptions {
            authorities: Some(data(authorities)),
            certificate: certificate.map(data),
            key: key.map(data),
        };
        assert!(BrokerTls::load(&all("ca.pem", None, None)).is_ok());
        assert!(BrokerTls::load(&all("ca.pem", Some("server.pem"), Some("server.key"))).is_ok());
        let cases = [
            ("no such file", all("gone.pem", None, None), "gone.pem"),
            (
                "a key is no authority",
                all("server.key", None, None),
                "server.key",
            ),
            (
                "the key of another",
                all("ca.pem", Some("server.pem"), Some("renewed.key")),
                "server.pem",
            ),
            ("no key", all("ca.pem", Some("server.pem"), None), "server.pem"),
        ];
        for (name, options, expected) in cases {
            match BrokerTls::load(&options) {
                Err(AmqpError::TlsFile { path, .. }) => assert!(path.ends_with(expected), "{name}: {path:?}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
