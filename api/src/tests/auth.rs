//! Section 6.1 and 6.2: tokens.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::bench::{Bench, PROJECT, fault};
use crate::{Auth, BuildError, Options};

const PATHS: &[&str] = &["/v1", "/v1/", "/v1/segments", "/v1/nowhere", "/v1/0123/segments"];

#[tokio::test]
async fn s6_2_no_or_bad_token_is_401_with_a_challenge() {
    let bench = Bench::new();
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("none", &[]),
        ("empty", &[("x-auth-token", "")]),
        ("unknown", &[("x-auth-token", "bogus")]),
        ("not text", &[("x-auth-token", "\u{e9}")]),
        (
            "bad service token",
            &[("x-auth-token", "admin"), ("x-service-token", "bogus")],
        ),
        (
            "claims only",
            &[
                ("x-identity-status", "Confirmed"),
                ("x-roles", "admin"),
                ("x-user-id", "me"),
            ],
        ),
    ];
    for (name, headers) in cases {
        for path in PATHS {
            let got = bench.raw("GET", path, headers, "").await;
            assert_eq!(got.status, 401, "{name} {path}");
            assert_eq!(
                got.header("www-authenticate"),
                Some("Keystone uri=\"http://keystone:5000\""),
                "{name}"
            );
            assert_eq!(got.header("content-type"), Some("application/json"), "{name}");
            assert!(got.header("openstack-api-version").is_none(), "{name}");
            let expected = json!({"error": {
                "code": 401,
                "title": "Unauthorized",
                "message": "The request you have made requires authentication.",
            }});
            assert_eq!(got.json(), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn s6_2_good_tokens_are_let_in() {
    let bench = Bench::new();
    assert_eq!(bench.get("/v1/segments").await.status, 200);
    let both = [("x-auth-token", "admin"), ("x-service-token", "member")];
    assert_eq!(bench.raw("GET", "/v1/segments", &both, "").await.status, 200);
}

#[tokio::test]
async fn s6_2_claimed_identity_never_helps() {
    let bench = Bench::new();
    let headers = [
        ("x-auth-token", "member"),
        ("x-roles", "admin"),
        ("x-role", "admin"),
        ("x-user-id", "admin-user"),
        ("x-is-admin-project", "True"),
        ("x-service-roles", "admin"),
        ("x-identity-status", "Confirmed"),
    ];
    assert_eq!(bench.raw("GET", "/v1/segments", &headers, "").await.status, 403);
    let headers = [("x-auth-token", "admin"), ("x-project-id", "abc")];
    assert_eq!(
        bench.raw("GET", "/v1/abc/segments", &headers, "").await.status,
        400
    );
}

#[tokio::test]
async fn s6_2_keystone_out_is_503() {
    let bench = Bench::new();
    bench.keystone.down.store(true, Ordering::SeqCst);
    let got = bench.get("/v1/segments").await;
    let text = "Keystone is temporarily unavailable; try again later.";
    assert_eq!(got.fault(), fault(503, "serviceUnavailable", text));
    bench.keystone.down.store(false, Ordering::SeqCst);
    assert_eq!(
        bench.get("/v1/segments").await.status,
        200,
        "an outage is not remembered"
    );
}

#[tokio::test]
async fn s6_2_answers_of_keystone_are_cached() {
    let bench = Bench::new();
    let asked = || bench.keystone.asked.load(Ordering::SeqCst);
    for _ in 0..5 {
        bench.get("/v1/segments").await;
    }
    assert_eq!(asked(), 1, "good token");
    bench.clock.0.store(299, Ordering::SeqCst);
    bench.get("/v1/segments").await;
    assert_eq!(asked(), 1, "good token, just before the limit");
    bench.clock.0.store(300, Ordering::SeqCst);
    bench.get("/v1/segments").await;
    assert_eq!(asked(), 2, "good token, at the limit");
    for _ in 0..5 {
        bench.raw("GET", "/v1", &[("x-auth-token", "bogus")], "").await;
    }
    assert_eq!(asked(), 3, "bad token");
}

#[tokio::test]
async fn s2_1_project_in_the_path_must_be_the_tokens() {
    let bench = Bench::new();
    let own = format!("/v1/{PROJECT}/segments");
    assert_eq!(bench.get(&own).await.status, 200);
    let got = bench.get("/v1/abc/segments").await;
    let text = format!(
        "Malformed request URL: URL's project_id 'abc' doesn't match Context's project_id '{PROJECT}'"
    );
    assert_eq!(got.fault(), fault(400, "badRequest", &text));
    let got = bench
        .raw("GET", "/v1/abc/segments", &[("x-auth-token", "system")], "")
        .await;
    let text = "Malformed request URL: URL's project_id 'abc' doesn't match Context's project_id 'None'";
    assert_eq!(got.fault(), fault(400, "badRequest", text));
    assert_eq!(bench.get("/v1/NOTHEX/segments").await.status, 404);
}

#[tokio::test]
async fn s6_2_noauth2_makes_everybody_administrator() {
    let bench = Bench::with(|options| Options {
        auth: Auth::Noauth2,
        ..options
    });
    assert_eq!(bench.raw("GET", "/v1/segments", &[], "").await.status, 200);
    let claim = [("x-project-id", "abc"), ("x-roles", "nobody")];
    assert_eq!(bench.raw("GET", "/v1/abc/segments", &claim, "").await.status, 200);
    assert_eq!(bench.raw("GET", "/v1/abc/segments", &[], "").await.status, 400);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let build = |change: fn(&mut Options)| {
        let bench = Bench::new();
        let mut options = Options::new(Auth::Keystone {
            validator: bench.keystone.clone(),
            www_authenticate_uri: "http://keystone".to_owned(),
            cache: crate::CacheOptions::default(),
        });
        change(&mut options);
        let ports = crate::Ports {
            registry: bench.registry.clone(),
            poke: bench.pokes.clone(),
            clock: bench.clock.clone(),
            compute_hosts: bench.nova.clone(),
        };
        crate::router(options, ports)
    };
    let prefix = build(|options| options.link_prefix = Some("not a url".to_owned()));
    assert!(matches!(prefix, Err(BuildError::LinkPrefix { .. })));
    let path = build(|options| "ha".clone_into(&mut options.base_path));
    assert!(matches!(path, Err(BuildError::BasePath { .. })));
    let uri = build(|options| {
        if let Auth::Keystone {
            www_authenticate_uri, ..
        } = &mut options.auth
        {
            "http://a\nb".clone_into(www_authenticate_uri);
        }
    });
    assert!(matches!(uri, Err(BuildError::WwwAuthenticateUri { .. })));
}
