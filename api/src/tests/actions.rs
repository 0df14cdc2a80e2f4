//! Operator actions over the API: permissions, deduplication, attribution.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::recovery::Life;
use tachi_domain::situation::ReportedFailure;
use tachi_domain::{ServerId, WaitsFor};
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator::waiting;
use super::operator_journal::{NOW, SERVER, recovery};
use crate::{Options, Policy};

const ACTIONS_PATH: &str = "/operator/v1/words";

fn bench() -> Bench {
    let bench = Bench::new();
    filled(&bench);
    bench
}

/// Recovery 3 is on hold, 2 is done, and an instance of 3 has failed.
fn filled(bench: &Bench) {
    let mut closed = recovery(2, "b");
    closed.life = Life::Closed;
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, "a"), closed];
    *bench.operator_journal.moves.lock().unwrap() =
        vec![waiting(WaitsFor::GivenUp, Life::Open, &Value::Null)];
}

async fn submit_action(bench: &Bench, token: &str, body: &Value) -> TestResponse {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench
        .raw("POST", ACTIONS_PATH, &headers, json!({"word": body}).to_string())
        .await
}

fn approve() -> Value {
    json!({"word": "approve", "recovery": Uuid::from_u128(3), "reason": "switch replaced"})
}

fn nothing_was_written(bench: &Bench, what: &str) {
    assert_eq!(*bench.operator_journal.submitted.lock().unwrap(), [], "{what}");
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), [], "{what}");
}

#[tokio::test]
async fn operator_api_only_administrators_act_and_no_monitor_does() {
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
        let bench = bench();
        let got = submit_action(&bench, token, &approve()).await;
        let (status, _, answer) = got.fault();
        assert_eq!(status, 403, "{token}: {answer}");
        assert!(
            answer.contains("os_masakari_api:operator:act"),
            "{token}: {answer}"
        );
        nothing_was_written(&bench, token);
    }
    let bench = bench();
    assert_eq!(
        bench
            .raw("POST", ACTIONS_PATH, &[], approve().to_string())
            .await
            .status,
        401
    );
    nothing_was_written(&bench, "nobody");
}

#[tokio::test]
async fn operator_api_a_bound_caller_may_not_act_regardless_of_the_policy() {
    let policy =
        Policy::with_text("os_masakari_api:operator:act: '@'\nos_masakari_api:operator:vouch: '@'").unwrap();
    let bench = Bench::with(|options| Options {
        policy,
        binding: tachi_domain::binding::BindingOptions {
            mode: tachi_domain::binding::BindingMode::Warn,
            ..options.binding.clone()
        },
        ..options
    });
    filled(&bench);
    let got = submit_action(&bench, "masakari-monitor-a", &approve()).await;
    assert_eq!(got.status, 403, "{}", got.text);
    assert!(got.text.contains("bound to host a"), "{}", got.text);
    nothing_was_written(&bench, "a monitor");
}

#[tokio::test]
async fn operator_api_an_action_is_audited_with_its_operator_and_then_stored() {
    let bench = bench();
    let got = submit_action(&bench, "admin", &approve()).await;
    assert_eq!(got.status, 202, "{}", got.text);
    let by = "Keystone user admin-user (switch replaced)";
    let id = Uuid::from_u128(3);
    assert_eq!(
        got.root("word"),
        json!({"word": "approve", "recovery": id, "instance": null, "by": by, "already": false})
    );
    let submitted = bench.operator_journal.submitted.lock().unwrap().clone();
    assert_eq!(submitted.len(), 1);
    assert_eq!(
        (submitted[0].1.as_str(), submitted[0].2.as_str()),
        ("approve", by)
    );
    let audited = bench.operator_journal.audited.lock().unwrap().clone();
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0].operator.as_deref(), Some(by));
    assert_eq!(audited[0].recovery, Some(id.to_string()));
    assert!(
        audited[0].text.starts_with("approve (req-"),
        "{}",
        audited[0].text
    );
    assert_eq!(bench.notifications_sent.0.load(Ordering::SeqCst), 1);

    // A client that lost the answer repeats the request.
    let again = submit_action(&bench, "admin", &approve()).await;
    assert_eq!(
        (again.status, again.root("word")["already"].clone()),
        (202, json!(true))
    );
    assert_eq!(bench.operator_journal.submitted.lock().unwrap().len(), 1);
    assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 1);

    // A new hold needs a new action.
    for (on_hold, since, answer) in [(true, 1, false), (false, 1, true)] {
        let what = if on_hold {
            WaitsFor::Approval
        } else {
            WaitsFor::Nothing
        };
        let wait = tachi_domain::Wait::bare(what, NOW.minus_seconds(-since));
        bench.operator_journal.recoveries.lock().unwrap()[0].wait = Some(wait);
        let got = submit_action(&bench, "admin", &approve()).await;
        assert_eq!(got.root("word")["already"], answer, "held: {on_hold}");
    }
    assert_eq!(bench.operator_journal.submitted.lock().unwrap().len(), 2);

    // So does a hold that an engine kept after an action: the action had no effect.
    bench.operator_journal.unread.lock().unwrap().clear();
    let wait = tachi_domain::Wait::bare(WaitsFor::Approval, NOW.minus_seconds(-1));
    bench.operator_journal.recoveries.lock().unwrap()[0].wait = Some(wait);
    let got = submit_action(&bench, "admin", &approve()).await;
    assert_eq!(got.root("word")["already"], false);
}

