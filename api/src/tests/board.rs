//! The web board: its files, its login, and the scope of its cookie.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::bench::{Bench, TestResponse};
use crate::{Board, Login, LoginWith, Unavailable};

const SITUATION: &str = "/board/api/situation";
const SAME_ORIGIN: &[(&str, &str)] = &[
    ("x-tachi-board", "1"),
    ("content-type", "application/json"),
    ("origin", "https://ha.example"),
];

/// A password that equals a token returns this token; with `away` Keystone is unreachable.
struct Door;

#[async_trait]
impl Login for Door {
    async fn log_in(&self, with: LoginWith) -> Result<Option<String>, Unavailable> {
        let (LoginWith::Password { password, .. }
        | LoginWith::ApplicationCredential { secret: password, .. }) = with;
        match password.as_str() {
            "wrong" => Ok(None),
            "away" => Err(Unavailable {
                source: "connection refused".into(),
            }),
            _ => Ok(Some(password)),
        }
    }
}

fn bench() -> Bench {
    Bench::with(|mut options| {
        options.board = Some(Board {
            login: Some(Arc::new(Door)),
            actions: false,
        });
        options
    })
}

fn with_password(password: &str) -> String {
    json!({"with": "password", "user": "alice", "user_domain": "Default", "password": password,
           "project": "service", "project_domain": "Default"})
    .to_string()
}

async fn log_in(bench: &Bench, body: &str) -> TestResponse {
    bench
        .raw("POST", "/board/login", SAME_ORIGIN, body.to_owned())
        .await
}

async fn with_cookie(bench: &Bench, token: &str, path: &str) -> TestResponse {
    let line = format!("theme=dark; tachi-board={token}");
    bench.raw("GET", path, &[("cookie", &line)], "").await
}

