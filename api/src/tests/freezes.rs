//! Freezes over the API: permissions, deduplication, attribution, and the engines' acknowledgement.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::journal::PeerClaim;
use tachi_engine::ports::operator::RecoverySummary;
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator_journal::recovery;
use crate::{Options, Policy};

const FREEZES: &str = "/operator/v1/freezes";

async fn ask(bench: &Bench, method: &str, path: &str, token: &str, body: &Value) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    bench.raw(method, path, &headers, body).await
}

async fn freeze(bench: &Bench, token: &str, body: &Value) -> TestResponse {
    ask(bench, "POST", FREEZES, token, &json!({"freeze": body})).await
}

async fn thaw(bench: &Bench, token: &str, number: &str) -> TestResponse {
    let path = format!("{FREEZES}/{number}");
    ask(bench, "DELETE", &path, token, &Value::Null).await
}

fn host(name: &str) -> Value {
    json!({"scope": "host", "name": name, "lasts_seconds": 7200, "reason": "firmware"})
}

fn with(mut body: Value, key: &str, value: Value) -> Value {
    body[key] = value;
    body
}

fn nothing_was_done(bench: &Bench, what: &str) {
    assert_eq!(
        *bench.operator_journal.written.lock().unwrap(),
        [] as [&str; 0],
        "{what}"
    );
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), [], "{what}");
}

#[tokio::test]
async fn operator_api_a_freeze_is_audited_with_its_operator_stored_listed_and_ended() {
    let bench = Bench::new();
    let got = freeze(&bench, "admin", &host("a")).await;
    assert_eq!(got.status, 201, "{}", got.text);
    let answer = got.root("freeze");
    assert_eq!(answer["freeze"]["by"], "Keystone user admin-user");
    assert_eq!(
        (&answer["freeze"]["scope"], &answer["freeze"]["name"]),
        (&json!("host"), &json!("a"))
    );
    assert_eq!(
        (&answer["already"], &answer["heard"], &answer["unprotected"]),
        (&json!(false), &json!(true), &json!(1))
    );
    assert_eq!(bench.notifications_sent.0.load(Ordering::SeqCst), 1);
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    assert_eq!(audited.len(), 2);
    assert_eq!(
        (audited[0].phase, audited[1].phase),
        (AuditPhase::Intent, AuditPhase::Outcome)
    );
    assert!(
        audited[0].text.starts_with("host a for 2 h: firmware (req-"),
        "{}",
        audited[0].text
    );
    assert!(
        audited
            .iter()
            .all(|one| one.host == "a" && one.operator.as_deref() == Some("Keystone user admin-user"))
    );

    // A client that lost the answer repeats the request.
    let again = freeze(&bench, "admin", &host("a")).await.root("freeze");
    assert_eq!(again["already"], true);
    assert_eq!(again["freeze"], answer["freeze"]);
    assert_eq!(*bench.operator_journal.written.lock().unwrap(), ["freeze"]);
    assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 2);

    let listed = ask(&bench, "GET", FREEZES, "service-reader", &Value::Null).await;
    assert_eq!(listed.root("freezes"), json!([answer["freeze"]]));
    // Another freeze replaces it: the number of the first one no longer works.
    let longer = with(host("a"), "lasts_seconds", json!(7201));
    let longer = freeze(&bench, "admin", &longer).await.root("freeze");
    assert_eq!(longer["before"], answer["freeze"]);
    let (old, new) = (&answer["freeze"]["number"], &longer["freeze"]["number"]);
    assert_eq!(thaw(&bench, "admin", &old.to_string()).await.status, 404);
    let thawed = thaw(&bench, "admin", &new.to_string()).await;
    assert_eq!(
        (thawed.status, thawed.root("freeze")),
        (200, longer["freeze"].clone())
    );
    assert_eq!(thaw(&bench, "admin", &new.to_string()).await.status, 404);
    assert_eq!(
        *bench.operator_journal.written.lock().unwrap(),
        ["freeze", "freeze", "thaw"]
    );
    let listed = ask(&bench, "GET", FREEZES, "admin", &Value::Null).await;
    assert_eq!(listed.root("freezes"), json!([]));
}

