//! Section 6.1 and 6.2: tokens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, PROJECT, fault};
use crate::{Auth, BuildError, Options, Policy, TokenOptions};

const PATHS: &[&str] = &["/v1", "/v1/", "/v1/segments", "/v1/nowhere", "/v1/0123/segments"];

#[tokio::test]
async fn no_or_bad_token_is_401_with_a_challenge() {
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
            "a service token without the role of one",
            &[("x-auth-token", "admin"), ("x-service-token", "member")],
        ),
        ("ended", &[("x-auth-token", "ended")]),
        (
            "ended, with a user's token for a service's",
            &[("x-auth-token", "ended"), ("x-service-token", "admin")],
        ),
        ("only a service token", &[("x-service-token", "service")]),
        ("restricted by access rules", &[("x-auth-token", "limited")]),
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
async fn valid_tokens_are_accepted() {
    let bench = Bench::new();
    assert_eq!(bench.get("/v1/segments").await.status, 200);
    for (name, token) in [
        ("by the usual name", "x-auth-token"),
        ("by the old name", "x-storage-token"),
    ] {
        let got = bench.raw("GET", "/v1/segments", &[(token, "admin")], "").await;
        assert_eq!(got.status, 200, "{name}");
    }
    for (name, token) in [
        ("good", "admin"),
        ("ended", "ended"),
        ("for the system", "system"),
    ] {
        let both = [("x-auth-token", token), ("x-service-token", "service")];
        assert_eq!(
            bench.raw("GET", "/v1/segments", &both, "").await.status,
            200,
            "{name}"
        );
    }
    assert_eq!(
        bench
            .raw("GET", "/v1/segments", &[("x-auth-token", "ended")], "")
            .await
            .status,
        401,
        "a service's question does not let the token in without one"
    );
}

#[tokio::test]
async fn service_tokens_without_the_role_pass_if_configured_but_keep_no_expired_token_valid() {
    let bench = Bench::with(|options| Options {
        tokens: TokenOptions {
            service_roles_required: false,
            ..TokenOptions::default()
        },
        ..options
    });
    for (token, service, status) in [
        ("admin", "member", 200),
        ("admin", "bogus", 401),
        ("ended", "member", 401),
        ("ended", "service", 200),
    ] {
        let both = [("x-auth-token", token), ("x-service-token", service)];
        let got = bench.raw("GET", "/v1/segments", &both, "").await;
        assert_eq!(got.status, status, "{token} {service}");
    }
}

#[tokio::test]
async fn roles_of_a_service_are_configured() {
    let bench = Bench::with(|options| Options {
        tokens: TokenOptions {
            service_roles: vec!["helper".to_owned(), "member".to_owned()],
            ..TokenOptions::default()
        },
        ..options
    });
    for (service, status) in [("member", 200), ("service", 401)] {
        let both = [("x-auth-token", "ended"), ("x-service-token", service)];
        let got = bench.raw("GET", "/v1/segments", &both, "").await;
        assert_eq!(got.status, status, "{service}");
    }
}

#[tokio::test]
async fn a_service_is_seen_by_the_rules_and_its_roles_are_not_the_users() {
    let rule = "os_masakari_api:segments:index: role:member and service_roles:service";
    let policy = Policy::with_text(rule).unwrap();
    let bench = Bench::with(|options| Options { policy, ..options });
    let both = [("x-auth-token", "member"), ("x-service-token", "service")];
    assert_eq!(bench.raw("GET", "/v1/segments", &both, "").await.status, 200);
    let alone = [("x-auth-token", "member")];
    assert_eq!(bench.raw("GET", "/v1/segments", &alone, "").await.status, 403);
    let swapped = [("x-auth-token", "service"), ("x-service-token", "service")];
    assert_eq!(bench.raw("GET", "/v1/segments", &swapped, "").await.status, 403);
}

#[tokio::test]
async fn access_rules_limit_a_token() {
    let bench = Bench::with(|options| Options {
        tokens: TokenOptions {
            service_type: Some("instance-ha".to_owned()),
            ..TokenOptions::default()
        },
        base_path: "/ha".to_owned(),
        ..options
    });
    let own = format!("/v1/{PROJECT}/segments");
    let cases = [
        ("covered", "GET", "/v1/segments", 200),
        ("covered, with the project", "GET", own.as_str(), 200),
        ("another path", "GET", "/v1/notifications", 401),
        ("another method", "POST", "/v1/segments", 401),
        ("below", "GET", "/v1/segments/x", 401),
        ("the path as it was sent", "GET", "/ha/v1/segments", 401),
    ];
    for (name, method, path, status) in cases {
        let got = bench.raw(method, path, &[("x-auth-token", "limited")], "").await;
        assert_eq!(got.status, status, "{name}");
    }
    let both = [("x-auth-token", "limited"), ("x-service-token", "service")];
    let got = bench.raw("GET", "/v1/notifications", &both, "").await;
    assert_eq!(got.status, 200, "a service asks for its own sake");
}

