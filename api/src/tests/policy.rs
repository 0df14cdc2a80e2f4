//! Section 6.3: every route has a rule and checks it.

use serde_json::{Value, json};

use super::bench::{Bench, fault, notification};
use crate::{Options, Policy, RouteInfo, policy_rules, routes};

/// A body that matches the route's schema, because the schema is checked before the policy.
fn good_body(route: &RouteInfo) -> Value {
    match route.path {
        "/v1/segments" | "/v1/segments/{segment}" => {
            json!({"segment": {"name": "n", "recovery_method": "auto", "service_type": "C"}})
        }
        "/v1/segments/{segment}/hosts" | "/v1/segments/{segment}/hosts/{host}" => {
            json!({"host": {"name": "n", "type": "C", "control_attributes": "S"}})
        }
        "/v1/notifications" => notification("COMPUTE_HOST", "n", "2026-01-01", &json!({})),
        "/v1/monitors/{hostname}/{kind}" => json!({"monitor": {"version": "1"}}),
        "/operator/v1/freezes" => {
            json!({"freeze": {"scope": "host", "name": "x", "lasts_seconds": 60, "reason": "x"}})
        }
        "/operator/v1/hosts/{hostname}/failure" => json!({"failure": {"reason": "x"}}),
        "/operator/v1/hosts/{hostname}/drain" => json!({"drain": {"lasts_seconds": 60, "reason": "x"}}),
        "/operator/v1/hosts/{hostname}/giveback" => json!({"giveback": {}}),
        "/operator/v1/recoveries/{recovery}/retry" => json!({"retry": {}}),
        "/operator/v1/reporters/{reporter}/lift" => json!({"lift": {}}),
        "/operator/v1/words" => json!({"word": {"word": "approve", "recovery": "x"}}),
        _ => Value::Null,
    }
}

async fn ask(bench: &Bench, route: &RouteInfo, token: &str) -> super::bench::TestResponse {
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
async fn every_rule_denies_and_allows() {
    let bench = Bench::new();
    let ruled: Vec<_> = routes()
        .into_iter()
        .filter_map(|route| Some((route.rule?, route)))
        .collect();
    assert_eq!(
        ruled.len(),
        50,
        "S1-S5, H1-H5, N1-N3, V1-V2, E1-E2, the boot guard, monitors that sign, and what operators read and say"
    );
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

        let policy = Policy::with_text(&format!("{rule}: role:member")).unwrap();
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

/// Readers of operator data may also read segments, hosts and notifications; other callers and monitors may not.
#[tokio::test]
async fn deploy19_a_reader_of_the_service_project_reads_masakaris_routes() {
    let bench = Bench::new();
    let mut read = 0;
    for route in routes() {
        let Some(rule) = route.rule.filter(|rule| rule.starts_with("os_masakari_api:")) else {
            continue;
        };
        let extends = rule.starts_with("os_masakari_api:extensions");
        let may = rule.ends_with(":read") || route.method == "GET" && !extends;
        for token in ["reader", "service-monitor", "masakari_monitor"] {
            assert_eq!(ask(&bench, &route, token).await.status, 403, "{token} {route:?}");
        }
        assert_eq!(
            ask(&bench, &route, "service-reader").await.status != 403,
            may,
            "{route:?}"
        );
        read += usize::from(may && route.path.starts_with("/v1/"));
    }
    assert_eq!(
        read, 8,
        "index and detail of segments, hosts, notifications and moves"
    );
}

#[test]
fn only_these_routes_have_no_rule() {
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
        "GET /v1/segments/new",
        "GET /v1/segments/{segment}/edit",
        "POST /v1/segments/{segment}/action",
        "GET /v1/segments/{segment}/hosts/new",
        "GET /v1/segments/{segment}/hosts/{host}/edit",
        "GET /v1/notifications/new",
        "GET /v1/notifications/{notification}/edit",
        "POST /v1/notifications/{notification}/action",
        "GET /v1/notifications/{notification}/vmoves/new",
        "GET /v1/notifications/{notification}/vmoves/{vmove}/edit",
        "GET /v1/extensions/new",
        "GET /v1/extensions/{alias}/edit",
    ];
    assert_eq!(open, expected);
}

#[tokio::test]
async fn extensions_show_what_the_caller_may_discover() {
    let text = "os_masakari_api:extensions:index: role:member\n\
                os_masakari_api:extensions:detail: role:member\n\
                os_masakari_api:vmoves:discoverable: role:member\n";
    let policy = Policy::with_text(text).unwrap();
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

/// Rules that no code uses, with the reason.
const UNUSED_RULES: &[(&str, &str)] = &[
    ("admin_or_owner", "operators refer to it"),
    ("os_masakari_api:versions:index", "Masakari's files may name it"),
];

#[test]
fn every_rule_is_defined_and_every_defined_rule_is_used() {
    let defined: Vec<&str> = policy_rules().iter().map(|rule| rule.name).collect();
    let mut once = defined.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), defined.len(), "no name twice");
    let mut used_rules: Vec<&str> = routes().into_iter().filter_map(|route| route.rule).collect();
    used_rules.extend(
        crate::types::extension::ALL
            .iter()
            .map(|extension| extension.rule),
    );
    used_rules.extend([
        "context_is_admin",
        "admin_api",
        crate::evidence::RULE,
        crate::handlers::actions::CONFIRM_NOT_RUNNING,
    ]);
    used_rules.extend(OF_KINDS);
    for rule in &used_rules {
        assert!(defined.contains(rule), "{rule} is asked for and not defined");
    }
    for rule in defined {
        let excused = UNUSED_RULES.iter().any(|(name, _)| *name == rule);
        assert!(
            excused != used_rules.contains(&rule),
            "{rule} is defined: asked for, or excused?"
        );
    }
}