#[tokio::test]
async fn operator_api_an_action_without_an_audit_entry_is_not_stored() {
    let bench = bench();
    bench.operator_journal.full.store(true, Ordering::SeqCst);
    for body in [approve(), json!({"word": "ignore", "instance": SERVER})] {
        assert_eq!(submit_action(&bench, "admin", &body).await.status, 503);
        assert_eq!(*bench.operator_journal.submitted.lock().unwrap(), []);
    }
}

#[tokio::test]
async fn operator_api_confirming_that_an_instance_does_not_run_needs_its_own_rule() {
    let policy = Policy::with_text("os_masakari_api:operator:act: role:member").unwrap();
    let bench = Bench::with(|options| Options { policy, ..options });
    filled(&bench);
    let failure = json!({"word": "failure", "instance": SERVER, "on": "b"});
    let (status, _, answer) = submit_action(&bench, "member", &failure).await.fault();
    assert_eq!(status, 403);
    assert!(answer.contains("os_masakari_api:operator:vouch"), "{answer}");
    nothing_was_written(&bench, "failure");
    let ignore = json!({"word": "ignore", "instance": "web"});
    let got = submit_action(&bench, "member", &ignore).await;
    assert_eq!(got.status, 202, "{}", got.text);
    assert_eq!(got.root("word")["instance"], json!(SERVER));
    assert_eq!(
        bench.operator_journal.submitted.lock().unwrap()[0].1,
        format!("seen to {SERVER}")
    );
}

/// A move written by an earlier version, of the instance that Nova shows on `a`.
fn move_on_hold() -> Value {
    const KEPT: &str = include_str!("../../../engine/domain/testdata/v2/moves.json");
    let one = serde_json::from_str::<Value>(KEPT).unwrap()[1].take();
    assert_eq!(one["step"], json!({"at": "held"}));
    one
}

#[tokio::test]
async fn operator_api_a_claimed_host_that_contradicts_nova_is_refused() {
    for (name, age, on, refused) in [
        ("shown elsewhere", Some(5), "b", true),
        ("shown there", Some(5), "a", false),
        ("seen too long ago to tell", Some(60), "b", false),
        ("never seen", None, "b", false),
    ] {
        let bench = bench();
        *bench.operator_journal.age.lock().unwrap() = age;
        *bench.operator_journal.moves.lock().unwrap() =
            vec![waiting(WaitsFor::Absence, Life::Open, &move_on_hold())];
        let body = json!({"word": "success", "instance": "web", "on": on});
        let got = submit_action(&bench, "admin", &body).await;
        if !refused {
            assert_eq!(got.status, 202, "{name}: {}", got.text);
            continue;
        }
        let (status, _, answer) = got.fault();
        assert_eq!(status, 409, "{name}");
        assert!(
            answer.contains("Nova showed web on a 5 s ago, and not on b"),
            "{name}: {answer}"
        );
        nothing_was_written(&bench, name);
    }
}

/// Covers R36.
#[tokio::test]
async fn operator_api_an_instance_whose_recovery_failed_may_be_confirmed_running_where_nova_shows_it() {
    let success = json!({"word": "success", "instance": SERVER, "on": "a"});
    for (name, body, age, is_down, refusal) in [
        ("it runs there", success.clone(), 5, false, None),
        (
            "it is shown elsewhere",
            json!({"word": "success", "instance": SERVER, "on": "b"}),
            5,
            false,
            Some("Nova shows <script>alert(1)</script> on a"),
        ),
        (
            "it stays as it is",
            json!({"word": "ignore", "instance": SERVER}),
            5,
            false,
            Some("--running-on a"),
        ),
        (
            "its host is down",
            success.clone(),
            5,
            true,
            Some("or its host is down"),
        ),
        ("seen too long ago", success, 60, false, Some("too long ago")),
    ] {
        let bench = bench();
        bench.operator_journal.moves.lock().unwrap().clear();
        *bench.operator_journal.age.lock().unwrap() = Some(age);
        if is_down {
            bench.operator_journal.down.lock().unwrap().push("a");
        }
        let failed = ReportedFailure {
            open: None,
            at: NOW,
            reason: None,
        };
        bench
            .operator_journal
            .failed
            .lock()
            .unwrap()
            .insert(ServerId(SERVER), failed);
        let got = submit_action(&bench, "admin", &body).await;
        let Some(refusal) = refusal else {
            assert_eq!(got.status, 202, "{name}: {}", got.text);
            assert_eq!(got.root("word")["recovery"], json!(Uuid::from_u128(3)), "{name}");
            let submitted = bench.operator_journal.submitted.lock().unwrap();
            assert_eq!(submitted[0].1, format!("{SERVER} runs"), "{name}");
            assert_eq!(bench.operator_journal.audited.lock().unwrap().len(), 1, "{name}");
            continue;
        };
        let (status, _, answer) = got.fault();
        assert_eq!(status, 409, "{name}");
        assert!(answer.contains(refusal), "{name}: {answer}");
        nothing_was_written(&bench, name);
    }
}

