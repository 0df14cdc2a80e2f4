//! TLS settings, and bodies with a size limit.

use std::path::{Path, PathBuf};

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response};

use crate::failure::SetupError;

/// TLS settings: trusted authorities and the client certificate.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file with the certificate authorities to trust, *instead of* the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files with the client certificate and its key, for servers that request one. One file may contain both.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate. Logged at each start.
    pub insecure: bool,
}

/// TLS settings with the loaded files.
#[derive(Debug)]
pub struct Trust {
    /// Replace the system's authorities if a file is named.
    authorities: Option<Vec<Certificate>>,
    own: Option<Identity>,
    insecure: bool,
}

impl Tls {
    /// Reads the files. `auth_url` is Keystone's address.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub fn load(&self, auth_url: &str) -> Result<Trust, SetupError> {
        if self.insecure {
            tracing::warn!(
                auth_url,
                "TLS certificates of Keystone and of the services are NOT verified"
            );
        }
        let authorities = match &self.ca_file {
            // Without TLS the file is not needed. If a server uses TLS later, no authority is trusted.
            Some(path) if !path.exists() && auth_url.starts_with("http://") => {
                let path = path.display();
                tracing::warn!(auth_url, %path, "CA file not found; TLS connections will fail");
                Some(Vec::new())
            }
            Some(path) => Some(authorities(path)?),
            None => None,
        };
        let own = self.client_certificate.as_ref();
        Ok(Trust {
            authorities,
            own: own
                .map(|(certificate, key)| own_certificate(certificate, key))
                .transpose()?,
            insecure: self.insecure,
        })
    }
}

impl Trust {
    /// Returns a builder for a client that follows no redirects: a redirect would carry the token elsewhere.
    pub fn builder(&self) -> ClientBuilder {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .danger_accept_invalid_certs(self.insecure);
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_built_in_root_certs(false);
            for authority in authorities {
                builder = builder.add_root_certificate(authority.clone());
            }
        }
        match &self.own {
            Some(own) => builder.identity(own.clone()),
            None => builder,
        }
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::File {
        what,
        path: path.to_owned(),
        source,
    })
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let path = || path.to_owned();
    let found = Certificate::from_pem_bundle(&read("the CA file", &path())?)
        .map_err(|source| SetupError::CaCertificate { path: path(), source })?;
    if found.is_empty() {
        return Err(SetupError::CaEmpty { path: path() });
    }
    Ok(found)
}

fn own_certificate(certificate: &Path, key: &Path) -> Result<Identity, SetupError> {
    let read = |path: &Path| read("our own certificate from", path);
    let mut pem = read(certificate)?;
    if key != certificate {
        pem.push(b'\n');
        pem.extend(read(key)?);
    }
    Identity::from_pem(&pem).map_err(|source| SetupError::Certificate {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// An error in reading a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("reading the body")]
    Broken(#[source] reqwest::Error),
    /// The body exceeds the limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Reads a body of up to `limit` bytes.
///
/// # Errors
///
/// The body is larger, or the connection broke.
pub async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| BodyError::Broken(e.without_url()))?
    {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        PathBuf::from(format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR")))
    }

    fn with_ca(auth_url: &str, content: Option<&[u8]>) -> Result<Client, SetupError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let tls = Tls {
            ca_file: Some(path),
            ..Tls::default()
        };
        tls.load(auth_url)?.builder().build().map_err(SetupError::Client)
    }

    #[test]
    fn an_unusable_ca_file_prevents_the_start() {
        for auth_url in ["http://127.0.0.1", "https://127.0.0.1"] {
            assert!(matches!(
                with_ca(auth_url, Some(b"no certificates here\n")),
                Err(SetupError::CaEmpty { .. })
            ));
            let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            assert!(with_ca(auth_url, Some(broken)).is_err());
        }
        let absent = with_ca("https://127.0.0.1", None);
        assert!(matches!(absent, Err(SetupError::File { .. })));
    }

    #[test]
    fn a_missing_ca_file_is_accepted_without_tls() {
        assert!(with_ca("http://127.0.0.1", None).is_ok());
    }

    #[test]
    fn a_certificate_of_ours_comes_with_its_key() {
        let cases = [
            ("both", "server.pem", "server.key", true),
            ("no key", "server.pem", "server.pem", false),
            ("no certificate", "server.key", "server.key", false),
            ("nothing there", "nowhere.pem", "server.key", false),
        ];
        for (name, certificate, key, good) in cases {
            let made = own_certificate(&file(certificate), &file(key));
            assert_eq!(made.is_ok(), good, "{name}");
        }
    }

    /// Serves TLS with a certificate of the private authority and answers every request.
    async fn tls_server() -> (String, tokio::task::JoinHandle<()>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        use tokio_rustls::rustls::ServerConfig;
        use tokio_rustls::rustls::crypto::ring;
        use tokio_rustls::rustls::pki_types::pem::PemObject as _;
        use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

        let chain = vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
                    .await
                    .unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (url, task)
    }

    #[tokio::test]
    async fn a_private_certificate_needs_its_authority_or_insecure() {
        let (url, server) = tls_server().await;
        for (ca, insecure, good) in [(true, false, true), (false, true, true), (false, false, false)] {
            let tls = Tls {
                ca_file: ca.then(|| file("ca.pem")),
                insecure,
                ..Tls::default()
            };
            let client = tls.load("http://127.0.0.1").unwrap().builder().build().unwrap();
            match client.get(&url).send().await {
                Ok(answer) => assert!(good && answer.status() == 204, "{ca} {insecure}"),
                // Untrusted, so nothing was sent.
                Err(error) => assert!(!good && error.is_connect(), "{ca} {insecure}: {error:?}"),
            }
        }
        server.abort();
    }
}
