//! Links to ourselves, as the caller can reach us.

use http::{Extensions, HeaderMap, header};

use crate::path::Place;

/// Makes links.
pub(crate) struct Links {
    /// Replaces scheme and host, without a slash at its end.
    pub(crate) prefix: Option<String>,
    /// Whether a proxy's headers are believed.
    pub(crate) proxy_headers: bool,
    /// Whether we speak TLS.
    pub(crate) tls: bool,
}

impl Links {
    /// What comes before `/v1`.
    pub(crate) fn base(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        let mut scheme = if self.tls { "https" } else { "http" };
        let mut host = text(headers, header::HOST.as_str()).unwrap_or("localhost");
        let mut mount = extensions.get::<Place>().map_or("", |place| &place.mount);
        if self.proxy_headers {
            let forwarded = text(headers, "forwarded").unwrap_or_default();
            let told = |key, name| parameter(forwarded, key).or_else(|| first(text(headers, name)?));
            scheme = told("proto", "x-forwarded-proto").unwrap_or(scheme);
            host = told("host", "x-forwarded-host").unwrap_or(host);
            mount = text(headers, "x-forwarded-prefix")
                .unwrap_or(mount)
                .trim_end_matches('/');
        }
        match &self.prefix {
            Some(prefix) => format!("{prefix}{mount}"),
            None => format!("{scheme}://{host}{mount}"),
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
fn parameter<'a>(forwarded: &'a str, key: &str) -> Option<&'a str> {
    first(forwarded)?.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    type Case<'a> = (
        &'a str,
        Option<&'a str>,
        bool,
        &'a str,
        &'a [(&'static str, &'static str)],
        &'a str,
    );

    #[test]
    fn bases_of_section_1_1() {
        let host = ("host", "ha:15868");
        let xproto = ("x-forwarded-proto", "https");
        let xhost = ("x-forwarded-host", "outside, inside");
        let xprefix = ("x-forwarded-prefix", "/pre/");
        let rfc = ("forwarded", "proto=https;host=\"rfc\", for=inside");
        let cases: &[Case<'_>] = &[
            ("host header", None, false, "", &[host], "http://ha:15868"),
            ("no host header", None, false, "", &[], "http://localhost"),
            ("mounted", None, false, "/ha", &[host], "http://ha:15868/ha"),
            (
                "prefix",
                Some("https://x/masakari"),
                false,
                "",
                &[host],
                "https://x/masakari",
            ),
            (
                "prefix, mounted",
                Some("https://x"),
                false,
                "/ha",
                &[host],
                "https://x/ha",
            ),
            (
                "proxy's word, not believed",
                None,
                false,
                "",
                &[host, xproto, xhost, xprefix],
                "http://ha:15868",
            ),
            (
                "proxy's word",
                None,
                true,
                "",
                &[host, xproto, xhost, xprefix],
                "https://outside/pre",
            ),
            ("RFC 7239", None, true, "", &[host, rfc], "https://rfc"),
            (
                "proxy says nothing",
                None,
                true,
                "/ha",
                &[host],
                "http://ha:15868/ha",
            ),
        ];
        for (name, prefix, proxy_headers, mount, lines, expected) in cases {
            let links = Links {
                prefix: prefix.map(ToOwned::to_owned),
                proxy_headers: *proxy_headers,
                tls: false,
            };
            let mut headers = HeaderMap::new();
            for (key, value) in *lines {
                headers.insert(*key, HeaderValue::from_static(value));
            }
            let mut extensions = Extensions::new();
            extensions.insert(Place {
                mount: (*mount).to_owned(),
                project: None,
            });
            assert_eq!(&links.base(&headers, &extensions), expected, "{name}");
        }
    }
}
