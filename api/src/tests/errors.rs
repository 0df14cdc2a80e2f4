//! Sections 2.1 and 3: the precedence and the form of errors.

use std::sync::atomic::Ordering;

use axum::body::Body;
use serde_json::{Value, json};

use super::bench::{Bench, fault};

const ADMIN: (&str, &str) = ("x-auth-token", "admin");
const MEMBER: (&str, &str) = ("x-auth-token", "member");
const JSON: (&str, &str) = ("content-type", "application/json");
const XML: (&str, &str) = ("content-type", "application/xml");
const NEWEST: (&str, &str) = ("openstack-api-version", "instance-ha latest");
const BAD_VERSION: (&str, &str) = ("openstack-api-version", "instance-ha x");

/// Name, method, path, headers, body, status.
type TestCase<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

#[tokio::test]
async fn the_earlier_check_determines_the_error() {
    let bench = Bench::new();
    let huge = "x".repeat(114_689);
    let vmoves = "/v1/notifications/x/vmoves";
    let cases: &[TestCase<'_>] = &[
        (
            "OPTIONS before everything",
            "OPTIONS",
            "/v1/segments",
            &[BAD_VERSION, XML],
            &huge,
            200,
        ),
        (
            "size before token",
            "POST",
            "/v1/segments",
            &[("content-length", "114689")],
            &huge,
            413,
        ),
        (
            "token before route",
            "GET",
            "/v1/nowhere",
            &[BAD_VERSION],
            "",
            401,
        ),
        (
            "route before version",
            "GET",
            "/v1/nowhere",
            &[ADMIN, BAD_VERSION, XML],
            "",
            404,
        ),
        (
            "version before type",
            "POST",
            vmoves,
            &[ADMIN, BAD_VERSION, XML],
            "{",
            400,
        ),
        ("type before method", "POST", vmoves, &[ADMIN, XML], "{", 415),
        ("type on GET too", "GET", "/v1/segments", &[ADMIN, XML], "", 415),
        ("method before JSON", "POST", vmoves, &[ADMIN, JSON], "{", 405),
        (
            "JSON before project",
            "POST",
            "/v1/abc/segments",
            &[ADMIN, JSON],
            "{",
            400,
        ),
        (
            "project before schema",
            "POST",
            "/v1/abc/segments",
            &[MEMBER, JSON],
            "{}",
            400,
        ),
        (
            "schema before policy",
            "POST",
            "/v1/segments",
            &[MEMBER, JSON],
            "{}",
            400,
        ),
        (
            "policy before query",
            "GET",
            "/v1/segments?limit=x",
            &[MEMBER],
            "",
            403,
        ),
        (
            "query before existence",
            "GET",
            "/v1/segments/x/hosts?limit=x",
            &[ADMIN],
            "",
            400,
        ),
    ];
    for (name, method, path, headers, body, status) in cases {
        let got = bench.raw(method, path, headers, (*body).to_owned()).await;
        assert_eq!(got.status, *status, "{name}: {}", got.text);
    }
    let texts = [
        (
            "JSON before project",
            "/v1/abc/segments",
            ADMIN,
            "{",
            "Malformed request body",
        ),
        (
            "project before schema",
            "/v1/abc/segments",
            ADMIN,
            "{}",
            "Malformed request URL",
        ),
        (
            "schema before policy",
            "/v1/segments",
            MEMBER,
            "{}",
            "'segment' is a required property",
        ),
    ];
    for (name, path, who, body, text) in texts {
        let got = bench.raw("POST", path, &[who, JSON], body).await;
        assert!(got.fault().2.starts_with(text), "{name}: {}", got.text);
    }
}

