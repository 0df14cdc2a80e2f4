//! No request causes a 5xx, a panic, or a fault that clients cannot parse.

use std::sync::LazyLock;

use axum::body::Body;
use http::{HeaderValue, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::bench::{Bench, PROJECT};
use super::openapi::documented;

static DOCUMENT: LazyLock<Value> = LazyLock::new(crate::openapi);

const NODE: &str = "6128798e-1111-4222-8333-0123456789ab";

/// Meaningful words, so that requests pass the first checks.
const KNOWN_TEXTS: &[&str] = &[
    "",
    "segment",
    "segments",
    "host",
    "hosts",
    "notification",
    "notifications",
    "vmoves",
    "name",
    "type",
    "auto",
    "COMPUTE",
    "COMPUTE_HOST",
    "VM",
    "PROCESS",
    "recovery_method",
    "service_type",
    "description",
    "enabled",
    "reserved",
    "on_maintenance",
    "control_attributes",
    "hostname",
    "generated_time",
    "payload",
    "event",
    "STOPPED",
    "2026-01-01T00:00:00Z",
    "2026-01-01",
    "True",
    "off",
    "h",
    "s",
    NODE,
    "created_at",
    "id",
    "uuid",
    "asc",
    "desc",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "process_name",
    "instance_uuid",
    "\u{0}",
    "😀",
];
const PARAMETERS: &[&str] = &[
    "limit",
    "marker",
    "sort_key",
    "sort_dir",
    "page_size",
    "enabled",
    "reserved",
    "on_maintenance",
    "type",
    "status",
    "generated-since",
    "service_type",
    "recovery_method",
    "name",
    "source_host_uuid",
];
const PIECES: &[&str] = &[
    "v1",
    "segments",
    "hosts",
    "notifications",
    "vmoves",
    "extensions",
    "versions",
    "healthcheck",
    "v1.0",
    NODE,
    PROJECT,
    "abc",
    "",
    "x",
    "%ff",
    "%2f",
    ".",
    "..",
    "a.json",
    "{segment}",
    "segments.xml",
    "*",
];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(KNOWN_TEXTS).prop_map(ToOwned::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_text(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A valid body with some replaced fields, so that single rules are reached.
fn nearly_good() -> impl Strategy<Value = Value> {
    let good = select(vec![
        json!({"segment": {"name": "s", "recovery_method": "auto", "service_type": "C", "enabled": true}}),
        json!({"host": {"name": "h2", "type": "C", "control_attributes": "S", "reserved": "True"}}),
        json!({"notification": {
            "type": "COMPUTE_HOST", "hostname": "h", "generated_time": "2026-01-01", "payload": {"event": "STOPPED"},
        }}),
    ]);
    (good, vec((any_text(), value()), 0..3)).prop_map(|(mut good, others)| {
        for inner in good.as_object_mut().unwrap().values_mut() {
            inner.as_object_mut().unwrap().extend(others.iter().cloned());
        }
        good
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => nearly_good().prop_map(|value| value.to_string().into_bytes()),
        2 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..64),
    ]
}

fn escape(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |text, byte| text + &format!("%{byte:02x}"))
}

fn path() -> impl Strategy<Value = String> {
    let known = select(
        crate::routes()
            .into_iter()
            .map(|route| route.path.to_owned())
            .collect::<Vec<_>>(),
    )
    .prop_map(|path| {
        [
            "{segment}",
            "{host}",
            "{notification}",
            "{vmove}",
            "{alias}",
            "{id}",
            "{instance}",
            "{recovery}",
            "{hostname}",
        ]
        .iter()
        .fold(path, |path, parameter| path.replace(parameter, NODE))
    });
    let made = vec(prop_oneof![5 => select(PIECES).prop_map(ToOwned::to_owned), 1 => any::<String>().prop_map(|text| escape(&text))], 0..6)
        .prop_map(|pieces| format!("/{}", pieces.join("/")));
    (prop_oneof![2 => known, 1 => made], any::<bool>()).prop_map(|(path, project)| {
        if project {
            path.replacen("/v1/", &format!("/v1/{PROJECT}/"), 1)
        } else {
            path
        }
    })
}

fn query() -> impl Strategy<Value = String> {
    vec((select(PARAMETERS), any_text()), 0..4).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        pairs.join("&")
    })
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = select(vec![
        "openstack-api-version",
        "content-type",
        "accept",
        "x-service-token",
        "host",
        "x-forwarded-host",
        "x-openstack-request-id",
        "content-length",
        "forwarded",
        "x-roles",
        "x-auth-token",
    ]);
    let values = prop_oneof![
        2 => select(vec![
            "instance-ha 1.1", "instance-ha latest", "instance-ha 9.9", "application/json", "text/xml", "0", "99999999",
            "application/vnd.openstack.masakari+json;q=0.7, */*;q=x", "admin", "member",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..24),
    ];
    vec((names, values), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_gives_a_5xx(
        method in select(vec!["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "BREW"]),
        path in path(),
        query in query(),
        headers in headers(),
        body in body(),
    ) {
        let mut request = Request::builder().method(method).uri(format!("{path}?{query}")).header("x-auth-token", "admin");
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request = request.header(name, value);
            }
        }
        // Some made-up paths are no URI; those never come through a server.
        let Ok(request) = request.body(Body::from(body)) else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (status, content_type, bytes) = runtime.block_on(async {
            let bench = Bench::with(|mut options| {
                options.proxy_headers = true;
                options
            });
            let segment = bench.segment("s").await;
            bench.host(&segment, "h").await;
            {
                let mut rows = bench.registry.rows();
                let id = uuid::Uuid::parse_str(NODE).unwrap();
                rows.segments[0].id = id.into();
                rows.hosts[0].id = id.into();
                rows.hosts[0].segment.id = id.into();
            }
            let response = bench.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let content_type = parts.headers.get("content-type").cloned();
            (parts.status, content_type, axum::body::to_bytes(body, usize::MAX).await.unwrap())
        });
        // Paths in the form of the document; other forms of a path lead to one of these.
        let bare = path.strip_prefix(&format!("/v1/{PROJECT}/")).filter(|rest| !rest.starts_with('/') && !rest.is_empty());
        let bare = bare.map_or_else(|| path.clone(), |rest| format!("/v1/{rest}"));
        let described = documented(&DOCUMENT, method, &bare).filter(|_| path != format!("/v1/{PROJECT}/"));
        if let Some(described) = described {
            prop_assert!(described.contains(&status.as_u16()), "{} is not described for {} {}", status, method, path);
        }
        prop_assert!(!status.is_server_error(), "{}: {}", status, String::from_utf8_lossy(&bytes));
        if status.is_client_error() && method != "HEAD" {
            let content_type = content_type.unwrap();
            prop_assert!(content_type.to_str().unwrap().starts_with("application/json"));
            let fault: Value = serde_json::from_slice(&bytes).unwrap();
            let root = fault.as_object().unwrap();
            prop_assert_eq!(root.len(), 1);
            let inner = root.values().next().unwrap();
            prop_assert_eq!(inner["code"].as_u64(), Some(u64::from(status.as_u16())));
            prop_assert!(inner["message"].is_string());
        }
    }
}

/// Bodies that break some JSON parsers.
#[tokio::test]
async fn odd_bodies_are_refused_and_nothing_is_written() {
    let segment = |name: &str| {
        format!(r#"{{"segment": {{"name": {name}, "recovery_method": "auto", "service_type": "C"}}}}"#)
    };
    let deep =
        |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("deep lists", deep("[", "]", 50_000).into_bytes()),
        ("deep objects", deep("{\"a\":", "}", 15_000).into_bytes()),
        ("deep in a field", segment(&deep("[", "]", 10_000)).into_bytes()),
        (
            "not so deep in a field",
            segment(&deep("[", "]", 100)).into_bytes(),
        ),
        ("never closed", "[".repeat(100_000).into_bytes()),
        ("number too large for a float", segment("1e999").into_bytes()),
        ("number of many digits", segment(&"9".repeat(50_000)).into_bytes()),
        (
            "number of many places",
            segment(&format!("0.{}", "3".repeat(50_000))).into_bytes(),
        ),
        ("NaN", segment("NaN").into_bytes()),
        ("lone high surrogate", segment(r#""\ud800""#).into_bytes()),
        ("lone low surrogate", segment(r#""\udc00""#).into_bytes()),
        (
            "surrogates the wrong way round",
            segment(r#""\udc00\ud800""#).into_bytes(),
        ),
        (
            "escaped character beyond the basic plane",
            segment(r#""\ud83d\ude00""#).into_bytes(),
        ),
        ("character beyond the basic plane", segment("\"😀\"").into_bytes()),
        ("escaped NUL", segment(r#""a\u0000b""#).into_bytes()),
        ("bare NUL", segment("\"a\0b\"").into_bytes()),
        ("bare line feed in a text", segment("\"a\nb\"").into_bytes()),
        (
            "invalid UTF-8",
            [&b"{\"segment\": {\"name\": \""[..], b"\xff\xfe", b"\"}}"].concat(),
        ),
        (
            "overlong UTF-8",
            [&b"{\"segment\": {\"name\": \""[..], b"\xc0\x80", b"\"}}"].concat(),
        ),
        (
            "UTF-16",
            "{\"segment\": {}}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        (
            "byte order mark",
            format!("\u{feff}{}", segment("\"s\"")).into_bytes(),
        ),
        ("two documents", format!("{0}{0}", segment("\"s\"")).into_bytes()),
        ("comment", format!("{} // s", segment("\"s\"")).into_bytes()),
        ("trailing comma", br#"{"segment": {},}"#.to_vec()),
        ("single quotes", b"{'segment': {}}".to_vec()),
        (
            "same key twice, the last wrong",
            br#"{"segment": {"name": "s", "recovery_method": "auto", "service_type": "C", "name": 1}}"#
                .to_vec(),
        ),
        (
            "same root twice, the last wrong",
            format!("{},\"segment\":1}}", segment("\"s\"").trim_end_matches('}')).into_bytes(),
        ),
        ("blanks only", b" \n\t ".to_vec()),
    ];
    let bench = Bench::new();
    let headers = [("x-auth-token", "admin"), ("content-type", "application/json")];
    for (name, body) in cases {
        for path in ["/v1/segments", "/v1/notifications"] {
            let got = bench.raw("POST", path, &headers, body.clone()).await;
            let (status, root, message) = got.fault();
            assert_eq!((status, root.as_str()), (400, "badRequest"), "{name}: {message}");
            assert!(message.len() < 3000, "{name}: {} bytes of message", message.len());
        }
    }
    assert!(bench.registry.rows().segments.is_empty(), "nothing is written");
}

/// Of a repeated key the last one applies, as in clients' JSON parsers.
#[tokio::test]
async fn of_a_key_that_is_there_twice_the_last_counts() {
    let bench = Bench::new();
    let headers = [("x-auth-token", "admin"), ("content-type", "application/json")];
    let body = r#"{"segment": {"name": 1, "recovery_method": "auto", "service_type": "C", "name": "s"}}"#;
    let got = bench.raw("POST", "/v1/segments", &headers, body).await;
    assert_eq!(got.root("segment")["name"], "s");
}
