//! Plans for running hosts over the API: permissions, deduplication, attribution, and refusals.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::FreezeLine;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::plans::MovedAway;
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator_journal::{NOW, SERVER, recovery};

const DRAIN: &str = "/operator/v1/hosts/a/drain";
const GIVEBACK: &str = "/operator/v1/hosts/a/giveback";
const BY: &str = "Keystone user admin-user";

async fn post(bench: &Bench, token: &str, path: &str, body: Value) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench.raw("POST", path, &headers, body.to_string()).await
}

fn firmware() -> Value {
    json!({"drain": {"lasts_seconds": 3600, "reason": "firmware"}})
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
async fn operator_api_a_drain_is_audited_with_its_operator_and_stored_once() {
    let bench = Bench::new();
    let preview = bench
        .raw("GET", DRAIN, &[("x-auth-token", "service-reader")], "")
        .await
        .root("drain");
    assert_eq!(
        (&preview["host"], &preview["against"]),
        (&json!("a"), &Value::Null)
    );
    let answer = preview["consequences"].to_string();
    assert!(answer.contains("1 instance was on a 5 s ago"), "{answer}");
    nothing_was_done(&bench, "a look");

    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 202, "{}", got.text);
    let answer = got.root("plan");
    let id = RecoveryId(Uuid::from_u128(100));
    assert_eq!(
        answer,
        json!({"host": "a", "kind": "drain", "recovery": id, "by": BY, "already": false})
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
    let intent = &audited[0].text;
    assert!(intent.starts_with("drain for 1 h: firmware (req-"), "{intent}");
    let payload = bench.operator_journal.planned.lock().unwrap()[0]
        .1
        .payload
        .clone();
    for (key, value) in [
        ("by", BY),
        ("reason", "firmware"),
        ("for_seconds", "3600"),
        ("at_once", "2"),
        ("limit_seconds", "1800"),
        ("with_locked", "false"),
    ] {
        assert_eq!(payload[key], value, "{key}");
    }

    // The answer was lost, also if the host is empty and frozen by now.
    let freeze = FreezeLine {
        freeze: Freeze {
            number: 7,
            scope: FreezeScope::Host,
            name: "a".to_owned(),
            until: NOW.minus_seconds(-3_600),
            by: BY.to_owned(),
            reason: "firmware".to_owned(),
            unless_worse: false,
        },
        target: Uuid::from_u128(2).to_string(),
        since: NOW,
        left: std::time::Duration::from_hours(1),
        by_drain: false,
    };
    for life in [Life::Open, Life::Closed] {
        bench.operator_journal.recoveries.lock().unwrap()[0].life = life;
        if life == Life::Closed {
            bench.operator_journal.frozen.lock().unwrap().push(freeze.clone());
        }
        let again = post(&bench, "admin", DRAIN, firmware()).await.root("plan");
        assert_eq!(
            (&again["recovery"], &again["already"]),
            (&json!(id), &json!(true)),
            "{life}"
        );
    }
    assert_eq!(bench.operator_journal.written.lock().unwrap().len(), 1);
    assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 2);
    // Another request is not a repetition, and the host is frozen now.
    let other = json!({"drain": {"lasts_seconds": 3600, "reason": "memory"}});
    let got = post(&bench, "admin", DRAIN, other.clone()).await;
    assert_eq!(got.status, 409, "{}", got.text);
    assert!(
        got.text.contains("nothing was started") && got.text.contains("tachi thaw host a"),
        "{}",
        got.text
    );
    bench.operator_journal.frozen.lock().unwrap().clear();
    bench.operator_journal.recoveries.lock().unwrap()[0].life = Life::Open;
    let got = post(&bench, "admin", DRAIN, other).await;
    assert_eq!(got.status, 409, "{}", got.text);
    assert!(
        got.text.contains("(kind drain) of a is not finished"),
        "{}",
        got.text
    );
    // A minute later the same request is a new one.
    bench.operator_journal.recoveries.lock().unwrap()[0].opened_at = NOW.minus_seconds(60);
    assert_eq!(post(&bench, "admin", DRAIN, firmware()).await.status, 409);
}

