//! Reporter binding: the permitted reports of each reporter.

use serde_json::{Value, json};

use super::bench::{Bench, TestResponse, notification};
use crate::{BindingMode, BindingOptions, Options, Policy};

const SHIPPED: &str = include_str!("../../../docs/policy-monitor.yaml");

/// `cmp1` and `cmp2` are registered.
async fn bench(mode: BindingMode, rules: &str) -> Bench {
    let policy = Policy::with_text(rules).unwrap();
    let bench = Bench::with(|options| Options {
        policy,
        binding: BindingOptions {
            mode,
            ..BindingOptions::default()
        },
        ..options
    });
    let segment = bench.segment("one").await;
    for host in ["cmp1", "cmp2"] {
        bench.host(&segment, host).await;
    }
    bench
}

fn payload(kind: &str) -> Value {
    match kind {
        "COMPUTE_HOST" => json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}),
        "PROCESS" => json!({"event": "STOPPED", "process_name": "nova-compute"}),
        _ => json!({
            "event": "LIFECYCLE", "instance_uuid": "11111111-1111-4111-8111-111111111111",
            "vir_domain_event": "STOPPED_FAILED",
        }),
    }
}

async fn report(bench: &Bench, token: &str, kind: &str, host: &str) -> TestResponse {
    let body = notification(kind, host, "2026-01-01T05:00:00", &payload(kind)).to_string();
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench.raw("POST", "/v1/notifications", &headers, body).await
}

fn reported_status(bench: &Bench) -> Option<String> {
    let rows = bench.registry.rows();
    let last = rows.notifications.last()?;
    last.payload.get("host_status").cloned()
}

const CMP1: &str = "masakari-monitor-cmp1";

/// Covers T1, T3, T5.
#[tokio::test]
async fn a_bound_reporter_reports_its_own_host_and_only_suspects_others() {
    for mode in [BindingMode::Warn, BindingMode::Enforce] {
        for (kind, host, status) in [
            ("VM", "cmp1", 202),
            ("VM", "cmp2", 403),
            ("PROCESS", "cmp1", 202),
            ("PROCESS", "cmp2", 403),
            ("COMPUTE_HOST", "cmp2", 202),
            ("COMPUTE_HOST", "cmp1", 202),
        ] {
            let bench = bench(mode, SHIPPED).await;
            let got = report(&bench, CMP1, kind, host).await;
            assert_eq!(got.status, status, "{mode:?} {kind} {host}: {}", got.text);
            if status == 403 {
                assert!(got.text.contains("bound to host cmp1"), "{}", got.text);
                assert!(bench.registry.rows().notifications.is_empty());
                continue;
            }
            let row = bench.registry.rows().notifications[0].clone();
            let reporter = row.reporter.unwrap();
            assert_eq!(reporter.host.as_deref(), Some("cmp1"));
            assert!(!reporter.control);
            if kind == "COMPUTE_HOST" {
                assert_eq!(
                    reported_status(&bench).as_deref(),
                    Some("UNKNOWN"),
                    "NORMAL is no word of a compute's"
                );
                assert_eq!(reporter.discarded_status.as_deref(), Some("NORMAL"));
            }
        }
    }
}

/// Covers T1.
#[tokio::test]
async fn normal_and_evidence_count_from_a_control_node_only() {
    let delegated = format!("{SHIPPED}\n\"tachi:evidence:create\": \"role:masakari_monitor\"\n");
    for (name, rules, token, expected) in [
        ("an administrator", SHIPPED, "admin", "NORMAL"),
        ("the limited role", SHIPPED, "masakari_monitor", "UNKNOWN"),
        ("whom the policy admits", &delegated, "masakari_monitor", "NORMAL"),
        (
            "one that is bound, whatever the policy says",
            &delegated,
            CMP1,
            "UNKNOWN",
        ),
    ] {
        let bench = bench(BindingMode::Warn, rules).await;
        let got = report(&bench, token, "COMPUTE_HOST", "cmp2").await;
        assert_eq!(got.status, 202, "{name}: {}", got.text);
        assert_eq!(reported_status(&bench).as_deref(), Some(expected), "{name}");
    }
}

/// Covers T5.
#[tokio::test]
async fn an_unbound_reporter_is_accepted_as_by_masakari_until_binding_is_enforced() {
    for (mode, monitor) in [
        (BindingMode::Off, 202),
        (BindingMode::Warn, 202),
        (BindingMode::Enforce, 403),
    ] {
        for kind in ["VM", "PROCESS", "COMPUTE_HOST"] {
            let bench = bench(mode, SHIPPED).await;
            let got = report(&bench, "masakari_monitor", kind, "cmp1").await;
            assert_eq!(got.status, monitor, "{mode:?} {kind}: {}", got.text);
            if monitor == 403 {
                assert!(got.text.contains("tachi setup monitors"), "{}", got.text);
            }
            let got = report(&bench, "admin", kind, "cmp2").await;
            assert_eq!(got.status, 202, "a control node: {}", got.text);
        }
    }
    let bench = bench(BindingMode::Off, SHIPPED).await;
    report(&bench, "masakari_monitor", "COMPUTE_HOST", "cmp1").await;
    assert_eq!(
        reported_status(&bench).as_deref(),
        Some("NORMAL"),
        "nothing is judged"
    );
}

/// Covers T3, T5.
#[tokio::test]
async fn the_policy_has_a_rule_for_each_kind_and_knows_what_is_reported() {
    let by_kind = "os_masakari_api:notifications:create: rule:admin_api or role:masakari_monitor\n\
                   os_masakari_api:notifications:create:process: rule:admin_api\n\
                   os_masakari_api:notifications:create:vm: \"'cmp1':%(hostname)s and 'VM':%(type)s\"\n\
                   os_masakari_api:notifications:create:compute_host: \"rule:admin_api or not 'cmp1':%(bound_host)s\"";
    for (token, kind, host, refusing) in [
        ("masakari_monitor", "PROCESS", "cmp1", Some("create:process")),
        ("admin", "PROCESS", "cmp1", None),
        ("masakari_monitor", "VM", "cmp1", None),
        ("masakari_monitor", "VM", "cmp2", Some("create:vm")),
        ("member", "COMPUTE_HOST", "cmp2", None),
        (CMP1, "COMPUTE_HOST", "cmp2", Some("create:compute_host")),
        ("masakari-monitor-cmp2", "COMPUTE_HOST", "cmp1", None),
        // The error names the rule that clients know if that one refuses too.
        ("member", "PROCESS", "cmp1", Some("create ")),
    ] {
        let bench = bench(BindingMode::Warn, by_kind).await;
        let got = report(&bench, token, kind, host).await;
        let status = if refusing.is_some() { 403 } else { 202 };
        assert_eq!(got.status, status, "{token} {kind} {host}: {}", got.text);
        if let Some(rule) = refusing {
            assert!(got.text.contains(rule), "{}", got.text);
        }
    }
}