#[test]
fn the_operations_of_a_rule_are_its_routes() {
    for rule in policy_rules() {
        let mut documented: Vec<_> = rule
            .operations
            .iter()
            .map(|operation| (operation.method.to_owned(), operation.path))
            .collect();
        let mut guarded: Vec<_> = routes()
            .into_iter()
            .filter(|route| {
                let of_a_kind = OF_KINDS.contains(&rule.name) && route.rule == Some(OF_ALL_KINDS);
                of_a_kind || route.rule == Some(rule.name)
            })
            .map(|route| (route.method.to_string(), route.path))
            .collect();
        documented.sort_unstable();
        guarded.sort_unstable();
        assert_eq!(documented, guarded, "{}", rule.name);
    }
}

const OF_ALL_KINDS: &str = "os_masakari_api:notifications:create";

/// Checked once the subject of the report is known.
const OF_KINDS: [&str; 3] = [
    "os_masakari_api:notifications:create:compute_host",
    "os_masakari_api:notifications:create:process",
    "os_masakari_api:notifications:create:vm",
];

/// Names and defaults of the `masakari` package 22.0.0.
const MASAKARI: &[(&str, &[&str], &str)] = &[
    (
        "segments",
        &["index", "detail", "create", "update", "delete", "discoverable"],
        "rule:admin_api",
    ),
    (
        "os-hosts",
        &["index", "detail", "create", "update", "delete", "discoverable"],
        "rule:admin_api",
    ),
    (
        "notifications",
        &["index", "detail", "create", "discoverable"],
        "rule:admin_api",
    ),
    ("vmoves", &["index", "detail", "discoverable"], "rule:admin_api"),
    (
        "extensions",
        &["index", "detail", "discoverable"],
        "rule:admin_api",
    ),
    ("versions", &["index", "discoverable"], "@"),
];