#[tokio::test]
async fn operator_api_only_a_running_host_without_other_operations_is_drained() {
    let bench = Bench::new();
    *bench.operator_journal.age.lock().unwrap() = Some(46);
    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 409, "{}", got.text);
    assert!(
        got.text.contains("no engine has read Nova within the last 45 s"),
        "{}",
        got.text
    );
    nothing_was_done(&bench, "old facts");

    let bench = Bench::new();
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, "a")];
    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 409, "{}", got.text);
    assert!(
        got.text.contains("is running: `tachi recovery show"),
        "{}",
        got.text
    );
    nothing_was_done(&bench, "a recovery");

    let bench = Bench::new();
    for (path, body, status) in [
        ("/operator/v1/hosts/nobody/drain", firmware(), 404),
        (DRAIN, json!({"drain": {"lasts_seconds": 59, "reason": "x"}}), 400),
        (
            DRAIN,
            json!({"drain": {"lasts_seconds": 86_401, "reason": "x"}}),
            400,
        ),
        (DRAIN, json!({"drain": {"lasts_seconds": 60}}), 400),
        (
            DRAIN,
            json!({"drain": {"lasts_seconds": 60, "reason": "a\nb"}}),
            400,
        ),
        (
            DRAIN,
            json!({"drain": {"lasts_seconds": 60, "reason": "x".repeat(101)}}),
            400,
        ),
        (
            DRAIN,
            json!({"drain": {"lasts_seconds": 60, "reason": "x", "at_once": 17}}),
            400,
        ),
        (
            DRAIN,
            json!({"drain": {"lasts_seconds": 60, "reason": "x", "limit_seconds": 9}}),
            400,
        ),
        (GIVEBACK, json!({"giveback": {"at_once": 0}}), 400),
        // Nothing was moved away.
        (GIVEBACK, json!({"giveback": {}}), 409),
    ] {
        let got = post(&bench, "admin", path, body.clone()).await;
        assert_eq!(got.status, status, "{path} {body}: {}", got.text);
        nothing_was_done(&bench, path);
    }
    for token in [
        "reader",
        "service-reader",
        "member",
        "masakari_monitor",
        "masakari-monitor-a",
        "admin-monitor",
    ] {
        for (path, body) in [(DRAIN, firmware()), (GIVEBACK, json!({"giveback": {}}))] {
            let got = post(&bench, token, path, body).await;
            assert_eq!(got.status, 403, "{token} {path}: {}", got.text);
            nothing_was_done(&bench, token);
        }
    }
}

#[tokio::test]
async fn operator_api_a_host_that_a_recovery_has_taken_out_of_the_reserve_is_not_drained() {
    let bench = Bench::new();
    let holder = Uuid::from_u128(77);
    *bench.operator_journal.holds.lock().unwrap() = Some(RecoveryId(holder));
    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 409, "{}", got.text);
    let expected = format!("recovery {holder} uses a as its reserved host and has not ended");
    assert!(got.text.contains(&expected), "{}", got.text);
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    assert_eq!(audited.last().unwrap().result, Some(AuditResult::Permanent));
}

#[tokio::test]
async fn operator_api_a_plan_needs_an_audit_entry_and_database_rights() {
    let bench = Bench::new();
    bench.operator_journal.full.store(true, Ordering::SeqCst);
    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 503, "{}", got.text);
    assert_eq!(*bench.operator_journal.written.lock().unwrap(), [] as [&str; 0]);

    let bench = Bench::new();
    bench.operator_journal.denied.store(true, Ordering::SeqCst);
    let got = post(&bench, "admin", DRAIN, firmware()).await;
    assert_eq!(got.status, 503, "{}", got.text);
    assert!(got.text.contains("controller"), "{}", got.text);
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    assert_eq!(audited.last().unwrap().result, Some(AuditResult::Transient));
}

#[tokio::test]
async fn operator_api_instances_that_are_still_where_they_were_moved_are_given_back() {
    let bench = Bench::new();
    let moved_instances = |number: u128, name: &str, dest: &str| MovedAway {
        server: ServerId(if number == 0 {
            SERVER
        } else {
            Uuid::from_u128(number)
        }),
        name: name.to_owned(),
        dest: dest.to_owned(),
        recovery: RecoveryId(Uuid::from_u128(3)),
        at: Some(Timestamp::from_micros(1)),
    };
    // The engines have read the instance on `a`; `b` gets it back.
    let path = "/operator/v1/hosts/b/giveback";
    *bench.operator_journal.moved_instances.lock().unwrap() =
        vec![moved_instances(0, "web", "c"), moved_instances(9, "gone", "a")];
    let preview = bench.get(path).await.root("giveback");
    assert_eq!(preview["instances"].as_array().unwrap().len(), 1, "{preview}");
    assert_eq!(preview["instances"][0]["stays"], "has been moved since");
    assert_eq!(
        post(&bench, "admin", path, json!({"giveback": {}})).await.status,
        409
    );
    nothing_was_done(&bench, "nothing can go back");

    *bench.operator_journal.moved_instances.lock().unwrap() = vec![moved_instances(0, "web", "a")];
    let preview = bench.get(path).await.root("giveback");
    assert_eq!(
        preview["instances"][0],
        json!({"instance": SERVER, "name": "web", "on": "a", "recovery": Uuid::from_u128(3), "stays": null})
    );
    let got = post(&bench, "admin", path, json!({"giveback": {"with_locked": true}})).await;
    assert_eq!(got.status, 202, "{}", got.text);
    let (_, new) = bench.operator_journal.planned.lock().unwrap()[0].clone();
    assert_eq!(new.kind, RecoveryKind::Giveback);
    assert_eq!(
        (&new.payload["instances"], &new.payload["with_locked"]),
        (&format!("{SERVER}=a"), &"true".to_owned())
    );
}
