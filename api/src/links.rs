//! Links to the API itself, with an address that the caller can reach.

use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderName, Uri, header};

use crate::path::PathPrefix;

/// The configuration of links.
#[derive(Default)]
pub(crate) struct Links {
    /// Replaces scheme and host; without a trailing slash.
    pub(crate) prefix: Option<String>,
    /// True if a proxy's headers are trusted.
    pub(crate) proxy_headers: bool,
    /// The header with the scheme of the client's request to the proxy.
    pub(crate) scheme_header: Option<HeaderName>,
    /// True if the API serves TLS.
    pub(crate) tls: bool,
}

/// The address that the client used, as far as the headers report it.
struct RequestBase<'a> {
    scheme: &'static str,
    /// The host, with its port if one was given; `None` if unknown.
    host: Option<&'a str>,
    /// The prefix that proxies removed from the path.
    mount: &'a str,
}

impl Links {
    /// Returns the part of a link before `/v1`.
    pub(crate) fn base(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        let mount = extensions.get::<PathPrefix>().map_or("", |place| &place.mount);
        let asked = self.asked(headers);
        if let Some(prefix) = &self.prefix {
            return format!("{prefix}{}{mount}", asked.mount);
        }
        let host = asked.host.unwrap_or("localhost");
        format!("{}://{host}{}{mount}", asked.scheme, asked.mount)
    }

    /// True if the page of this `Origin` was loaded from the address of the current request.
    ///
    /// If a proxy terminates TLS without reporting it, the request has the scheme `http` and the page `https`. Such a page
    /// counts as the API's own; the opposite case does not.
    pub(crate) fn is_own_origin(&self, origin: &Uri, headers: &HeaderMap) -> bool {
        let is_bare = origin.path() == "/"
            && origin
                .authority()
                .is_some_and(|named| authority(named.as_str()).is_some());
        let Some((scheme, theirs)) = site(origin).filter(|_| is_bare) else {
            return false;
        };
        let asked = self.asked(headers);
        let named: Option<Authority> = asked.host.and_then(|host| host.parse().ok());
        let is_asked = named.is_some_and(|named| place(&named, scheme) == theirs)
            && (scheme == asked.scheme || scheme == "https");
        let prefix: Option<Uri> = self.prefix.as_deref().and_then(|prefix| prefix.parse().ok());
        is_asked || prefix.as_ref().and_then(site) == Some((scheme, theirs))
    }

    fn asked<'a>(&self, headers: &'a HeaderMap) -> RequestBase<'a> {
        let mut asked = RequestBase {
            scheme: if self.tls { "https" } else { "http" },
            host: text(headers, header::HOST.as_str()).and_then(authority),
            mount: "",
        };
        if let Some(name) = &self.scheme_header {
            asked.scheme = text(headers, name.as_str())
                .and_then(known_scheme)
                .unwrap_or(asked.scheme);
        }
        if self.proxy_headers {
            // A proxy that supports RFC 7239 reports everything in one header.
            let forwarded = |key, name| match text(headers, "forwarded") {
                Some(forwarded) => parameter(forwarded, key),
                None => first(text(headers, name)?),
            };
            asked.scheme = forwarded("proto", "x-forwarded-proto")
                .and_then(known_scheme)
                .unwrap_or(asked.scheme);
            asked.host = forwarded("host", "x-forwarded-host")
                .and_then(authority)
                .or(asked.host);
            asked.mount = text(headers, "x-forwarded-prefix")
                .and_then(mount_point)
                .unwrap_or("");
        }
        asked
    }
}

/// Returns the scheme, host and port of a URL.
fn site(uri: &Uri) -> Option<(&'static str, (String, u16))> {
    let scheme = known_scheme(uri.scheme_str()?)?;
    let named = uri.authority()?;
    Some((scheme, place(named, scheme)))
}

/// Returns a host with its port. Browsers omit the scheme's default port, proxies do not.
fn place(named: &Authority, scheme: &str) -> (String, u16) {
    let usual = if scheme == "https" { 443 } else { 80 };
    (
        named.host().to_ascii_lowercase(),
        named.port_u16().unwrap_or(usual),
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// Returns the first item of a list, which the outermost proxy added.
fn first(list: &str) -> Option<&str> {
    list.split(',').next().map(str::trim)
}

/// Returns a parameter of the first element in RFC 7239's `Forwarded`.
pub(crate) fn parameter<'a>(forwarded: &'a str, key: &str) -> Option<&'a str> {
    first(forwarded)?.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim_matches('"'))
    })
}

