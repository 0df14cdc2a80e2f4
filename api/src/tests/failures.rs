//! Operators' reports of dead hosts over the API: permissions, deduplication, attribution.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::Reporter;
use tachi_domain::recovery::Life;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator_journal::recovery;
use crate::{Options, Policy};

async fn fail(bench: &Bench, token: &str, host: &str, reason: &Value) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    let body = json!({"failure": {"reason": reason}}).to_string();
    let path = format!("/operator/v1/hosts/{host}/failure");
    bench.raw("POST", &path, &headers, body).await
}

/// Registers `a` in the desk and the registry.
async fn bench() -> Bench {
    let bench = Bench::new();
    let segment = bench.segment("all").await;
    bench.host(&segment, "a").await;
    bench
}

const BY: &str = "Keystone user admin-user (smoke in rack 7)";

fn smoke() -> Value {
    json!("smoke in rack 7")
}

#[tokio::test]
async fn operator_api_a_report_of_a_dead_host_names_its_operator() {
    let bench = bench().await;
    let headers = [("x-auth-token", "service-reader")];
    let preview = bench
        .raw("GET", "/operator/v1/hosts/a/failure", &headers, String::new())
        .await;
    let preview = preview.root("failure");
    assert_eq!(
        (&preview["host"], &preview["against"]),
        (&json!("a"), &Value::Null)
    );
    let answer = preview["consequences"].to_string();
    assert!(
        answer.contains("Nova showed a up 5 s ago, and 1 instance was on it"),
        "{answer}"
    );
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), []);

    let got = fail(&bench, "admin", "a", &smoke()).await;
    assert_eq!(got.status, 202, "{}", got.text);
    let answer = got.root("failure");
    assert_eq!(
        (
            &answer["host"],
            &answer["by"],
            &answer["already"],
            &answer["recovery"]
        ),
        (&json!("a"), &json!(BY), &json!(false), &Value::Null)
    );
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    assert_eq!(audited.len(), 2);
    assert!(
        audited
            .iter()
            .all(|one| one.operator.as_deref() == Some(BY) && one.host == "a")
    );
    assert_eq!(
        (audited[0].phase, audited[1].result),
        (AuditPhase::Intent, Some(AuditResult::Ok))
    );
    assert!(
        audited[0].text.starts_with("reports the host as failed (req-"),
        "{}",
        audited[0].text
    );
    // It is a report like any other.
    let path = format!("/v1/notifications/{}", answer["notification"].as_str().unwrap());
    let kept = bench.get(&path).await.root("notification");
    assert_eq!(kept["payload"]["host_status"], "UNKNOWN", "it claims no proof");
}

#[tokio::test]
async fn operator_api_a_dead_host_is_reported_once() {
    let bench = bench().await;
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, "a")];
    let refused = fail(&bench, "admin", "a", &smoke()).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("is already running"), "{}", refused.text);
    // The answer was lost: this recovery belongs to the same operator's report.
    let ours = |name: &str| Reporter {
        user_id: "admin-user".to_owned(),
        user_name: Some(name.to_owned()),
        ..Reporter::default()
    };
    *bench.operator_journal.reporters.lock().unwrap() = vec![ours("monitor"), ours(BY)];
    let again = fail(&bench, "admin", "a", &smoke()).await;
    assert_eq!(again.status, 202, "{}", again.text);
    let again = again.root("failure");
    assert_eq!(
        (&again["already"], &again["recovery"]),
        (&json!(true), &json!(Uuid::from_u128(3)))
    );
    // Another reason makes another report.
    assert_eq!(fail(&bench, "admin", "a", &json!("fire")).await.status, 409);
    assert_eq!(
        *bench.operator_journal.audited.lock().unwrap(),
        [],
        "nothing was written"
    );

    // It finished meanwhile, within the window for duplicates.
    bench.operator_journal.recoveries.lock().unwrap().clear();
    assert_eq!(fail(&bench, "admin", "a", &smoke()).await.status, 202);
    let mut closed = recovery(4, "a");
    closed.life = Life::Closed;
    *bench.operator_journal.recoveries.lock().unwrap() = vec![closed];
    let again = fail(&bench, "admin", "a", &smoke()).await.root("failure");
    assert_eq!(
        (&again["already"], &again["recovery"]),
        (&json!(true), &json!(Uuid::from_u128(4)))
    );
    bench.operator_journal.reporters.lock().unwrap().clear();
    let other = fail(&bench, "admin", "a", &smoke()).await;
    assert_eq!(other.status, 409, "{}", other.text);
    assert!(
        other.text.contains("the same report of a came within"),
        "{}",
        other.text
    );
}

#[tokio::test]
async fn operator_api_an_unauthorized_report_of_a_dead_host_writes_nothing() {
    for token in [
        "reader",
        "service-reader",
        "service-monitor",
        "member",
        "service",
        "masakari_monitor",
        "masakari-monitor-a",
        "admin-monitor",
    ] {
        let bench = bench().await;
        let got = fail(&bench, token, "a", &smoke()).await;
        assert_eq!(got.status, 403, "{token}: {}", got.text);
        assert_eq!(*bench.operator_journal.audited.lock().unwrap(), [], "{token}");
    }
    let bench = bench().await;
    let long = json!("x".repeat(240));
    for (host, reason, status) in [
        ("nobody", smoke(), 404),
        ("%27%20OR%201=1%20--", smoke(), 404),
        ("a%0ab", smoke(), 404),
        ("a", json!(""), 400),
        ("a", json!("a\nb"), 400),
        ("a", json!("\u{1b}[2J"), 400),
        ("a", long, 400),
        ("a", Value::Null, 400),
        // In the desk all hosts have one id.
        ("00000000-0000-0000-0000-000000000002", smoke(), 409),
        // Taken out of its segment a moment ago.
        ("b", smoke(), 409),
    ] {
        let got = fail(&bench, "admin", host, &reason).await;
        assert_eq!(got.status, status, "{host} {reason}: {}", got.text);
    }
    let results: Vec<_> = bench
        .operator_journal
        .audited
        .lock()
        .unwrap()
        .iter()
        .filter_map(|one| one.result)
        .collect();
    assert_eq!(results, [AuditResult::Permanent], "of b, and of nothing else");

    let bench = self::bench().await;
    bench.operator_journal.full.store(true, Ordering::SeqCst);
    assert_eq!(fail(&bench, "admin", "a", &smoke()).await.status, 503);
    let listed = bench.get("/v1/notifications").await.root("notifications");
    assert_eq!(listed, json!([]), "nothing is reported without a line");
    bench.operator_journal.full.store(false, Ordering::SeqCst);
    bench.operator_journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(fail(&bench, "admin", "a", &smoke()).await.status, 503);
}

/// The engine powers off a host that was reported dead.
#[tokio::test]
async fn operator_api_the_act_rule_does_not_permit_power_off() {
    let policy = Policy::with_text("os_masakari_api:operator:act: role:member").unwrap();
    let bench = Bench::with(|options| Options { policy, ..options });
    let segment = bench.segment("all").await;
    bench.host(&segment, "a").await;
    let (status, _, answer) = fail(&bench, "member", "a", &smoke()).await.fault();
    assert_eq!(status, 403);
    assert!(answer.contains("os_masakari_api:operator:power"), "{answer}");
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), []);
    assert_eq!(fail(&bench, "admin", "a", &smoke()).await.status, 202);
}
