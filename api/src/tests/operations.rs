//! Sections 3.4, 6.1 and 6.4: routes outside `/v1`, through the whole router.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::HeaderName;
use regex::Regex;
use serde_json::json;
use tower::ServiceExt;

use super::bench::{Bench, PROJECT, fault, notification};
use crate::peer::Peer;
use crate::{Cors, CorsGroup, HealthBackend, Metrics, MetricsAccess};

const ADMIN: (&str, &str) = ("x-auth-token", "admin");

/// Name, client or path, headers, status.
type TestCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

/// Name, backends, the three kinds of files, status, text.
type HealthTestCase<'a> = (
    &'a str,
    Vec<HealthBackend>,
    Option<PathBuf>,
    Vec<(u16, PathBuf)>,
    Vec<PathBuf>,
    u16,
    &'a str,
);

/// A request that came from `client`, to port 15868.
async fn from(bench: &Bench, client: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut builder = Request::builder().uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut request = builder.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer {
        address: client.parse().unwrap(),
        port: 15868,
    });
    let response = bench.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn healthcheck_backends() {
    let folder = tempfile::tempdir().unwrap();
    let existing = folder.path().join("here");
    let gone = folder.path().join("gone");
    std::fs::write(&existing, "").unwrap();
    let by_ports = |port: u16, path: &PathBuf| vec![(port, path.clone())];
    let cases: Vec<HealthTestCase<'_>> = vec![
        (
            "none: everything is good",
            vec![],
            Some(existing.clone()),
            vec![],
            vec![],
            200,
            "",
        ),
        (
            "disable_by_file without a file",
            vec![HealthBackend::DisableByFile],
            None,
            vec![],
            vec![],
            200,
            "OK",
        ),
        (
            "disable_by_files_ports",
            vec![HealthBackend::DisableByFilesPorts],
            None,
            by_ports(15868, &existing),
            vec![],
            503,
            "DISABLED BY FILE",
        ),
        (
            "disable_by_files_ports, another port",
            vec![HealthBackend::DisableByFilesPorts],
            None,
            by_ports(80, &existing),
            vec![],
            200,
            "OK",
        ),
        (
            "enable_by_files, all there",
            vec![HealthBackend::EnableByFiles],
            None,
            vec![],
            vec![existing.clone()],
            200,
            "OK",
        ),
        (
            "enable_by_files, one missing",
            vec![HealthBackend::EnableByFiles],
            None,
            vec![],
            vec![existing.clone(), gone.clone()],
            503,
            "FILE PATH MISSING",
        ),
        (
            "two backends, one bad",
            vec![HealthBackend::DisableByFile, HealthBackend::Database],
            Some(existing.clone()),
            vec![],
            vec![],
            503,
            "DISABLED BY FILE\nOK",
        ),
    ];
    for (name, backends, disable_file, disable_files, enable_files, status, text) in cases {
        let bench = Bench::with(|mut options| {
            options.health.backends = backends;
            options.health.disable_file = disable_file;
            options.health.disable_files = disable_files;
            options.health.enable_files = enable_files;
            options
        });
        let got = from(&bench, "127.0.0.1:1", "/healthcheck", &[]).await;
        let probed = from(&bench, "127.0.0.1:1", "/healthz", &[]).await;
        assert_eq!(probed, got, "engines and monitors have that name");
        assert_eq!(got, (status, text.to_owned()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn healthcheck_asks_the_database_at_most_once_a_second() {
    let bench = Bench::with(|mut options| {
        options.health.backends = vec![HealthBackend::Database];
        options
    });
    let ask = async || bench.raw("GET", "/healthcheck", &[], "").await;
    assert_eq!(ask().await.status, 200);
    bench.registry.broken.store(true, Ordering::SeqCst);
    assert_eq!(ask().await.status, 200, "what it said is still fresh");
    tokio::time::advance(Duration::from_secs(1)).await;
    let got = ask().await;
    assert_eq!((got.status, got.text.as_str()), (503, "DATABASE UNREACHABLE"));
    bench.registry.broken.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask().await.status, 200);
}

/// Covers EW10.
#[tokio::test]
async fn healthcheck_checks_the_broker_only_when_configured() {
    let with_broker = Bench::with(|mut options| {
        options.health.backends = vec![HealthBackend::Broker];
        options
    });
    let without_broker = Bench::new();
    let cases = [
        ("no broker", None, 200, "OK"),
        ("connected", Some(true), 200, "OK"),
        ("not connected", Some(false), 503, "BROKER UNREACHABLE"),
    ];
    for (name, connected, status, text) in cases {
        for bench in [&with_broker, &without_broker] {
            *bench.notifications_sent.1.lock().unwrap() = connected;
        }
        let got = with_broker.raw("GET", "/healthcheck", &[], "").await;
        assert_eq!((got.status, got.text.as_str()), (status, text), "{name}");
        assert_eq!(
            without_broker.raw("GET", "/healthcheck", &[], "").await.status,
            200,
            "{name}"
        );
    }
}

#[tokio::test]
async fn healthcheck_in_detail() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("<odd>");
    let bench = Bench::with(|mut options| {
        options.health.detailed = true;
        options.health.disable_file = Some(odd.clone());
        options
    });
    let got = bench
        .raw("GET", "/healthcheck", &[("accept", "application/json")], "")
        .await;
    let reasons = json!([{
        "class": "DisableByFileHealthcheck", "reason": "OK",
        "details": format!("Path '{}' was not found", odd.display()),
    }]);
    assert_eq!(got.json()["reasons"], reasons);
    assert_eq!(got.json()["detailed"], true);
    let got = bench
        .raw("GET", "/healthcheck", &[("accept", "text/html")], "")
        .await;
    assert!(
        got.text.contains("&lt;odd&gt;") && !got.text.contains("<odd>"),
        "{}",
        got.text
    );
}

#[tokio::test]
async fn healthcheck_is_404_for_addresses_that_are_not_allowed() {
    let bench = Bench::with(|mut options| {
        options.health.allowed_source_ranges = vec!["10.0.0.0/8".parse().unwrap()];
        options.health.ignore_proxied_requests = true;
        options
    });
    let cases: &[TestCase<'_>] = &[
        ("inside", "10.1.2.3:9", &[], 200),
        ("inside, over IPv6", "[::ffff:10.1.2.3]:9", &[], 200),
        ("outside", "192.0.2.1:9", &[], 404),
        (
            "through a proxy",
            "10.1.2.3:9",
            &[("x-forwarded-for", "10.1.2.3")],
            404,
        ),
    ];
    for (name, client, headers, status) in cases {
        assert_eq!(
            from(&bench, client, "/healthcheck", headers).await.0,
            *status,
            "{name}"
        );
    }
}

#[tokio::test]
async fn cors_marks_every_answer_below_v1_whatever_it_is() {
    let bench = Bench::with(|mut options| {
        options.cors = Cors {
            groups: vec![CorsGroup {
                origins: vec!["https://d".to_owned()],
                ..CorsGroup::default()
            }],
        };
        options
    });
    let origin = ("origin", "https://d");
    let huge = ("content-length", "999999999");
    let cases: &[TestCase<'_>] = &[
        ("good", "/v1/segments", &[origin, ADMIN], 200),
        ("no token", "/v1/segments", &[origin], 401),
        ("not there", "/v1/nowhere", &[origin, ADMIN], 404),
        ("too large", "/v1/segments", &[origin, huge], 413),
        (
            "bad version",
            "/v1/segments",
            &[origin, ADMIN, ("openstack-api-version", "instance-ha 9.9")],
            406,
        ),
    ];
    for (name, path, headers, status) in cases {
        let got = bench.raw("GET", path, headers, "").await;
        assert_eq!(got.status, *status, "{name}");
        assert_eq!(
            got.header("access-control-allow-origin"),
            Some("https://d"),
            "{name}"
        );
        let vary: Vec<_> = got.headers.get_all("vary").iter().collect();
        assert!(
            vary.contains(&&http::HeaderValue::from_static("Origin")),
            "{name}: {vary:?}"
        );
    }
    let request_headers = [origin, ("access-control-request-method", "PUT")];
    let got = bench.raw("OPTIONS", "/v1/segments/x", &request_headers, "").await;
    assert_eq!((got.status, got.text.as_str()), (200, ""));
    assert_eq!(got.header("access-control-allow-methods"), Some("PUT"));
    let got = bench.raw("GET", "/", &[origin], "").await;
    assert_eq!(got.header("access-control-allow-origin"), None, "only below /v1");
}

#[tokio::test]
async fn options_is_200_without_a_token_also_when_cors_is_off() {
    let bench = Bench::new();
    for path in ["/v1", "/v1/", "/v1/segments", "/v1/nowhere/at/all", "/v1/../x"] {
        let got = bench.raw("OPTIONS", path, &[("origin", "https://d")], "").await;
        assert_eq!((got.status, got.text.as_str()), (200, ""), "{path}");
        assert_eq!(got.header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn large_requests_are_refused_before_authentication() {
    let bench = Bench::with(|mut options| {
        options.max_line_bytes = 1000;
        options
    });
    let text = "Request is too large. Larger than max_request_body_size (114688).";
    for length in ["114689", "18446744073709551615"] {
        let got = bench
            .raw("POST", "/v1/segments", &[("content-length", length)], "")
            .await;
        assert_eq!(got.fault(), fault(413, "overLimit", text), "{length}");
        assert!(got.header("x-openstack-request-id").is_some());
    }
    let long = format!("/v1/segments?name={}", "x".repeat(1000));
    let text = "The request's first line is too long. Longer than max_header_line (1000).";
    assert_eq!(
        bench.raw("GET", &long, &[], "").await.fault(),
        fault(414, "masakariFault", text)
    );
    let token = "x".repeat(1000);
    let got = bench
        .raw("GET", "/v1/segments", &[("x-auth-token", &token)], "")
        .await;
    let text = "The request's header x-auth-token is too long. Longer than max_header_line (1000).";
    assert_eq!(got.fault(), fault(431, "masakariFault", text));
    assert_eq!(bench.keystone.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn hostile_paths_are_just_paths() {
    let bench = Bench::new();
    bench.segment("s").await;
    let long = format!("/v1/{}", "a/".repeat(4000));
    let cases = [
        ("NUL", "/v1/segments/%00", 404),
        ("a slash inside an id", "/v1/segments/..%2f..%2fhealthcheck", 404),
        ("dots", "/v1/../healthcheck", 404),
        ("dots at the root", "/../v1/segments", 300),
        ("encoded dots", "/v1/%2e%2e/segments", 404),
        ("not UTF-8", "/v1/segments/%ff%fe", 404),
        ("half an escape", "/v1/segments/%4", 404),
        ("an encoded name of a route", "/v1/%73egments", 404),
        ("many slashes", "//////v1////segments", 200),
        ("a line break", "/v1/segments/%0d%0aX-Evil:1", 404),
        ("a query that is none", "/v1/segments?%", 200),
        ("a query that is no UTF-8", "/v1/segments?name=%ff", 200),
        ("a thousand levels", &long, 404),
        ("metrics without being switched on", "/metrics", 300),
    ];
    for (name, path, status) in cases {
        let got = bench.raw("GET", path, &[ADMIN], "").await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        assert!(got.header("x-evil").is_none(), "{name}");
    }
}

#[tokio::test]
async fn project_ids_of_the_operators_choice() {
    let bench = Bench::with(|mut options| {
        options.project_ids = Some(Regex::new("^(?:p-[0-9]+)$").unwrap());
        options
    });
    // The path routes; the project is compared only afterwards.
    assert_eq!(bench.get("/v1/p-7/segments").await.status, 400);
    assert_eq!(bench.get(&format!("/v1/{PROJECT}/segments")).await.status, 404);
}

#[tokio::test]
async fn secure_proxy_ssl_header_makes_the_scheme_of_links() {
    let bench = Bench::with(|mut options| {
        options.scheme_header = Some(HeaderName::from_static("x-forwarded-proto"));
        options
    });
    let headers = [
        ("host", "ha"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
    ];
    let got = bench.raw("GET", "/", &headers, "").await;
    assert_eq!(got.root("versions")[0]["links"][0]["href"], "https://ha/v1/");
}

#[tokio::test]
async fn metrics_are_served_to_allowed_clients() {
    // Other tests in this process use another recorder.
    let (recorder, metrics) = Metrics::create_recorder().unwrap();
    let _mine = ::metrics::set_default_local_recorder(&recorder);
    crate::metrics::describe("0.9.0+git1.abc");
    let bench = Bench::with(|mut options| {
        options.metrics = Some(MetricsAccess::from_loopback(metrics.clone()));
        options
    });
    let segment = bench.segment("s").await;
    bench.host(&segment, "h").await;
    for _ in 0..2 {
        bench.notify("h", "2026-11-20T08:00:00").await;
    }
    bench.notify("stranger", "2026-11-20T08:00:00").await;
    let incomplete = notification("VM", "h", "2026-11-20T08:00:00", &json!({}));
    bench.send("POST", "/v1/notifications", incomplete).await;
    bench
        .get(&segment.replace("/v1", &format!("/v1/{PROJECT}")))
        .await;
    for n in 0..50 {
        bench.get(&format!("/v1/made/up/{n}")).await;
        bench.raw("GET", &format!("/made/up/{n}"), &[], "").await;
    }
    bench.raw("MADEUP", "/v1/segments", &[], "").await;
    let (status, text) = from(&bench, "127.0.0.1:9", "/metrics", &[]).await;
    assert_eq!(status, 200);
    bench.refusals.flush().await.unwrap();
    let counted = bench.registry.rows().refusals.clone();
    let mut counted: Vec<_> = counted
        .iter()
        .map(|row| (row.host.as_str(), row.count.reason.as_str(), row.count.times))
        .collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            ("h", "duplicate", 1),
            ("h", "malformed", 1),
            ("stranger", "unknown_host", 1)
        ]
    );
    let expected = [
        "tachi_api_requests_total{method=\"POST\",route=\"/v1/notifications\",status=\"202\"} 1",
        "tachi_api_requests_total{method=\"POST\",route=\"/v1/notifications\",status=\"409\"} 1",
        "tachi_api_requests_total{method=\"GET\",route=\"/v1/segments/{segment}\",status=\"200\"} 1",
        "tachi_api_requests_total{method=\"GET\",route=\"other\",status=\"404\"} 50",
        "tachi_api_requests_total{method=\"GET\",route=\"other\",status=\"300\"} 50",
        "tachi_api_requests_total{method=\"other\",route=\"/v1/segments\",status=\"401\"} 1",
        "tachi_api_notifications_total{type=\"COMPUTE_HOST\",result=\"accepted\"} 1",
        "tachi_api_notifications_total{type=\"COMPUTE_HOST\",result=\"duplicate\"} 1",
        "tachi_api_notifications_total{type=\"COMPUTE_HOST\",result=\"refused\"} 1",
        "tachi_api_token_validations_total{outcome=\"valid\"} 1",
        "tachi_api_auth_cache_total{result=\"miss\"} 1",
        "tachi_api_request_duration_seconds_bucket{method=\"POST\",route=\"/v1/notifications\",le=\"+Inf\"} 4",
        "tachi_build_info{version=\"0.9.0+git1.abc\"} 1",
        "# TYPE tachi_api_requests_in_flight gauge",
    ];
    for line in expected {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("made/up"), "{text}");

    let cases: &[TestCase<'_>] = &[
        ("this machine", "[::1]:9", &[], 200),
        ("another machine", "192.0.2.1:9", &[], 403),
        (
            "a proxy on this machine",
            "127.0.0.1:9",
            &[("x-forwarded-for", "192.0.2.1")],
            403,
        ),
        (
            "a proxy that says so otherwise",
            "127.0.0.1:9",
            &[("via", "1.1 proxy")],
            403,
        ),
    ];
    for (name, client, headers, status) in cases {
        assert_eq!(
            from(&bench, client, "/metrics", headers).await.0,
            *status,
            "{name}"
        );
    }
    assert_eq!(
        bench.raw("GET", "/metrics", &[], "").await.status,
        403,
        "from nowhere"
    );
}
