//! Fence evidence in a notification's header (R18).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tachi_domain::evidence::GivenEvidence;

use super::bench::{Bench, TestResponse, notification};
use crate::{Options, Policy};

const EXAMPLE: &str = include_str!("../../../docs/examples/fence-evidence.json");
const HOST: &str = "compute-7.example.org";

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

fn header(evidence: &Value) -> String {
    STANDARD.encode(evidence.to_string())
}

/// A report of a stopped host, with these values of the header.
async fn report(bench: &Bench, token: &str, payload: &Value, values: &[&str]) -> TestResponse {
    let body = notification("COMPUTE_HOST", HOST, "2026-11-20T18:30:13", payload).to_string();
    let mut headers = vec![("x-auth-token", token), ("content-type", "application/json")];
    headers.extend(values.iter().map(|value| ("X-Tachi-Fence-Evidence", *value)));
    bench.raw("POST", "/v1/notifications", &headers, body).await
}

fn normal() -> Value {
    json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"})
}

async fn bench(rules: &str) -> Bench {
    let policy = Policy::with_text(rules).unwrap();
    let bench = Bench::with(|options| Options { policy, ..options });
    let segment = bench.segment("one").await;
    bench.host(&segment, HOST).await;
    bench
}

fn kept(bench: &Bench) -> Vec<Option<GivenEvidence>> {
    bench.registry.rows().evidence.clone()
}

/// Covers R18.
#[tokio::test]
async fn an_administrators_evidence_is_stored_with_reporter_and_time() {
    let bench = bench("").await;
    let got = report(&bench, "admin", &normal(), &[&header(&example())]).await;
    assert_eq!(got.status, 202, "{}", got.text);
    assert!(
        !got.text.contains("ha-az1"),
        "the answer is the one that every client knows"
    );
    let kept = kept(&bench);
    let [Some(given)] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!(given.evidence.cluster.as_deref(), Some("ha-az1"));
    assert!(!given.by.is_empty());
    assert_eq!(
        given.generated,
        bench.registry.rows().notifications[0].generated_time
    );
    let row = bench.registry.rows().notifications[0].clone();
    assert_eq!(
        given.arrived.whole_seconds(),
        row.stamps.created_at,
        "by our clock"
    );
}

/// Covers R18.
#[tokio::test]
async fn evidence_of_other_callers_is_dropped_and_the_report_is_accepted() {
    let rules = r#"{"os_masakari_api:notifications:create": "rule:admin_api or role:masakari_monitor"}"#;
    for values in [
        vec![header(&example())],
        vec!["no base64".to_owned()],
        vec![String::new(), String::new()],
    ] {
        let bench = bench(rules).await;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let got = report(&bench, "masakari_monitor", &normal(), &values).await;
        assert_eq!(got.status, 202, "{}", got.text);
        assert_eq!(kept(&bench), [None]);
    }
    let rules = rules.replace('}', r#", "tachi:evidence:create": "role:masakari_monitor"}"#);
    let bench = self::bench(&rules).await;
    let got = report(&bench, "masakari_monitor", &normal(), &[&header(&example())]).await;
    assert_eq!(got.status, 202, "{}", got.text);
    assert!(kept(&bench)[0].is_some(), "an operator admits it");
}

/// Covers R18.
#[tokio::test]
async fn invalid_evidence_is_refused_before_any_write() {
    let with = |member: &str, value: Value| {
        let mut evidence = example();
        evidence[member] = value;
        header(&evidence)
    };
    let good = header(&example());
    let (other_host, newer) = (with("host", json!("compute-8")), with("version", json!(2)));
    let unpadded = URL_SAFE_NO_PAD.encode([0xfb, 0xff, 0xfe, 0xfb]);
    let long = STANDARD.encode(format!("{{\"version\": 1, \"x\": \"{}\"}}", "y".repeat(5_000)));
    let cases: [(&str, Vec<&str>, Value, &str); 9] = [
        ("two", vec![&good, &good], normal(), "there are 2 such headers"),
        ("empty", vec![""], normal(), "not a JSON object"),
        ("no base64", vec!["%%%"], normal(), "not padded standard base64"),
        (
            "another base64",
            vec![&unpadded],
            normal(),
            "not padded standard base64",
        ),
        ("no JSON", vec!["AAAA"], normal(), "not a JSON object"),
        ("too long", vec![&long], normal(), "more than the limit of 4096"),
        ("another host", vec![&other_host], normal(), "compute-8"),
        ("another version", vec![&newer], normal(), "version"),
        (
            "another report",
            vec![&good],
            json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"}),
            "host_status NORMAL",
        ),
    ];
    let bench = bench("").await;
    for (name, values, payload, why) in cases {
        let got = report(&bench, "admin", &payload, &values).await;
        assert_eq!(got.status, 400, "{name}: {}", got.text);
        assert!(
            got.text.contains("X-Tachi-Fence-Evidence"),
            "{name}: {}",
            got.text
        );
        assert!(got.text.contains(why), "{name}: {}", got.text);
        assert!(bench.registry.rows().notifications.is_empty(), "{name}");
    }
    assert_eq!(
        report(&bench, "admin", &normal(), &[]).await.status,
        202,
        "and without it"
    );
}