#[tokio::test]
async fn unrouted_is_404_whatever_the_method() {
    let bench = Bench::new();
    let cases = [
        ("GET", "/v1/foo"),
        ("PUT", "/v1/segments"),
        ("DELETE", "/v1/segments"),
        ("PATCH", "/v1/segments"),
        ("HEAD", "/v1/segments"),
        ("POST", "/v1/segments/x"),
        ("GET", "/v1/segments/"),
        ("GET", "/v1/segments/x/hosts/y/z"),
        ("DELETE", "/v1/notifications"),
    ];
    for (method, path) in cases {
        let got = bench.raw(method, path, &[ADMIN], "").await;
        assert_eq!(got.status, 404, "{method} {path}");
        assert!(got.header("openstack-api-version").is_none(), "{method} {path}");
        assert!(got.header("x-openstack-request-id").is_some(), "{method} {path}");
        if method != "HEAD" {
            let expected = fault(404, "itemNotFound", "The resource could not be found.");
            assert_eq!(got.fault(), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn read_only_members_are_405() {
    let bench = Bench::new();
    let cases = [
        ("PUT", "/v1/notifications/x", "update"),
        ("DELETE", "/v1/notifications/x", "delete"),
        ("POST", "/v1/notifications/x/vmoves", "create"),
        ("PUT", "/v1/notifications/x/vmoves/y", "update"),
        ("DELETE", "/v1/notifications/x/vmoves/y", "delete"),
        ("PUT", "/v1/extensions/x", "update"),
    ];
    for (method, path, action) in cases {
        let got = bench.raw(method, path, &[ADMIN], "").await;
        let text =
            format!("The request method: '{method}' with action: '{action}' is not allowed on this resource");
        assert_eq!(got.fault(), fault(405, "badMethod", &text), "{path}");
        assert_eq!(
            got.header("openstack-api-version"),
            Some("instance-ha 1.0"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn reserved_words_of_the_resource_router_are_405() {
    let bench = Bench::new();
    let cases = [
        ("GET", "/v1/segments/new", "new"),
        ("GET", "/v1/segments/x/edit", "edit"),
        ("POST", "/v1/segments/x/action", "action"),
        ("GET", "/v1/segments/x/hosts/new", "new"),
        ("GET", "/v1/segments/x/hosts/y/edit", "edit"),
        ("GET", "/v1/notifications/new", "new"),
        ("GET", "/v1/notifications/x/edit", "edit"),
        ("POST", "/v1/notifications/x/action", "action"),
        ("GET", "/v1/notifications/x/vmoves/new", "new"),
        ("GET", "/v1/notifications/x/vmoves/y/edit", "edit"),
        ("GET", "/v1/extensions/new", "new"),
        ("GET", "/v1/extensions/x/edit", "edit"),
    ];
    for (method, path, action) in cases {
        let got = bench.raw(method, path, &[ADMIN], "").await;
        let text =
            format!("The request method: '{method}' with action: '{action}' is not allowed on this resource");
        assert_eq!(got.fault(), fault(405, "badMethod", &text), "{path}");
    }
}

#[tokio::test]
async fn all_problems_of_a_body_are_reported_at_once() {
    let bench = Bench::new();
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "/v1/segments",
            r#"{"segment": {"name": "", "recovery_method": "x", "enabled": 1, "odd": 1}, "more": 1}"#,
            &[
                "('more' was unexpected)",
                "('odd' was unexpected)",
                "attribute name",
                "attribute recovery_method",
                "attribute enabled",
                "'service_type' is a required property",
            ],
        ),
        (
            "/v1/notifications",
            r#"{"notification": {"type": "PROCESS", "hostname": "a b",
                "payload": {"event": "stopped", "odd": "1"}}}"#,
            &[
                "attribute hostname",
                "'generated_time' is a required property",
                "('odd' was unexpected)",
                "'process_name' is a required property",
                "attribute event",
            ],
        ),
        (
            "/v1/notifications",
            r#"{"notification": {"type": "VM", "hostname": "a", "generated_time": "2017-04-21",
                "payload": {"a/b": 1, "c": null}}}"#,
            &["'a/b' does not match", "1 is not of type", "None is not of type"],
        ),
    ];
    for (path, body, texts) in cases {
        let got = bench
            .raw("POST", path, &[ADMIN, JSON, NEWEST], (*body).to_owned())
            .await;
        let (status, name, message) = got.fault();
        assert_eq!((status, name.as_str()), (400, "badRequest"));
        for text in *texts {
            assert!(message.contains(text), "{text}: {message}");
        }
    }
}

#[tokio::test]
async fn members_are_found_by_their_integer_id_too() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let host = bench.host(&segment, "h").await;
    let other = bench.segment("other").await;
    let sent = bench
        .notify("h", "2026-11-20T06:15:08")
        .await
        .root("notification");
    let number = |value: &Value| value["id"].as_i64().unwrap();
    let segment_row = number(&bench.get(&segment).await.root("segment"));
    let other_row = number(&bench.get(&other).await.root("segment"));
    let host_row = number(&bench.get(&host).await.root("host"));
    let by_number = |row: i64| format!("/v1/segments/{row}");
    assert_eq!(
        bench.get(&by_number(segment_row)).await.text,
        bench.get(&segment).await.text
    );
    let host_by_number = format!("{}/hosts/{host_row}", by_number(segment_row));
    assert_eq!(bench.get(&host_by_number).await.text, bench.get(&host).await.text);
    let hosts = bench.get(&format!("{}/hosts", by_number(segment_row))).await;
    assert_eq!(hosts.root("hosts").as_array().unwrap().len(), 1);
    let note = bench.get(&format!("/v1/notifications/{}", number(&sent))).await;
    assert_eq!(note.root("notification"), sent);
    let vmoves = bench
        .get(&format!("/v1/notifications/{}/vmoves", number(&sent)))
        .await;
    assert_eq!(vmoves.root("vmoves"), json!([]));
    let nowhere = [
        by_number(99),
        format!("{}/hosts/{host_row}", by_number(other_row)),
        format!("{}/hosts/99", by_number(segment_row)),
        format!("{}/hosts", by_number(99)),
        "/v1/notifications/99".to_owned(),
        format!("/v1/notifications/{}/vmoves/1", number(&sent)),
    ];
    for path in nowhere {
        let (status, name, message) = bench.get(&path).await.fault();
        assert_eq!((status, name.as_str()), (404, "itemNotFound"), "{path}");
        assert!(message.contains("99") || path.contains(&other_row.to_string()) || message.contains(" 1."));
    }
    let body = json!({"segment": {"name": "renamed"}});
    let got = bench.send("PUT", &by_number(other_row), body).await;
    assert_eq!(got.root("segment")["name"], "renamed");
    assert_eq!(bench.delete(&by_number(other_row)).await.status, 204);
    assert_eq!(bench.get(&other).await.status, 404);
}

#[tokio::test]
async fn request_bodies_are_checked_in_order() {
    let bench = Bench::new();
    let cases: &[(&str, &[u8], u16, &str)] = &[
        ("empty", b"", 400, "None is not of type 'object'"),
        ("null", b"null", 400, "None is not of type 'object'"),
        ("list", b"[1]", 400, "[1] is not of type 'object'"),
        ("blank", b" ", 400, "Malformed request body"),
        ("cut off", b"{\"segment\":", 400, "Malformed request body"),
        (
            "no UTF-8",
            b"{\"segment\": \"\xff\"}",
            400,
            "Malformed request body",
        ),
        (
            "half a pair",
            b"{\"segment\": \"\\ud800\"}",
            400,
            "Malformed request body",
        ),
        (
            "wrong root",
            b"{\"host\": {}}",
            400,
            "Additional properties are not allowed ('host' was unexpected); 'segment' is a required property",
        ),
    ];
    for (name, body, status, text) in cases {
        let got = bench
            .raw("POST", "/v1/segments", &[ADMIN, JSON], body.to_vec())
            .await;
        assert_eq!(got.fault(), fault(*status, "badRequest", text), "{name}");
    }
    let nested = "[".repeat(100_000);
    let got = bench.raw("POST", "/v1/segments", &[ADMIN, JSON], nested).await;
    assert_eq!(got.fault().2, "Malformed request body");
    for method in ["GET", "DELETE"] {
        let got = bench.raw(method, "/v1/segments/x", &[ADMIN, JSON], "{").await;
        assert_eq!(got.status, 404, "bodies of {method} are not looked at");
    }
}

#[tokio::test]
async fn large_bodies_are_refused_announced_or_not() {
    let bench = Bench::new();
    let text = "Request is too large. Larger than max_request_body_size (114688).";
    let expected = fault(413, "overLimit", text);
    let got = bench
        .raw("POST", "/v1/segments", &[("content-length", "114689")], "")
        .await;
    assert_eq!(got.fault(), expected, "announced, without a token");
    let chunks = (0..29).map(|_| Ok::<_, std::io::Error>(vec![b' '; 4096]));
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    let got = bench.raw("POST", "/v1/segments", &[ADMIN, JSON], stream).await;
    assert_eq!(got.fault(), expected, "in chunks");
    let fits = format!("{}null", " ".repeat(114_684));
    let got = bench.raw("POST", "/v1/segments", &[ADMIN, JSON], fits).await;
    assert_eq!(got.status, 400, "exactly the limit");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_arrive_end_with_408() {
    let bench = Bench::new();
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let got = bench.raw("POST", "/v1/segments", &[ADMIN, JSON], never).await;
    assert_eq!(
        got.fault(),
        fault(408, "masakariFault", "The request's body did not arrive in time.")
    );
}

#[tokio::test]
async fn request_ids() {
    let bench = Bench::new();
    let mine = "req-6128798e-1111-4222-8333-0123456789ab";
    let cases = [
        ("200", "GET", "/v1/segments", &[ADMIN][..]),
        ("401", "GET", "/v1", &[]),
        ("404", "GET", "/v1/foo", &[ADMIN]),
        ("413", "POST", "/v1/segments", &[("content-length", "999999")]),
        (
            "global id",
            "GET",
            "/v1",
            &[ADMIN, ("x-openstack-request-id", mine)],
        ),
    ];
    for (name, method, path, headers) in cases {
        let got = bench.raw(method, path, headers, "").await;
        let id = got.header("x-openstack-request-id").unwrap();
        let uuid = id.strip_prefix("req-").unwrap();
        assert!(crate::request_id::is_canonical(uuid), "{name}: {id}");
        assert_ne!(id, mine, "{name}");
    }
    let got = bench.raw("OPTIONS", "/v1", &[], "").await;
    assert_eq!((got.status, got.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_failing_database_is_500_without_details() {
    let bench = Bench::new();
    bench.registry.broken.store(true, Ordering::SeqCst);
    let segment = json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "C"}});
    for (method, path, body) in [
        ("GET", "/v1/segments", json!(null)),
        ("POST", "/v1/segments", segment),
    ] {
        let got = bench.send(method, path, body).await;
        let (status, name, text) = got.fault();
        assert_eq!((status, name.as_str()), (500, "masakariFault"), "{method}");
        assert!(!text.contains("broken"), "{text}");
    }
}

#[tokio::test]
async fn content_types() {
    let bench = Bench::new();
    let path = bench.segment("s").await;
    let own = "application/vnd.openstack.masakari+json";
    assert_eq!(
        bench.get("/v1/segments").await.header("content-type"),
        Some("application/json")
    );
    let got = bench
        .raw("GET", "/v1/segments", &[ADMIN, ("accept", own)], "")
        .await;
    assert_eq!(got.header("content-type"), Some(own));
    let got = bench.get("/v1/segments/x").await;
    assert_eq!(
        got.header("content-type"),
        Some("application/json; charset=UTF-8")
    );
    let got = bench.delete(&path).await;
    assert_eq!((got.status, got.text.as_str()), (204, ""));
    assert_eq!(got.header("content-type"), Some("application/json"));
}
