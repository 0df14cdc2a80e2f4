//! Trust in a Redfish service's certificate: the authorities of the system, those of a file, or the fingerprint of one
//! certificate.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::RedfishError;
use crate::web::authorities;

/// The SHA-256 hash of a certificate in DER form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is not a fingerprint.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a SHA-256 fingerprint: 64 hexadecimal digits, with optional colons")]
pub struct FingerprintError {
    /// The text.
    pub text: String,
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FingerprintError {
            text: text.to_owned(),
        };
        let bare = text.trim();
        let bare = bare.strip_prefix("sha256:").unwrap_or(bare);
        let digits: Vec<u8> = bare
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

/// The certificates to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// The authorities of this system.
    #[default]
    System,
    /// The authorities of this PEM file instead of the system's.
    CaFile(PathBuf),
    /// This certificate only, regardless of its names and its expiry: BMCs use self-signed ones.
    Fingerprint(Fingerprint),
    /// Any certificate. An attacker on the network can read the password; logged at each start.
    Insecure,
}

/// The HTTP clients of all Redfish devices, one per kind of trust: reading the system's authorities takes longer than a
/// BMC's response.
#[derive(Clone, Debug, Default)]
pub struct WebClients {
    made: Arc<Mutex<HashMap<Trust, reqwest::Client>>>,
}

impl WebClients {
    pub(super) fn get(&self, trust: &Trust) -> Result<reqwest::Client, RedfishError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(trust) {
            return Ok(client.clone());
        }
        let client = client(trust)?;
        made.insert(trust.clone(), client.clone());
        Ok(client)
    }
}

fn client(trust: &Trust) -> Result<reqwest::Client, RedfishError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tachi/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        // BMCs accept few connections.
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(4))
        .redirect(Policy::none())
        .no_proxy();
    match trust {
        Trust::System => {}
        Trust::CaFile(path) => {
            builder = builder.tls_built_in_root_certs(false);
            for authority in authorities(path)? {
                builder = builder.add_root_certificate(authority);
            }
        }
        Trust::Fingerprint(fingerprint) => {
            builder = builder.use_preconfigured_tls(pinned(*fingerprint)?);
        }
        Trust::Insecure => builder = builder.danger_accept_invalid_certs(true),
    }
    builder.build().map_err(|source| RedfishError::Client { source })
}

fn pinned(fingerprint: Fingerprint) -> Result<ClientConfig, RedfishError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinnedCertificate {
        fingerprint,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| RedfishError::Tls { source })?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// A verifier that accepts one certificate, and checks that the peer holds its key.
#[derive(Debug)]
struct PinnedCertificate {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Fingerprint::of(end_entity) == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// True if a connection failed because of the certificate, which waiting does not change.
pub(super) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref::<rustls::Error>() {
        return true;
    }
    // An io::Error does not report the error it wraps as its source, and such errors can be nested.
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    wrapped.is_some_and(|inner| is_distrust(inner)) || error.source().is_some_and(is_distrust)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_the_forms_that_tools_print() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        let expected = format!("sha256:{plain}");
        for text in [plain.as_str(), &colons, &expected, &format!(" {plain}\n")] {
            assert_eq!(
                text.parse::<Fingerprint>().unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        for text in [
            "",
            "ab",
            &plain[1..],
            &format!("{plain}ab"),
            &plain.replace('a', "g"),
            "sha1:abcd",
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn one_client_serves_all_devices_of_one_trust() {
        let clients = WebClients::default();
        let one = Trust::Fingerprint("ab".repeat(32).parse().unwrap());
        clients.get(&one).unwrap();
        clients.clone().get(&one).unwrap();
        assert_eq!(clients.made.lock().unwrap().len(), 1);
        clients
            .get(&Trust::Fingerprint("cd".repeat(32).parse().unwrap()))
            .unwrap();
        assert_eq!(clients.made.lock().unwrap().len(), 2);
        assert!(matches!(
            clients.get(&Trust::CaFile("/nonexistent/ca".into())),
            Err(RedfishError::Authorities { .. })
        ));
    }

    #[test]
    fn a_certificate_error_is_found_at_any_depth() {
        use std::io::Error;

        let refused = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (case, error, expected) in [
            ("once", Error::other(refused()), true),
            ("twice", Error::other(Error::other(refused())), true),
            (
                "another TLS error",
                Error::other(rustls::Error::DecryptError),
                false,
            ),
            ("no TLS error", Error::other("connection refused"), false),
        ] {
            assert_eq!(is_distrust(&error), expected, "{case}");
        }
    }
}
