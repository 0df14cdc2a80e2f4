//! HTTP clients with deadlines, and bodies with a limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Response};

use crate::options::Options;
use crate::session::SetupError;

/// Largest body that is read, in bytes: a page of 1000 servers is about 5 MB.
pub(crate) const BODY_LIMIT: usize = 64 << 20;

/// Largest error body that is read, in bytes.
pub(crate) const ERROR_BODY_LIMIT: usize = 64 << 10;

/// How long a connection may be set up for a call that must not be late (R4): with the 0.5 s before it, the first byte
/// leaves before another engine can have taken over.
const WRITE_CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Two clients: `reads`, and `writes` for calls that leave soon or not at all.
pub(crate) struct Clients {
    pub(crate) reads: Client,
    pub(crate) writes: Client,
}

impl Clients {
    pub(crate) fn new(options: &Options) -> Result<Self, SetupError> {
        if options.insecure {
            tracing::warn!(auth_url = %options.auth_url, "TLS certificates of Keystone and Nova are NOT verified");
        }
        let authorities = match &options.ca_file {
            // Without TLS nobody asks for it: it is missed when somebody does, and then nobody is trusted.
            Some(path) if !path.exists() && options.auth_url.starts_with("http://") => {
                tracing::warn!(
                    auth_url = %options.auth_url,
                    "the file of authorities {} is not there: nobody who speaks TLS is trusted",
                    path.display()
                );
                Vec::new()
            }
            Some(path) => authorities(path)?,
            None => Vec::new(),
        };
        let own = options
            .client_certificate
            .as_ref()
            .map(|(certificate, key)| own_certificate(certificate, key))
            .transpose()?;
        let build = |connect: Duration, idle: Duration| {
            let mut builder = Client::builder()
                .user_agent(concat!("tachi/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect)
                .timeout(options.timeout)
                // Apache closes idle connections after 5 s; a request on a connection that is just being closed
                // fails without telling whether it was read.
                .pool_idle_timeout(idle)
                .redirect(Policy::none())
                .danger_accept_invalid_certs(options.insecure);
            if options.ca_file.is_some() {
                builder = builder.tls_built_in_root_certs(false);
            }
            for authority in authorities.clone() {
                builder = builder.add_root_certificate(authority);
            }
            if let Some(own) = own.clone() {
                builder = builder.identity(own);
            }
            builder.build().map_err(|source| SetupError::Client { source })
        };
        Ok(Self {
            reads: build(options.connect_timeout, Duration::from_secs(4))?,
            writes: build(
                options.connect_timeout.min(WRITE_CONNECT_LIMIT),
                Duration::from_secs(2),
            )?,
        })
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let owned = || PathBuf::from(path);
    let pem = std::fs::read(path).map_err(|source| SetupError::CaFile {
        path: owned(),
        source,
    })?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|source| SetupError::CaCertificate {
        path: owned(),
        source,
    })?;
    if found.is_empty() {
        return Err(SetupError::CaEmpty { path: owned() });
    }
    Ok(found)
}

fn own_certificate(certificate: &Path, key: &Path) -> Result<Identity, SetupError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| SetupError::CertificateFile {
            path: path.to_owned(),
            source,
        })
    };
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

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("reading the answer")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

/// Reads a body up to `limit` bytes.
pub(crate) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
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
    use crate::options::Credentials;

    fn with_ca(auth_url: &str, content: Option<&[u8]>) -> Result<Clients, SetupError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let mut options = Options::new(
            auth_url,
            Credentials::ApplicationCredential {
                id: "a".into(),
                secret: "b".into(),
            },
        );
        options.ca_file = Some(path);
        Clients::new(&options)
    }

    #[test]
    fn a_ca_file_that_cannot_serve_stops_the_start() {
        for auth_url in ["http://127.0.0.1", "https://127.0.0.1"] {
            assert!(matches!(
                with_ca(auth_url, Some(b"no certificates here\n")),
                Err(SetupError::CaEmpty { .. })
            ));
            let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            assert!(with_ca(auth_url, Some(broken)).is_err());
        }
        let absent = with_ca("https://127.0.0.1", None);
        assert!(matches!(absent, Err(SetupError::CaFile { .. })));
    }

    #[test]
    fn a_ca_file_that_is_not_there_is_no_matter_without_tls() {
        assert!(with_ca("http://127.0.0.1", None).is_ok());
    }

    #[test]
    fn a_certificate_of_ours_comes_with_its_key() {
        let file = |name: &str| PathBuf::from(format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR")));
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

        let file = |name: &str| format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
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
    async fn only_the_right_authority_or_an_explicit_word_lets_a_private_certificate_pass() {
        let (url, server) = tls_server().await;
        for (ca, insecure, good) in [(true, false, true), (false, true, true), (false, false, false)] {
            let credentials = Credentials::ApplicationCredential {
                id: "a".into(),
                secret: "b".into(),
            };
            let mut options = Options::new("http://127.0.0.1", credentials);
            options.ca_file = ca.then(|| crate::fake::CA.into());
            options.insecure = insecure;
            let clients = Clients::new(&options).unwrap();
            for client in [&clients.reads, &clients.writes] {
                match client.get(&url).send().await {
                    Ok(answer) => assert!(good && answer.status() == 204, "{ca} {insecure}"),
                    // Not trusted, so nothing was sent.
                    Err(error) => assert!(!good && error.is_connect(), "{ca} {insecure}: {error:?}"),
                }
            }
        }
        server.abort();
    }
}
