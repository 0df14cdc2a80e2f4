//! The peer of a connection, and checks of its address.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The addresses of a connection. They are in the extensions of every request on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address of the client, or of the last proxy.
    pub(crate) address: SocketAddr,
    /// The local port.
    pub(crate) port: u16,
}

/// The name in a client's certificate. It is in the extensions of every request on the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateName(pub(crate) String);

/// Returns the common name of a verified certificate; `None` if it has none, or several.
pub(crate) fn certificate_name(der: &[u8]) -> Option<CertificateName> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    names.next().is_none().then(|| CertificateName(name.to_owned()))
}

/// Returns the peer's address. An IPv4 address on an IPv6 socket is returned as IPv4.
pub(crate) fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<Peer>()
        .map(|peer| peer.address.ip().to_canonical())
}

/// True if the peer's address is in one of `ranges`. False if the address is unknown.
pub(crate) fn is_within(extensions: &Extensions, ranges: &[IpNet]) -> bool {
    address(extensions).is_some_and(|address| ranges.iter().any(|range| range.contains(&address)))
}

/// True if a header shows that the request passed through a proxy.
pub(crate) fn is_proxied(headers: &HeaderMap) -> bool {
    const PROXY_HEADERS: [&str; 8] = [
        "forwarded",
        "via",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_certificate_is_its_common_name() {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let der = CertificateDer::from_pem_slice(include_bytes!("../testdata/client.pem")).unwrap();
        let name = certificate_name(&der).unwrap();
        assert!(!name.0.is_empty(), "{name:?}");
        assert_eq!(certificate_name(b"no certificate"), None);
    }

    #[test]
    fn ranges() {
        let ranges: Vec<IpNet> = ["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"]
            .map(|text| text.parse().unwrap())
            .into();
        let cases = [
            ("loopback", "127.0.0.1:1", true),
            ("IPv4 on an IPv6 socket", "[::ffff:10.1.2.3]:1", true),
            ("IPv6", "[fd12::1]:1", true),
            ("outside", "10.2.0.1:1", false),
            ("IPv6 outside", "[::1]:1", false),
        ];
        for (name, address, expected) in cases {
            let mut extensions = Extensions::new();
            extensions.insert(Peer {
                address: address.parse().unwrap(),
                port: 1,
            });
            assert_eq!(is_within(&extensions, &ranges), expected, "{name}");
        }
        assert!(!is_within(&Extensions::new(), &ranges), "the address is unknown");
    }
}