/// Returns the scheme, if it is `http` or `https`.
fn known_scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text))
}

/// Returns a host with an optional port; `None` if other parts would change the link's target.
fn authority(text: &str) -> Option<&str> {
    let authority: Authority = text.parse().ok()?;
    (!authority.host().is_empty() && !text.contains('@')).then_some(text)
}

/// Returns a path without its trailing slash.
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
        extensions.insert(PathPrefix {
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
    fn bases_without_a_proxy() {
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
    fn bases_behind_a_proxy() {
        let rfc = (
            "forwarded",
            "Proto=https;host=\"rfc:8443\", for=inside;proto=http",
        );
        let trusting = Links {
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
                &trusting,
                "",
                &[HOST, X_PROTO, X_HOST, X_PREFIX],
                "https://outside/pre",
            ),
            ("RFC 7239", &trusting, "", &[HOST, rfc], "https://rfc:8443"),
            (
                "RFC 7239 alone counts",
                &trusting,
                "",
                &[HOST, ("forwarded", "for=192.0.2.1"), X_PROTO, X_HOST],
                "http://ha:15868",
            ),
            ("no header", &trusting, "/ha", &[HOST], "http://ha:15868/ha"),
            (
                "prefix and mount",
                &trusting,
                "/ha",
                &[HOST, X_PREFIX],
                "http://ha:15868/pre/ha",
            ),
            (
                "another scheme",
                &trusting,
                "",
                &[HOST, ("x-forwarded-proto", "javascript")],
                "http://ha:15868",
            ),
            (
                "another site in the prefix",
                &trusting,
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

    type Sent = &'static [(&'static str, &'static str)];

    const INSIDE: Sent = &[("host", "10.0.0.7:15868")];
    const FORWARDED: Sent = &[
        ("host", "10.0.0.7:15868"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "cloud.example"),
    ];

    #[test]
    fn the_own_origin_is_recognized() {
        let plain = Links::default();
        let tls = Links {
            tls: true,
            ..Links::default()
        };
        let trusting = Links {
            proxy_headers: true,
            ..Links::default()
        };
        let prefixed = Links {
            prefix: Some("https://cloud.example/ha".to_owned()),
            ..Links::default()
        };
        let cases: &[(&str, &Links, Sent, bool)] = &[
            ("http://ha:15868", &plain, &[HOST], true),
            ("http://HA:15868", &plain, &[HOST], true),
            // A proxy terminates TLS and does not report it.
            ("https://ha:15868", &plain, &[HOST], true),
            ("http://ha:15868", &tls, &[HOST], false),
            ("https://ha:15868", &tls, &[HOST], true),
            ("http://ha", &plain, &[HOST], false),
            ("http://ha:80", &plain, &[("host", "ha")], true),
            ("https://ha", &plain, &[("host", "ha:443")], true),
            ("http://ha:15869", &plain, &[HOST], false),
            ("http://evil:15868", &plain, &[HOST], false),
            ("http://ha.evil:15868", &plain, &[HOST], false),
            ("http://ha:15868.evil", &plain, &[HOST], false),
            ("http://evil@ha:15868", &plain, &[HOST], false),
            ("http://ha:15868/board", &plain, &[HOST], false),
            ("ftp://ha:15868", &plain, &[HOST], false),
            ("ha:15868", &plain, &[HOST], false),
            ("null", &plain, &[HOST], false),
            ("*", &plain, &[HOST], false),
            ("http://localhost", &plain, &[], false),
            ("http://[::1]:15868", &plain, &[("host", "[::1]:15868")], true),
            // A proxy puts its own name for the API into Host.
            ("https://cloud.example", &plain, FORWARDED, false),
            ("https://cloud.example", &trusting, FORWARDED, true),
            ("http://cloud.example", &trusting, FORWARDED, false),
            ("http://10.0.0.7:15868", &trusting, FORWARDED, false),
            ("https://cloud.example", &prefixed, INSIDE, true),
            ("http://cloud.example", &prefixed, INSIDE, false),
            ("http://10.0.0.7:15868", &prefixed, INSIDE, true),
        ];
        for (origin, links, asked, expected) in cases {
            let mut headers = HeaderMap::new();
            for (key, value) in *asked {
                headers.insert(*key, HeaderValue::from_static(value));
            }
            let own = origin
                .parse()
                .is_ok_and(|origin| links.is_own_origin(&origin, &headers));
            assert_eq!(own, *expected, "{origin} with {asked:?}");
        }
    }
}
