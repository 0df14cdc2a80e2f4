//! Section 6.3: every route has its rule, and the rule is asked.

use serde_json::{Value, json};

use super::bench::{Bench, fault, notification};
use crate::{Check, Options, Policy, RouteInfo, routes};

/// A body that the route's schema lets through, for schemas come before policy.
fn good_body(route: &RouteInfo) -> Value {
    match route.path {
        "/v1/segments" | "/v1/segments/{segment}" => {
            json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "C"}})
        }
        "/v1/segments/{segment}/hosts" | "/v1/segments/{segment}/hosts/{host}" => {
            json!({"host": {"name": "n", "type": "C", "control_attributes": "S"}})
        }
        "/v1/notifications" => notification("COMPUTE_HOST", "n", "2026-01-01", &json!({})),
        _ => Value::Null,
    }
}

async fn ask(bench: &Bench, route: &RouteInfo, token: &str) -> super::bench::Got {
    let path = route.path.replace(['{', '}'], "");
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench
        .raw(
            route.method.as_str(),
            &path,
            &headers,
            good_body(route).to_string(),
        )
        .await
}

#[tokio::test]
async fn s6_3_every_rule_forbids_and_admits() {
    let bench = Bench::new();
    let ruled: Vec<_> = routes()
        .into_iter()
        .filter_map(|route| Some((route.rule?, route)))
        .collect();
    assert_eq!(ruled.len(), 17, "S1-S5, H1-H5, N1-N3, V1-V2, E1-E2");
    for (rule, route) in ruled {
        let got = ask(&bench, &route, "member").await;
        let text = format!("Policy doesn't allow {rule} to be performed.");
        assert_eq!(got.fault(), fault(403, "forbidden", &text), "{route:?}");
        assert_eq!(
            got.header("openstack-api-version"),
            Some("instance-ha 1.0"),
            "{route:?}"
        );
        let got = ask(&bench, &route, "admin").await;
        assert_ne!(got.status, 403, "{route:?}");

        let policy = Policy::default().with(rule, Check::Role("member".to_owned()));
        let other = Bench::with(|options| Options { policy, ..options });
        for one in routes() {
            let status = ask(&other, &one, "member").await.status;
            let admitted = one.rule.is_none() || one.rule == Some(rule);
            assert_eq!(
                status == 403,
                !admitted,
                "{rule} alone is opened, asking for {one:?}"
            );
        }
    }
}

#[test]
fn s6_3_only_these_routes_have_no_rule() {
    let open: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.rule.is_none())
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let expected = [
        "GET /v1",
        "GET /v1/",
        "GET /v1/versions/{id}",
        "GET /v1/versions",
        "PUT /v1/notifications/{notification}",
        "DELETE /v1/notifications/{notification}",
        "POST /v1/notifications/{notification}/vmoves",
        "PUT /v1/notifications/{notification}/vmoves/{vmove}",
        "DELETE /v1/notifications/{notification}/vmoves/{vmove}",
        "POST /v1/extensions",
        "PUT /v1/extensions/{alias}",
        "DELETE /v1/extensions/{alias}",
    ];
    assert_eq!(open, expected);
}

#[tokio::test]
async fn s4_extensions_show_what_the_caller_may_discover() {
    let member = || Check::Role("member".to_owned());
    let policy = Policy::default()
        .with("os_masakari_api:extensions:index", member())
        .with("os_masakari_api:extensions:detail", member())
        .with("os_masakari_api:vmoves:discoverable", member());
    let bench = Bench::with(|options| Options { policy, ..options });
    let headers = [("x-auth-token", "member")];
    let got = bench.raw("GET", "/v1/extensions", &headers, "").await;
    let aliases: Vec<_> = got
        .root("extensions")
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["alias"].clone())
        .collect();
    assert_eq!(aliases, ["versions", "vmoves"]);
    for (alias, status) in [("vmoves", 200), ("versions", 200), ("segments", 404)] {
        let got = bench
            .raw("GET", &format!("/v1/extensions/{alias}"), &headers, "")
            .await;
        assert_eq!(got.status, status, "{alias}");
    }
}
