//! TLS over real sockets, with real clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::routing::get;
use reqwest::{Certificate, Client, Identity};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use super::*;
use crate::tls::{TlsError, TlsFiles};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn files(authorities: Option<&str>) -> TlsFiles {
    TlsFiles {
        certificate: file("server.pem"),
        key: file("server.key"),
        client_authorities: authorities.map(file),
    }
}

struct RunningServer {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<bool>,
}

async fn start(tls: Tls, handshake_timeout: Duration) -> RunningServer {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServeOptions {
        tls: Some(tls),
        handshake_timeout,
        ..ServeOptions::default()
    };
    let shutdown = CancellationToken::new();
    let router = Router::new().route("/", get(|| async { "over TLS" }));
    let ended = tokio::spawn(serve(listener, router, options, shutdown.clone()));
    RunningServer {
        address,
        shutdown,
        ended,
    }
}

impl RunningServer {
    /// Sends a request with a new client to `name`. Returns the answer, or the error of the handshake.
    async fn ask(&self, name: &str, identity: Option<&str>) -> Result<String, bool> {
        let authority = Certificate::from_pem(&std::fs::read(file("ca.pem")).unwrap()).unwrap();
        let mut builder = Client::builder()
            .tls_built_in_root_certs(false)
            .add_root_certificate(authority)
            .resolve(name, self.address)
            .timeout(Duration::from_secs(10));
        if let Some(identity) = identity {
            let pem = std::fs::read(file(identity)).unwrap();
            builder = builder.identity(Identity::from_pem(&pem).unwrap());
        }
        let url = format!("https://{name}:{}/", self.address.port());
        match builder.build().unwrap().get(url).send().await {
            Ok(answer) => Ok(answer.text().await.unwrap()),
            Err(error) => Err(!error.is_timeout() && error.status().is_none()),
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        assert!(self.ended.await.unwrap(), "drained");
    }
}

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn clients_of_the_right_authority_are_served() {
    let server = start(Tls::load(files(None)).unwrap(), LONG).await;
    assert_eq!(server.ask("localhost", None).await.as_deref(), Ok("over TLS"));
    assert_eq!(server.ask("another.name", None).await, Err(true), "another name");
    server.stop().await;
}

#[tokio::test]
async fn with_ssl_ca_file_only_clients_with_a_good_certificate_are_served() {
    let server = start(Tls::load(files(Some("ca.pem"))).unwrap(), LONG).await;
    let cases = [
        ("a good one", Some("client.pem"), true),
        ("none", None, false),
        ("an expired one", Some("expired.pem"), false),
        ("one of another authority", Some("stranger.pem"), false),
    ];
    for (name, identity, is_served) in cases {
        let got = server.ask("localhost", identity).await;
        let expected = if is_served {
            Ok("over TLS".to_owned())
        } else {
            Err(true)
        };
        assert_eq!(got, expected, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_bad_one_leaves_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let own = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_authorities: None,
    };
    let put = |name: &str| {
        std::fs::copy(file(&format!("{name}.pem")), &own.certificate).unwrap();
        std::fs::copy(file(&format!("{name}.key")), &own.key).unwrap();
    };
    put("server");
    let tls = Tls::load(own.clone()).unwrap();
    let server = start(tls.clone(), LONG).await;
    assert!(server.ask("renewed.test", None).await.is_err());
    std::fs::write(&own.certificate, "half a file").unwrap();
    let error = tls.reload().unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
    assert!(
        server.ask("localhost", None).await.is_ok(),
        "the old one is still there"
    );
    put("renewed");
    tls.reload().unwrap();
    assert!(server.ask("renewed.test", None).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_a_handshake_is_disconnected() {
    let server = start(Tls::load(files(None)).unwrap(), Duration::from_millis(10)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
    let plain = reqwest::Client::builder().timeout(LONG).build().unwrap();
    let result = plain.get(format!("http://{}/", server.address)).send().await;
    assert!(result.is_err(), "plain HTTP is no handshake");
    server.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_handshakes() {
    let server = start(Tls::load(files(None)).unwrap(), Duration::from_secs(3600)).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.stop().await;
}

/// A predicate that is true for the expected error.
type Check = fn(&TlsError) -> bool;

#[test]
fn unusable_tls_files_are_named_but_not_shown() {
    let with = |certificate: &str, key: &str, authorities: Option<&str>| {
        Tls::load(TlsFiles {
            certificate: file(certificate),
            key: file(key),
            client_authorities: authorities.map(file),
        })
        .map(drop)
    };
    let cases: [(&str, Result<(), TlsError>, &str, Check); 7] = [
        (
            "no such certificate",
            with("gone.pem", "server.key", None),
            "gone.pem",
            |e| matches!(e, TlsError::File { .. }),
        ),
        (
            "no such key",
            with("server.pem", "gone.key", None),
            "gone.key",
            |e| matches!(e, TlsError::File { .. }),
        ),
        (
            "a key as certificate",
            with("server.key", "server.key", None),
            "server.key",
            |e| matches!(e, TlsError::Nothing { .. }),
        ),
        (
            "a certificate as key",
            with("server.pem", "ca.pem", None),
            "ca.pem",
            |e| matches!(e, TlsError::Nothing { .. }),
        ),
        (
            "an encrypted key",
            with("server.pem", "encrypted.key", None),
            "encrypted.key",
            |e| matches!(e, TlsError::Nothing { .. }),
        ),
        (
            "another's key",
            with("server.pem", "renewed.key", None),
            "renewed.key",
            |e| matches!(e, TlsError::Pair { .. }),
        ),
        (
            "no authority",
            with("server.pem", "server.key", Some("README.md")),
            "README.md",
            |e| matches!(e, TlsError::Nothing { .. }),
        ),
    ];
    for (name, result, named, is_expected) in cases {
        let error = result.unwrap_err();
        assert!(is_expected(&error), "{name}: {error:?}");
        assert!(error.to_string().contains(named), "{name}: {error}");
    }
}