#[tokio::test]
async fn board_is_served_only_if_configured() {
    let without = Bench::new();
    for path in ["/board", "/board/", "/board/main.js", SITUATION, "/board/login"] {
        // Unknown paths get the choice of versions.
        assert_eq!(without.get(path).await.status, 300, "{path}");
    }
    let bench = bench();
    let page = bench.raw("GET", "/board/", &[], "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let slash = bench.raw("GET", "/board", &[], "").await;
    assert_eq!((slash.status, slash.header("location")), (308, Some("board/")));
}

#[tokio::test]
async fn board_answers_have_security_headers() {
    let bench = bench();
    for path in [
        "/board/",
        "/board/main.js",
        SITUATION,
        "/board/nothing",
        "/board/api/nothing",
        "/board/pages/now",
    ] {
        let got = bench
            .raw("GET", path, &[("origin", "https://evil.example")], "")
            .await;
        let policy = got.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'self'; frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(got.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(got.header("access-control-allow-origin"), None, "{path}");
        let kept = got.header("cache-control").unwrap();
        assert_eq!(kept == "no-cache", got.header("etag").is_some(), "{path}: {kept}");
    }
    let page = bench.raw("GET", "/board/", &[], "").await;
    for inline in ["<style", "style=", "onclick", "http://", "https://"] {
        assert!(!page.text.contains(inline), "the page has {inline}");
    }
    assert_eq!(
        page.text.matches("<script").count(),
        page.text.matches("src=\"main.js\"").count()
    );
}

#[tokio::test]
async fn board_files_are_revalidated_and_not_sent_twice() {
    let bench = bench();
    for name in [
        "",
        "board.css",
        "icon.svg",
        "icon-ok.svg",
        "icon-warn.svg",
        "icon-unknown.svg",
        "icon-err.svg",
        "main.js",
        "live.js",
        "draw.js",
        "words.js",
        "login.js",
    ] {
        let path = format!("/board/{name}");
        let first = bench.raw("GET", &path, &[], "").await;
        let tag = first.header("etag").unwrap();
        let again = bench.raw("GET", &path, &[("if-none-match", tag)], "").await;
        assert_eq!((first.status, again.status), (200, 304), "{path}");
        assert!(again.text.is_empty(), "{path}");
        let other = bench
            .raw("GET", &path, &[("if-none-match", "\"another\"")], "")
            .await;
        assert_eq!(other.status, 200, "{path}");
    }
}

#[tokio::test]
async fn board_paths_lead_nowhere_else() {
    let bench = bench();
    for path in [
        "/board/../etc/passwd",
        "/board/..%2f..%2fetc%2fpasswd",
        "/board/%2e%2e/%2e%2e/etc/passwd",
        "/board/files/main.js",
        "/board/main.js%00",
        "/board/api",
        "/board/api/",
        "/board/api/../../v1/segments",
        "/board/api/..%2f..%2fv1%2fsegments",
        "/board/api/../v1/situation",
        "/board/v1/segments",
        "/board/pages",
        "/board/pages/nothing",
        "/board/pages/..%2fapi%2fsituation",
    ] {
        let got = with_cookie(&bench, "admin", path).await;
        assert_eq!(got.status, 404, "{path}: {}", got.text);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in [
            "/board/api/words",
            SITUATION,
            "/board/pages/now",
            "/board/",
            "/board/main.js",
        ] {
            let got = bench
                .raw(method, path, &[("cookie", "tachi-board=admin")], "")
                .await;
            assert_eq!(got.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn board_returns_the_answers_of_the_api_under_the_same_rules() {
    let bench = bench();
    for path in [
        "situation",
        "hosts",
        "hosts/a/explanation",
        "recoveries?all=true&limit=1",
        "recoveries/x",
        "recoveries/x/report?format=html",
        "schedule",
    ] {
        let own = bench.get(&format!("/operator/v1/{path}")).await;
        let got = with_cookie(&bench, "admin", &format!("/board/api/{path}")).await;
        assert_eq!((got.status, &got.text), (own.status, &own.text), "{path}");
    }
    for (token, status) in [
        ("admin", 200),
        ("service-reader", 200),
        ("reader", 403),
        ("member", 403),
        ("masakari_monitor", 403),
        // Permits /v1/segments only.
        ("limited", 401),
        ("nobody", 401),
        ("", 401),
    ] {
        assert_eq!(
            with_cookie(&bench, token, SITUATION).await.status,
            status,
            "{token}"
        );
    }
    let forged = [("x-auth-token", "admin"), ("cookie", "tachi-board=reader")];
    assert_eq!(bench.raw("GET", SITUATION, &forged, "").await.status, 403);
    assert_eq!(
        bench.get(SITUATION).await.status,
        401,
        "below /board only the cookie counts"
    );
    bench
        .operator_journal
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(with_cookie(&bench, "admin", SITUATION).await.status, 503);
}

#[tokio::test]
async fn board_pages_need_the_permissions_of_their_data() {
    let bench = bench();
    for (page, text) in [
        ("now", "Data sources"),
        ("hosts", "data-chip=\"held\""),
        ("instances", "waiting for an operator"),
        ("history", "No recovery yet."),
        ("history/250", "No recovery yet."),
        ("forecast", "A conservative estimate"),
        ("schedule", "Times are in the time zone of the API server."),
        ("host/a", "Recovery prerequisites"),
    ] {
        let path = format!("/board/pages/{page}");
        let got = with_cookie(&bench, "admin", &path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(got.text.contains(text), "{path}: {}", got.text);
        // Every page shows the state of the region and the user.
        for text in ["<p id=\"state\" hidden data-grade=", " · read only\""] {
            assert!(got.text.contains(text), "{path}: {}", got.text);
        }
        for (token, status) in [
            ("reader", 403),
            ("member", 403),
            ("limited", 401),
            ("nobody", 401),
            ("", 401),
        ] {
            assert_eq!(
                with_cookie(&bench, token, &path).await.status,
                status,
                "{path} {token}"
            );
        }
    }
    for (page, status) in [
        ("host/nobody", 404),
        ("instance/nobody", 404),
        ("recovery/nobody", 404),
        ("recovery/..%2f..%2fv1%2fsegments", 404),
        ("forecast/nobody", 404),
    ] {
        let got = with_cookie(&bench, "admin", &format!("/board/pages/{page}")).await;
        assert_eq!(got.status, status, "{page}: {}", got.text);
    }
    bench
        .operator_journal
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(with_cookie(&bench, "admin", "/board/pages/now").await.status, 503);
}

#[tokio::test]
async fn board_pages_are_not_sent_again_while_nothing_happens() {
    let bench = bench();
    let cookie = ("cookie", "tachi-board=admin");
    let first = bench.raw("GET", "/board/pages/schedule", &[cookie], "").await;
    let tag = first.header("etag").unwrap();
    let known = [cookie, ("if-none-match", tag)];
    let again = bench.raw("GET", "/board/pages/schedule", &known, "").await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let other = [cookie, ("if-none-match", "\"another\"")];
    assert_eq!(
        bench.raw("GET", "/board/pages/schedule", &other, "").await.status,
        200
    );
}

#[tokio::test]
async fn board_cookie_is_ignored_by_the_api() {
    let bench = bench();
    for path in [
        "/v1/segments",
        "/operator/v1/situation",
        "/v1",
        "/board/../operator/v1/situation",
    ] {
        let got = with_cookie(&bench, "admin", path).await;
        assert!([401, 404].contains(&got.status), "{path}: {}", got.status);
    }
    let headers = [
        ("cookie", "tachi-board=admin"),
        ("content-type", "application/json"),
    ];
    let got = bench.raw("POST", "/operator/v1/words", &headers, "{}").await;
    assert_eq!(got.status, 401);
}

#[tokio::test]
async fn board_cookie_is_hidden_from_scripts_and_other_sites() {
    let bench = bench();
    for (origin, secure) in [
        ("https://ha.example", true),
        ("http://ha.example", true),
        ("https://127.0.0.1:8443", true),
        ("http://127.0.0.1.evil.example", true),
        ("null", true),
        ("http://127.0.0.1:15868", false),
        ("http://[::1]:15868", false),
        ("http://localhost:15868", false),
    ] {
        let headers = [("x-tachi-board", "1"), ("origin", origin), ("host", "127.0.0.1")];
        let got = bench
            .raw("POST", "/board/login", &headers, with_password("admin"))
            .await;
        assert_eq!(got.status, 204, "{}", got.text);
        let cookie = got.header("set-cookie").unwrap();
        assert!(
            cookie.starts_with("tachi-board=admin; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        // Without a path and domain it applies to the folder of the login, /board, on this host only.
        assert!(!cookie.contains("Path") && !cookie.contains("Domain"), "{cookie}");
        assert_eq!(cookie.ends_with("; Secure"), secure, "{origin}: {cookie}");
    }
    let out = bench.raw("POST", "/board/logout", SAME_ORIGIN, "").await;
    let cookie = out.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("tachi-board=;") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
}

#[tokio::test]
async fn board_login_needs_keystone_and_the_read_rule() {
    let bench = bench();
    let application =
        json!({"with": "application_credential", "id": "a", "secret": "service-reader"}).to_string();
    let token = |token: &str| json!({"with": "token", "token": token}).to_string();
    for (body, status) in [
        (with_password("admin"), 204),
        (application, 204),
        (token(" admin\n"), 204),
        (with_password("wrong"), 401),
        (with_password("reader"), 403),
        (with_password("away"), 503),
        (token("nobody"), 401),
        (token("member"), 403),
        (token(""), 401),
        (token("admin; Domain=example"), 401),
        (token("admin\r\nset-cookie: a=b"), 401),
        (token(&"a".repeat(5000)), 401),
        ("{}".to_owned(), 400),
        ("not json".to_owned(), 400),
        (
            json!({"with": "token", "token": "admin", "more": 1}).to_string(),
            400,
        ),
    ] {
        let got = log_in(&bench, &body).await;
        assert_eq!(got.status, status, "{body}: {}", got.text);
        assert_eq!(got.header("set-cookie").is_some(), status == 204, "{body}");
        assert!(!got.text.contains("connection refused"), "{}", got.text);
    }
    let got = log_in(&bench, &token("member")).await;
    assert!(got.text.contains("os_masakari_api:operator:read"), "{}", got.text);
}

#[tokio::test]
async fn board_refuses_logins_and_logouts_of_other_pages() {
    let bench = bench();
    let refused: [&[(&str, &str)]; 3] = [
        &[],
        &[("x-tachi-board", "1"), ("sec-fetch-site", "cross-site")],
        &[("x-tachi-board", "1"), ("sec-fetch-site", "same-site")],
    ];
    for headers in refused {
        for path in ["/board/login", "/board/logout"] {
            let got = bench.raw("POST", path, headers, with_password("admin")).await;
            assert_eq!(
                (got.status, got.header("set-cookie")),
                (403, None),
                "{path} {headers:?}"
            );
        }
    }
}

#[tokio::test]
async fn board_refuses_huge_bodies() {
    let bench = bench();
    let huge = "a".repeat(200_000);
    assert_eq!(log_in(&bench, &huge).await.status, 413);
    let length = [("x-tachi-board", "1"), ("content-length", "99999999")];
    assert_eq!(bench.raw("POST", "/board/login", &length, "").await.status, 413);
}