#[tokio::test]
async fn operator_api_only_administrators_freeze_and_thaw_and_no_monitor_does() {
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
        let bench = Bench::new();
        for got in [
            freeze(&bench, token, &host("a")).await,
            thaw(&bench, token, "1").await,
        ] {
            let (status, _, answer) = got.fault();
            assert_eq!(status, 403, "{token}: {answer}");
            assert!(
                answer.contains("os_masakari_api:operator:act"),
                "{token}: {answer}"
            );
        }
        nothing_was_done(&bench, token);
    }
    let policy = Policy::with_text("os_masakari_api:operator:act: '@'").unwrap();
    let bench = Bench::with(|options| Options {
        policy,
        binding: tachi_domain::binding::BindingOptions {
            mode: tachi_domain::binding::BindingMode::Warn,
            ..options.binding.clone()
        },
        ..options
    });
    for got in [
        freeze(&bench, "masakari-monitor-a", &host("a")).await,
        thaw(&bench, "masakari-monitor-a", "1").await,
    ] {
        assert_eq!(got.status, 403, "{}", got.text);
        assert!(got.text.contains("bound to host a"), "{}", got.text);
    }
    nothing_was_done(&bench, "a monitor");
}

#[tokio::test]
async fn operator_api_an_invalid_freeze_is_refused_without_a_write() {
    let bench = Bench::new();
    let long = "x".repeat(201);
    for (name, body, status) in [
        ("unknown", host("nowhere"), 404),
        (
            "an unknown segment",
            with(host("x"), "scope", json!("segment")),
            404,
        ),
        (
            "an unknown instance",
            with(host("x"), "scope", json!("instance")),
            404,
        ),
        (
            "no name",
            json!({"scope": "host", "lasts_seconds": 60, "reason": "x"}),
            400,
        ),
        (
            "a name of everything",
            with(host("a"), "scope", json!("region")),
            400,
        ),
        (
            "no scope",
            json!({"name": "a", "lasts_seconds": 60, "reason": "x"}),
            400,
        ),
        ("no such scope", with(host("a"), "scope", json!("rack")), 400),
        (
            "no time",
            json!({"scope": "host", "name": "a", "reason": "x"}),
            400,
        ),
        ("too short", with(host("a"), "lasts_seconds", json!(59)), 400),
        ("a fraction", with(host("a"), "lasts_seconds", json!(60.5)), 400),
        ("negative", with(host("a"), "lasts_seconds", json!(-60)), 400),
        ("huge", with(host("a"), "lasts_seconds", json!(1e300)), 400),
        ("a text", with(host("a"), "lasts_seconds", json!("2h")), 400),
        (
            "more than a day",
            with(host("a"), "lasts_seconds", json!(86_401)),
            400,
        ),
        (
            "more than a month",
            with(
                with(host("a"), "lasts_seconds", json!(2_592_001)),
                "force",
                json!(true),
            ),
            400,
        ),
        (
            "no reason",
            json!({"scope": "host", "name": "a", "lasts_seconds": 60}),
            400,
        ),
        ("two lines", with(host("a"), "reason", json!("a\nb")), 400),
        (
            "a terminal's commands",
            with(host("a"), "reason", json!("\u{1b}[2J")),
            400,
        ),
        ("too long", with(host("a"), "reason", json!(long)), 400),
        ("under another's name", with(host("a"), "by", json!("root")), 400),
        ("a hostile name", host("x' OR 1=1 --"), 404),
        ("a name of two lines", host("a\nb"), 400),
        ("no object", json!("a"), 400),
    ] {
        let got = freeze(&bench, "admin", &body).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        nothing_was_done(&bench, name);
    }
    for number in ["0", "-1", "x", "99999999999999999999", "1%27", "%00"] {
        let got = thaw(&bench, "admin", number).await;
        assert_eq!(got.status, 404, "{number}: {}", got.text);
        nothing_was_done(&bench, number);
    }
    let days = with(
        with(host("a"), "lasts_seconds", json!(172_800.0)),
        "force",
        json!(true),
    );
    assert_eq!(freeze(&bench, "admin", &days).await.status, 201);
    let shorter = freeze(&bench, "admin", &host("a")).await;
    assert_eq!(shorter.status, 409, "{}", shorter.text);
    assert!(
        shorter.text.contains("which covers more than this"),
        "{}",
        shorter.text
    );
}