/// Every header by which an identity can be claimed, with a value that would grant rights.
const CLAIMS: &[(&str, &str)] = &[
    ("x-identity-status", "Confirmed"),
    ("x-service-identity-status", "Confirmed"),
    ("x-roles", "admin"),
    ("x-role", "admin"),
    ("x-service-roles", "admin,service"),
    ("x-user-id", "admin-user"),
    ("x-user-name", "admin"),
    ("x-user", "admin"),
    ("x-user-domain-id", "default"),
    ("x-user-domain-name", "Default"),
    ("x-service-user-id", "admin-user"),
    ("x-service-user-name", "admin"),
    ("x-service-user-domain-id", "default"),
    ("x-service-user-domain-name", "Default"),
    ("x-project-id", "abc"),
    ("x-project-name", "admin"),
    ("x-project-domain-id", "default"),
    ("x-project-domain-name", "Default"),
    ("x-service-project-id", "abc"),
    ("x-service-project-name", "service"),
    ("x-service-project-domain-id", "default"),
    ("x-service-project-domain-name", "Default"),
    ("x-tenant-id", "abc"),
    ("x-tenant-name", "admin"),
    ("x-tenant", "admin"),
    ("x-domain-id", "default"),
    ("x-domain-name", "Default"),
    ("x-service-domain-id", "default"),
    ("x-service-domain-name", "Default"),
    ("x-is-admin-project", "True"),
    ("x-service-catalog", "not json"),
    ("openstack-system-scope", "all"),
    ("x_roles", "admin"),
    ("x_user_id", "admin-user"),
];

/// Conformance list, 13.
#[tokio::test]
async fn claimed_identity_never_helps() {
    // A rule that any of the claims, if it were believed, would satisfy.
    let tempted = "context_is_admin: >-\n  role:admin or user_id:admin-user or project_id:abc or system_scope:all or \
                   domain_id:default or user_domain_id:default or project_domain_id:default or \
                   is_admin_project:True or service_user_id:admin-user or service_roles:admin or \
                   service_roles:service or service_project_id:abc or service_user_domain_id:default or \
                   service_project_domain_id:default\n";
    let bench = Bench::with(|options| Options {
        policy: Policy::with_text(tempted).unwrap(),
        ..options
    });
    let ask = async |token: Option<&str>, claims: &[(&str, &str)], path: &str| {
        let mut headers = claims.to_vec();
        headers.extend(token.map(|token| ("x-auth-token", token)));
        bench.raw("GET", path, &headers, "").await.status
    };
    assert_eq!(
        ask(Some("admin"), &[], "/v1/segments").await,
        200,
        "the rule can be met"
    );
    for claim in CLAIMS {
        let one = std::slice::from_ref(claim);
        assert_eq!(ask(Some("member"), one, "/v1/segments").await, 403, "{claim:?}");
        assert_eq!(ask(None, one, "/v1/segments").await, 401, "{claim:?} alone");
        assert_eq!(
            ask(Some("admin"), one, "/v1/abc/segments").await,
            400,
            "{claim:?}"
        );
    }
    assert_eq!(
        ask(Some("member"), CLAIMS, "/v1/segments").await,
        403,
        "all at once"
    );
    assert_eq!(
        ask(None, CLAIMS, "/v1/segments").await,
        401,
        "all at once, no token"
    );
}

#[tokio::test]
async fn keystone_out_is_503() {
    let bench = Bench::new();
    bench.keystone.down.store(true, Ordering::SeqCst);
    let got = bench.get("/v1/segments").await;
    let text = "Keystone is temporarily unavailable; try again later.";
    assert_eq!(got.fault(), fault(503, "serviceUnavailable", text));
    assert_eq!(got.header("retry-after"), Some("5"));
    bench.keystone.down.store(false, Ordering::SeqCst);
    assert_eq!(
        bench.get("/v1/segments").await.status,
        200,
        "an outage is not remembered"
    );
    bench.keystone.down.store(true, Ordering::SeqCst);
    assert_eq!(
        bench.get("/v1/segments").await.status,
        200,
        "a known token goes on working"
    );
    let other = [("x-auth-token", "member")];
    assert_eq!(bench.raw("GET", "/v1/segments", &other, "").await.status, 503);
}

#[tokio::test]
async fn answers_of_keystone_are_cached() {
    let bench = Bench::new();
    let requests = || bench.keystone.requests.load(Ordering::SeqCst);
    for _ in 0..5 {
        bench.get("/v1/segments").await;
    }
    assert_eq!(requests(), 1, "good token");
    bench.clock.advance(Duration::from_secs(299));
    bench.get("/v1/segments").await;
    assert_eq!(requests(), 1, "good token, just before the limit");
    bench.clock.advance(Duration::from_secs(1));
    bench.get("/v1/segments").await;
    assert_eq!(requests(), 2, "good token, at the limit");
    for _ in 0..5 {
        bench.raw("GET", "/v1", &[("x-auth-token", "bogus")], "").await;
    }
    assert_eq!(requests(), 3, "bad token");
}

#[tokio::test]
async fn project_in_the_path_must_be_the_tokens() {
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
async fn noauth2_makes_everybody_administrator() {
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
fn invalid_options_are_refused() {
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
            notify: bench.notifications_sent.clone(),
            clock: bench.clock.clone(),
            compute_hosts: bench.nova.clone(),
            region: bench.operator_journal.clone(),
            operator_journal: bench.operator_journal.clone(),
            freezes: bench.operator_journal.clone(),
            plans: bench.operator_journal.clone(),
            audit: bench.operator_journal.clone(),
            monitors: bench.registry.clone(),
            controller: bench.machine.clone(),
            refusals: crate::RefusalCounter::new(bench.registry.clone(), bench.clock.clone()),
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