#[tokio::test]
async fn operator_api_an_invalid_action_is_refused_without_a_write() {
    let bench = bench();
    let (on_hold, over) = (Uuid::from_u128(3), Uuid::from_u128(2));
    let long = "x".repeat(250);
    let cases = [
        ("over", json!({"word": "abort", "recovery": over}), 409),
        ("unknown", json!({"word": "abort", "recovery": Uuid::nil()}), 404),
        ("no id", json!({"word": "abort", "recovery": "a"}), 404),
        ("of what", json!({"word": "approve"}), 400),
        (
            "of an instance",
            json!({"word": "approve", "recovery": on_hold, "instance": "web"}),
            400,
        ),
        ("of whom", json!({"word": "retry"}), 400),
        (
            "of somebody else",
            json!({"word": "retry", "instance": "nobody"}),
            404,
        ),
        (
            "of another recovery",
            json!({"word": "ignore", "instance": "web", "recovery": over}),
            409,
        ),
        (
            "a state nobody reads",
            json!({"word": "retry", "instance": "web"}),
            409,
        ),
        ("no such word", json!({"word": "vouch", "recovery": on_hold}), 400),
        ("power", json!({"word": "host_is_off", "recovery": on_hold}), 400),
        ("no word", json!({"recovery": on_hold}), 400),
        ("a number", json!({"word": 3, "recovery": on_hold}), 400),
        (
            "under another's name",
            json!({"word": "approve", "recovery": on_hold, "by": "root"}),
            400,
        ),
        (
            "two lines",
            json!({"word": "approve", "recovery": on_hold, "reason": "a\nb"}),
            400,
        ),
        (
            "NUL",
            json!({"word": "approve", "recovery": on_hold, "reason": "a\0b"}),
            400,
        ),
        (
            "a terminal's commands",
            json!({"word": "approve", "recovery": on_hold, "reason": "a\u{1b}[2Jb"}),
            400,
        ),
        (
            "from right to left",
            json!({"word": "approve", "recovery": on_hold, "reason": "a\u{202e}b"}),
            400,
        ),
        (
            "too long",
            json!({"word": "approve", "recovery": on_hold, "reason": long}),
            400,
        ),
        (
            "a host of two lines",
            json!({"word": "success", "instance": "web", "on": "b\nc"}),
            400,
        ),
        ("no object", json!("approve"), 400),
    ];
    for (name, body, status) in cases {
        let got = submit_action(&bench, "admin", &body).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        nothing_was_written(&bench, name);
    }
    bench.operator_journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(submit_action(&bench, "admin", &approve()).await.status, 503);
    nothing_was_written(&bench, "the database is away");
}

#[tokio::test]
async fn operator_api_an_approval_is_for_the_wait_that_the_operator_was_shown() {
    let bench = bench();
    let wait = tachi_domain::Wait::bare(WaitsFor::Approval, NOW);
    bench.operator_journal.recoveries.lock().unwrap()[0].wait = Some(wait);
    let page = bench.get("/operator/v1/recoveries").await;
    let shown = page.root("recoveries")[0]["waits"].clone();
    assert_eq!(shown["for"], "approval", "{}", page.text);
    let with = |waits: Value| {
        let mut body = approve();
        body["waits"] = waits;
        body
    };
    for (name, waits, status, part) in [
        ("no object", json!("approval"), 400, "waits"),
        (
            "not a wait",
            json!({"for": "tea", "since": "2026-01-01T00:00:00Z"}),
            400,
            "tea",
        ),
        ("none was shown", Value::Null, 409, "now waits for something else"),
        (
            "an earlier one",
            json!({"for": "approval", "on": [], "since": "2001-01-01T00:00:00Z"}),
            409,
            "tachi recovery show",
        ),
    ] {
        let got = submit_action(&bench, "admin", &with(waits)).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        assert!(got.text.contains(part), "{name}: {}", got.text);
        assert_eq!(*bench.operator_journal.submitted.lock().unwrap(), [], "{name}");
    }
    let got = submit_action(&bench, "admin", &with(shown)).await;
    assert_eq!(got.status, 202, "{}", got.text);
}
