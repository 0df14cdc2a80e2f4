//! Links to ourselves, as the caller can reach us.

use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderName, header};

use crate::path::Place;

/// Makes links.
#[derive(Default)]
pub(crate) struct Links {
    /// Replaces scheme and host, without a slash at its end.
    pub(crate) prefix: Option<String>,
    /// Whether a proxy's headers are believed.
    pub(crate) proxy_headers: bool,
    /// The header whose value is the scheme a proxy was asked by.
    pub(crate) scheme_header: Option<HeaderName>,
    /// Whether we speak TLS.
    pub(crate) tls: bool,
}

impl Links {
    /// What comes before `/v1`.
    pub(crate) fn base(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        let mount = extensions.get::<Place>().map_or("", |place| &place.mount);
        let mut scheme = if self.tls { "https" } else { "http" };
        let mut host = text(headers, header::HOST.as_str())
            .and_then(authority)
            .unwrap_or("localhost");
        let mut outer_mount = "";
        if let Some(name) = &self.scheme_header {
            scheme = text(headers, name.as_str())
                .and_then(known_scheme)
                .unwrap_or(scheme);
        }
        if self.proxy_headers {
            // A proxy that speaks RFC 7239 has said all it knows in one header.
            let told = |key, name| match text(headers, "forwarded") {
                Some(forwarded) => parameter(forwarded, key),
                None => first(text(headers, name)?),
            };
            scheme = told("proto", "x-forwarded-proto")
                .and_then(known_scheme)
                .unwrap_or(scheme);
            host = told("host", "x-forwarded-host")
                .and_then(authority)
                .unwrap_or(host);
            outer_mount = text(headers, "x-forwarded-prefix")
                .and_then(mount_point)
                .unwrap_or("");
        }
        match &self.prefix {
            Some(prefix) => format!("{prefix}{outer_mount}{mount}"),
            None => format!("{scheme}://{host}{outer_mount}{mount}"),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// The first of a list: what the outermost proxy saw.
fn first(list: &str) -> Option<&str> {
    list.split(',').next().map(str::trim)
}

/// A parameter of the first element of RFC 7239's `Forwarded`.
pub(crate) fn parameter<'a>(forwarded: &'a str, key: &str) -> Option<&'a str> {
    first(forwarded)?.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim_matches('"'))
    })
}

/// A scheme we can be asked by.
fn known_scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text))
}

/// A host with or without a port, and nothing else that would make another link of it.
fn authority(text: &str) -> Option<&str> {
    let authority: Authority = text.parse().ok()?;
    (!authority.host().is_empty() && !text.contains('@')).then_some(text)
}

/// A path without a slash at its end.
fn mount_point(text: &str) -> Option<&str> {
    let path = text.trim_end_matches('/');
    let is_path = path.starts_with('/') && !path.starts_with("//") && path.parse::<PathAndQuery>().is_ok();
    (is_path && !path.contains('?')).then_some(path)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn base(links: &Links, mount: &str, asked: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (key, value) in asked {
            headers.insert(*key, HeaderValue::from_static(value));
        }
        let mut extensions = Extensions::new();
        extensions.insert(Place {
            mount: mount.to_owned(),
            project: None,
        });
        links.base(&headers, &extensions)
    }

    const HOST: (&str, &str) = ("host", "ha:15868");
    const X_PROTO: (&str, &str) = ("x-forwarded-proto", "https");
    const X_HOST: (&str, &str) = ("x-forwarded-host", "outside, inside");
    const X_PREFIX: (&str, &str) = ("x-forwarded-prefix", "/pre/");

    #[test]
    fn s1_1_bases_without_a_proxy() {
        let plain = Links::default();
        let tls = Links {
            tls: true,
            ..Links::default()
        };
        let prefixed = |prefix: &str| Links {
            prefix: Some(prefix.to_owned()),
            ..Links::default()
        };
        let cases: &[(&str, &Links, &str, &[_], &str)] = &[
            ("host header", &plain, "", &[HOST], "http://ha:15868"),
            ("no host header", &plain, "", &[], "http://localhost"),
            (
                "strange host",
                &plain,
                "",
                &[("host", "x@evil/a")],
                "http://localhost",
            ),
            (
                "IPv6 host",
                &plain,
                "",
                &[("host", "[::1]:15868")],
                "http://[::1]:15868",
            ),
            ("mounted", &plain, "/ha", &[HOST], "http://ha:15868/ha"),
            ("TLS", &tls, "", &[HOST], "https://ha:15868"),
            (
                "link prefix",
                &prefixed("https://x/masakari"),
                "",
                &[HOST],
                "https://x/masakari",
            ),
            (
                "link prefix, mounted",
                &prefixed("https://x"),
                "/ha",
                &[HOST],
                "https://x/ha",
            ),
            (
                "a proxy's word, not believed",
                &plain,
                "",
                &[HOST, X_PROTO, X_HOST, X_PREFIX],
                "http://ha:15868",
            ),
        ];
        for (name, links, mount, asked, expected) in cases {
            assert_eq!(&base(links, mount, asked), expected, "{name}");
        }
    }

    #[test]
    fn s1_1_bases_behind_a_proxy() {
        let rfc = (
            "forwarded",
            "Proto=https;host=\"rfc:8443\", for=inside;proto=http",
        );
        let believing = Links {
            proxy_headers: true,
            ..Links::default()
        };
        let prefixed = Links {
            proxy_headers: true,
            prefix: Some("https://x".to_owned()),
            ..Links::default()
        };
        let by_header = Links {
            scheme_header: Some(HeaderName::from_static("x-scheme")),
            ..Links::default()
        };
        let cases: &[(&str, &Links, &str, &[_], &str)] = &[
            (
                "X-Forwarded-*",
                &believing,
                "",
                &[HOST, X_PROTO, X_HOST, X_PREFIX],
                "https://outside/pre",
            ),
            ("RFC 7239", &believing, "", &[HOST, rfc], "https://rfc:8443"),
            (
                "RFC 7239 alone counts",
                &believing,
                "",
                &[HOST, ("forwarded", "for=192.0.2.1"), X_PROTO, X_HOST],
                "http://ha:15868",
            ),
            (
                "it says nothing",
                &believing,
                "/ha",
                &[HOST],
                "http://ha:15868/ha",
            ),
            (
                "prefix and mount",
                &believing,
                "/ha",
                &[HOST, X_PREFIX],
                "http://ha:15868/pre/ha",
            ),
            (
                "another scheme",
                &believing,
                "",
                &[HOST, ("x-forwarded-proto", "javascript")],
                "http://ha:15868",
            ),
            (
                "another site in the prefix",
                &believing,
                "",
                &[HOST, ("x-forwarded-prefix", "//evil")],
                "http://ha:15868",
            ),
            (
                "link prefix wins",
                &prefixed,
                "",
                &[HOST, X_PROTO, X_HOST, X_PREFIX],
                "https://x/pre",
            ),
            (
                "secure_proxy_ssl_header",
                &by_header,
                "",
                &[HOST, ("x-scheme", "HTTPS")],
                "https://ha:15868",
            ),
            (
                "secure_proxy_ssl_header, nonsense",
                &by_header,
                "",
                &[HOST, ("x-scheme", "on")],
                "http://ha:15868",
            ),
        ];
        for (name, links, mount, asked, expected) in cases {
            assert_eq!(&base(links, mount, asked), expected, "{name}");
        }
    }
}