#[test]
fn names_and_defaults_are_masakaris() {
    let mut expected: Vec<(String, &str)> = MASAKARI
        .iter()
        .flat_map(|(resource, actions, check)| {
            let names = actions
                .iter()
                .map(move |action| (format!("os_masakari_api:{resource}:{action}"), *action));
            // Ours: a reader of the service project.
            names.map(move |(name, action)| match (*resource, action) {
                ("segments" | "os-hosts" | "notifications" | "vmoves", "index" | "detail") => (
                    name,
                    "rule:admin_api or (role:reader and is_service_project:True and not role:masakari_monitor)",
                ),
                _ => (name, *check),
            })
        })
        .collect();
    expected.extend([
        ("context_is_admin".to_owned(), "role:admin"),
        (
            "admin_or_owner".to_owned(),
            "is_admin:True or project_id:%(project_id)s",
        ),
        ("admin_api".to_owned(), "is_admin:True"),
        // Ours.
        (
            "os_masakari_api:notifications:create:compute_host".to_owned(),
            "rule:os_masakari_api:notifications:create",
        ),
        (
            "os_masakari_api:notifications:create:process".to_owned(),
            "rule:os_masakari_api:notifications:create",
        ),
        (
            "os_masakari_api:notifications:create:vm".to_owned(),
            "rule:os_masakari_api:notifications:create",
        ),
        (
            "os_masakari_api:operator:read".to_owned(),
            "(rule:admin_api or (role:reader and is_service_project:True)) and not role:masakari_monitor",
        ),
        (
            "os_masakari_api:operator:act".to_owned(),
            "rule:admin_api and not role:masakari_monitor",
        ),
        (
            "os_masakari_api:operator:power".to_owned(),
            "rule:admin_api and not role:masakari_monitor",
        ),
        (
            "os_masakari_api:operator:vouch".to_owned(),
            "rule:admin_api and not role:masakari_monitor",
        ),
        ("tachi:evidence:create".to_owned(), "rule:admin_api"),
        (
            "tachi:monitors:sign".to_owned(),
            "rule:admin_api or role:service or role:masakari_monitor",
        ),
        (
            "tachi:boot-guard:detail".to_owned(),
            "rule:admin_api or role:service or role:masakari_monitor",
        ),
    ]);
    expected.sort_unstable();
    let mut ours: Vec<(String, &str)> = policy_rules()
        .iter()
        .map(|rule| (rule.name.to_owned(), rule.check))
        .collect();
    ours.sort_unstable();
    assert_eq!(ours, expected);
}

/// Conformance list, 12.
#[tokio::test]
async fn changed_rules_apply_from_the_next_request() {
    let policy = Policy::default();
    let bench = Bench::with(|options| Options {
        policy: policy.clone(),
        ..options
    });
    let ask = async || {
        bench
            .raw("GET", "/v1/segments", &[("x-auth-token", "member")], "")
            .await
            .status
    };
    assert_eq!(ask().await, 403);
    for (text, status) in [
        ("os_masakari_api:segments:index: role:member", 200),
        ("os_masakari_api:segments:detail: role:member", 403),
        ("context_is_admin: role:member", 200),
        ("", 403),
    ] {
        policy.replace(Policy::with_text(text).unwrap().current().as_ref().clone());
        assert_eq!(ask().await, status, "{text}");
    }
}

/// Covers R18.
#[tokio::test]
async fn a_monitor_can_create_notifications_and_nothing_else() {
    let text = include_str!("../../../docs/policy-monitor.yaml");
    // The bench's token is a member's; the file is about masakari_monitor.
    let policy = Policy::with_text(&text.replace("role:masakari_monitor", "role:member")).unwrap();
    let bench = Bench::with(|options| Options { policy, ..options });
    for route in routes() {
        let got = ask(&bench, &route, "member").await;
        let admitted = route.rule.is_none() || route.rule == Some("os_masakari_api:notifications:create");
        assert_eq!(got.status == 403, !admitted, "{route:?}: {}", got.status);
    }
    assert!(!Policy::with_text(text).unwrap().would_allow(
        "tachi:evidence:create",
        crate::Identity {
            roles: vec!["masakari_monitor".to_owned()],
            ..crate::Identity::default()
        }
    ));
}