#[tokio::test]
async fn operator_api_a_freeze_needs_an_audit_entry_and_database_rights() {
    let bench = Bench::new();
    bench.operator_journal.full.store(true, Ordering::SeqCst);
    assert_eq!(freeze(&bench, "admin", &host("a")).await.status, 503);
    nothing_was_done(&bench, "the audit log is full");
    bench.operator_journal.full.store(false, Ordering::SeqCst);

    assert_eq!(freeze(&bench, "admin", &host("a")).await.status, 201);
    bench.operator_journal.full.store(true, Ordering::SeqCst);
    assert_eq!(thaw(&bench, "admin", "7").await.status, 503);
    assert_eq!(*bench.operator_journal.written.lock().unwrap(), ["freeze"]);
    bench.operator_journal.full.store(false, Ordering::SeqCst);

    // `tachi db grants`: the API has its own database user.
    bench.operator_journal.denied.store(true, Ordering::SeqCst);
    for got in [
        freeze(&bench, "admin", &with(host("a"), "lasts_seconds", json!(7300))).await,
        thaw(&bench, "admin", "7").await,
    ] {
        let (status, _, answer) = got.fault();
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains("run the command on a controller"), "{answer}");
    }
    let results: Vec<_> = bench
        .operator_journal
        .audited
        .lock()
        .unwrap()
        .iter()
        .filter_map(|one| one.result)
        .collect();
    assert_eq!(
        results,
        [AuditResult::Ok, AuditResult::Transient, AuditResult::Transient]
    );

    bench.operator_journal.broken.store(true, Ordering::SeqCst);
    for got in [
        freeze(&bench, "admin", &host("a")).await,
        thaw(&bench, "admin", "7").await,
        ask(&bench, "GET", FREEZES, "admin", &Value::Null).await,
    ] {
        assert_eq!(got.status, 503, "{}", got.text);
    }
}

fn claim(epoch: u64, beat: u64) -> PeerClaim {
    PeerClaim {
        id: RecoveryId(Uuid::from_u128(3)),
        epoch,
        seq: 0,
        beat,
        owner: Some("ctl-1:7:x".to_owned()),
        life: Life::Open,
        of_host: true,
    }
}

/// An engine is processing it.
fn claimed() -> RecoverySummary {
    RecoverySummary {
        owner: Some("ctl-1:7:x".to_owned()),
        ..recovery(3, "a")
    }
}

#[tokio::test(start_paused = true)]
async fn operator_api_a_freeze_reports_if_the_engines_have_applied_it() {
    for (name, claims, acknowledged) in [
        ("beats on", vec![claim(1, 4), claim(1, 5), claim(1, 6)], true),
        ("is taken over", vec![claim(1, 4), claim(2, 4)], true),
        ("one beat is not enough", vec![claim(1, 4), claim(1, 5)], false),
        ("hangs", vec![claim(1, 4)], false),
    ] {
        let bench = Bench::new();
        *bench.operator_journal.recoveries.lock().unwrap() = vec![claimed()];
        *bench.operator_journal.claims.lock().unwrap() = claims.into_iter().map(|one| vec![one]).collect();
        let began = tokio::time::Instant::now();
        let answer = freeze(&bench, "admin", &host("a")).await.root("freeze");
        assert_eq!(answer["heard"], acknowledged, "{name}: {answer}");
        assert_eq!(
            answer["unheard"].as_array().unwrap().is_empty(),
            acknowledged,
            "{name}: {answer}"
        );
        assert!(
            answer["underway"][0]
                .as_str()
                .unwrap()
                .starts_with("BUT recovery"),
            "{name}: {answer}"
        );
        assert!(
            began.elapsed().as_secs() < 15,
            "{name}: shorter than clients wait"
        );
    }
}

/// The caller disconnected: the outcome of a started action is in the audit log.
#[tokio::test(start_paused = true)]
async fn operator_api_a_freeze_completes_without_its_caller() {
    let bench = Bench::new();
    *bench.operator_journal.recoveries.lock().unwrap() = vec![claimed()];
    *bench.operator_journal.claims.lock().unwrap() = vec![vec![claim(1, 4)]];
    let (body, wait) = (host("a"), std::time::Duration::from_millis(1));
    let gone = tokio::time::timeout(wait, freeze(&bench, "admin", &body)).await;
    assert!(gone.is_err(), "it waits for an engine");
    assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 2);
    *bench.operator_journal.claims.lock().unwrap() = vec![vec![]];
    let again = freeze(&bench, "admin", &body).await.root("freeze");
    assert_eq!((&again["already"], &again["heard"]), (&json!(true), &json!(true)));
}
