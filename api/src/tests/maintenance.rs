//! Actions on reporters, monitors and failed recoveries over the API: permissions, attribution, audit log first.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::situation::MutedReporter;
use tachi_domain::{RecoveryId, Reporter, Timestamp};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator_journal::{NOW, recovery};

const REPORTERS: &str = "/operator/v1/reporters";
const BY: &str = "Keystone user admin-user";

pub(super) fn muted_reporter(number: i64, host: &str) -> MutedReporter {
    MutedReporter {
        number,
        reporter: Reporter {
            host: Some(host.into()),
            ..Reporter::default()
        },
        since: NOW.minus_seconds(90),
        why: "3 of its claims were contradicted".into(),
        is_muted: true,
        ignored_reports: 4,
    }
}

async fn send_request(
    bench: &Bench,
    token: &str,
    method: &'static str,
    path: &str,
    body: &Value,
) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    bench.raw(method, path, &headers, body).await
}

fn nothing_was_done(bench: &Bench, what: &str) {
    assert_eq!(
        *bench.operator_journal.written.lock().unwrap(),
        [] as [&str; 0],
        "{what}"
    );
}

#[tokio::test]
async fn operator_api_a_reporter_is_unmuted_once_with_its_operator_in_the_log() {
    let bench = Bench::new();
    *bench.operator_journal.muted_reporters.lock().unwrap() =
        vec![muted_reporter(7, "a"), muted_reporter(8, "b")];
    let list = bench
        .raw("GET", REPORTERS, &[("x-auth-token", "service-reader")], "")
        .await;
    let list = list.root("reporters");
    assert_eq!(
        list[0],
        json!({"number": 7, "reporter": list[0]["reporter"], "host": "a", "set_aside": true, "since": list[0]["since"], "kept": 4,
               "why": "3 of its claims were contradicted"})
    );
    let path = format!("{REPORTERS}/a/lift");
    let got = send_request(
        &bench,
        "admin",
        "POST",
        &path,
        &json!({"lift": {"reason": "its clock"}}),
    )
    .await;
    assert_eq!(got.status, 200, "{}", got.text);
    let answer = got.root("lift");
    assert_eq!(
        (&answer["lifted"]["number"], &answer["by"]),
        (&json!(7), &json!(format!("{BY} (its clock)")))
    );
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    let audited_lines: Vec<_> = audited
        .iter()
        .map(|one| (one.action, one.phase, one.result))
        .collect();
    assert_eq!(
        audited_lines,
        [
            (AuditAction::Lift, AuditPhase::Intent, None),
            (AuditAction::Lift, AuditPhase::Outcome, Some(AuditResult::Ok)),
        ]
    );
    assert!(audited[0].text.contains("(req-"), "{}", audited[0].text);
    let by = format!("{BY} (its clock)");
    assert!(
        audited
            .iter()
            .all(|one| one.operator.as_deref() == Some(by.as_str()))
    );

    // A repetition reports that no such reporter is muted, and writes nothing.
    let again = send_request(&bench, "admin", "POST", &path, &json!({"lift": {}})).await;
    assert_eq!(again.status, 404, "{}", again.text);
    assert!(
        again.text.contains("it was unmuted, or never muted"),
        "{}",
        again.text
    );
    assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn operator_api_maintenance_needs_the_rule_and_the_audit_log() {
    let bench = Bench::new();
    *bench.operator_journal.muted_reporters.lock().unwrap() = vec![muted_reporter(7, "a")];
    let mut failed = recovery(3, "a");
    failed.opened_at = Timestamp::from_micros(1);
    *bench.operator_journal.recoveries.lock().unwrap() = vec![failed];
    let id = RecoveryId(Uuid::from_u128(3));
    let unmute = (format!("{REPORTERS}/7/lift"), json!({"lift": {}}));
    let retry = (
        format!("/operator/v1/recoveries/{id}/retry"),
        json!({"retry": {}}),
    );
    for (path, body) in [&unmute, &retry] {
        for token in ["service-reader", "member"] {
            let got = send_request(&bench, token, "POST", path, body).await;
            assert_eq!(got.status, 403, "{token} {path}: {}", got.text);
        }
        bench.operator_journal.full.store(true, Ordering::SeqCst);
        assert_eq!(
            send_request(&bench, "admin", "POST", path, body).await.status,
            503,
            "{path}"
        );
        nothing_was_done(&bench, path);
        bench.operator_journal.full.store(false, Ordering::SeqCst);
    }
    // `tachi db grants`: the API has its own database user.
    bench.operator_journal.denied.store(true, Ordering::SeqCst);
    for (path, body) in [&unmute, &retry] {
        let (status, _, answer) = send_request(&bench, "admin", "POST", path, body).await.fault();
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains("run the command on a controller"), "{answer}");
    }
    bench.operator_journal.denied.store(false, Ordering::SeqCst);
    let got = send_request(&bench, "admin", "POST", &retry.0, &retry.1).await;
    assert_eq!(got.status, 409, "{}", got.text);
    assert!(
        got.text.contains("no new attempt: the desk of tests begins none"),
        "{}",
        got.text
    );
    bench.operator_journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(bench.get(REPORTERS).await.status, 503);
}

#[tokio::test]
async fn operator_api_hostile_names_in_maintenance_are_refused_with_a_reason() {
    let bench = Bench::new();
    let long = "x".repeat(300);
    let (unmute, retry) = (json!({"lift": {}}), json!({"retry": {}}));
    for name in [
        "..%2F",
        "%2e%2e",
        "a%2fb",
        "a%0ab",
        "%00",
        long.as_str(),
        "nobody",
    ] {
        for (method, path, body) in [
            ("POST", format!("{REPORTERS}/{name}/lift"), &unmute),
            ("POST", format!("/operator/v1/recoveries/{name}/retry"), &retry),
            (
                "DELETE",
                format!("/operator/v1/monitors/{name}/host"),
                &Value::Null,
            ),
            ("DELETE", format!("/operator/v1/monitors/a/{name}"), &Value::Null),
        ] {
            let got = send_request(&bench, "admin", method, &path, body).await;
            assert!([400, 404].contains(&got.status), "{method} {path}: {}", got.text);
            assert!(!got.fault().2.is_empty(), "{path}");
        }
    }
    nothing_was_done(&bench, "hostile names");
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), []);
}
