use http::HeaderValue;

use super::*;

fn base(links: &Links, mount: &str, request_headers: &[(&'static str, &'static str)]) -> String {
    let mut headers = HeaderMap::new();
    for (key, value) in request_headers {
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
    for (name, links, mount, request_headers, expected) in cases {
        assert_eq!(&base(links, mount, request_headers), expected, "{name}");
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
    for (name, links, mount, request_headers, expected) in cases {
        assert_eq!(&base(links, mount, request_headers), expected, "{name}");
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
    for (origin, links, request_headers, expected) in cases {
        let mut headers = HeaderMap::new();
        for (key, value) in *request_headers {
            headers.insert(*key, HeaderValue::from_static(value));
        }
        let own = origin
            .parse()
            .is_ok_and(|origin| links.is_own_origin(&origin, &headers));
        assert_eq!(own, *expected, "{origin} with {request_headers:?}");
    }
}
