//! Actions of the board: their users, their origin, and the handlers that they share with the API.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::WaitsFor;
use tachi_domain::recovery::Life;
use tachi_engine::ports::audit::AuditPhase;
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator::waiting;
use super::operator_journal::recovery;
use crate::{Board, Options, Policy};

const BOARD_ACTIONS_PATH: &str = "/board/words";
const RIGHTS: &str = "/board/rights";

fn with(actions: bool, change: impl FnOnce(Options) -> Options) -> Bench {
    let bench = Bench::with(|mut options| {
        options.board = Some(Board { login: None, actions });
        change(options)
    });
    // Recovery 3 is on hold, 2 is done, and an instance of 3 has failed.
    let mut closed = recovery(2, "b");
    closed.life = Life::Closed;
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, "a"), closed];
    *bench.operator_journal.moves.lock().unwrap() =
        vec![waiting(WaitsFor::GivenUp, Life::Open, &Value::Null)];
    bench
}

fn bench() -> Bench {
    with(true, |options| options)
}

/// Sends a request as the board's own page does.
fn own(cookie: &str) -> Vec<(&str, &str)> {
    vec![
        ("cookie", cookie),
        ("content-type", "application/json"),
        ("x-tachi-board", "1"),
        ("host", "ha.example:15868"),
        ("origin", "https://ha.example:15868"),
        ("sec-fetch-site", "same-origin"),
    ]
}

fn but<'a>(
    mut headers: Vec<(&'a str, &'a str)>,
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    headers.retain(|(other, _)| *other != name);
    headers.extend(value.map(|value| (name, value)));
    headers
}

async fn submit_action(bench: &Bench, token: &str, body: &Value) -> TestResponse {
    let cookie = format!("tachi-board={token}");
    bench
        .raw("POST", BOARD_ACTIONS_PATH, &own(&cookie), body.to_string())
        .await
}

fn approve() -> Value {
    json!({"word": {"word": "approve", "recovery": Uuid::from_u128(3), "reason": "switch replaced"}})
}

fn freeze() -> Value {
    json!({"freeze": {"scope": "host", "name": "a", "lasts_seconds": 7200, "reason": "firmware"}})
}

fn nothing_was_done(bench: &Bench, what: &str) {
    assert_eq!(*bench.operator_journal.submitted.lock().unwrap(), [], "{what}");
    assert_eq!(
        *bench.operator_journal.written.lock().unwrap(),
        [] as [&str; 0],
        "{what}"
    );
    assert_eq!(*bench.operator_journal.audited.lock().unwrap(), [], "{what}");
}

#[tokio::test]
async fn board_refuses_actions_unless_configured() {
    let bench = with(false, |options| options);
    for body in [approve(), freeze(), json!({"thaw": {"number": 1}})] {
        assert_eq!(submit_action(&bench, "admin", &body).await.status, 404, "{body}");
    }
    nothing_was_done(&bench, "no actions");
    let got = bench
        .raw("GET", RIGHTS, &[("cookie", "tachi-board=admin")], "")
        .await;
    assert_eq!((got.status, &got.root("rights")["act"]), (200, &json!(false)));
    let without = Bench::new();
    assert_eq!(
        submit_action(&without, "admin", &approve()).await.status,
        300,
        "no board"
    );
}

#[tokio::test]
async fn board_reports_who_may_act() {
    let bench = bench();
    for (token, status, act) in [
        ("admin", 200, true),
        ("service-reader", 200, false),
        ("reader", 200, false),
        ("member", 200, false),
        ("service-monitor", 200, false),
        ("masakari-monitor-a", 200, false),
        ("nobody", 401, false),
        ("", 401, false),
    ] {
        let cookie = format!("tachi-board={token}");
        let got = bench.raw("GET", RIGHTS, &[("cookie", &cookie)], "").await;
        assert_eq!(got.status, status, "{token}: {}", got.text);
        if status == 200 {
            assert_eq!(got.root("rights")["act"], json!(act), "{token}");
        }
    }
    let forged = [("x-auth-token", "admin"), ("cookie", "tachi-board=reader")];
    let got = bench.raw("GET", RIGHTS, &forged, "").await;
    assert_eq!(got.root("rights")["act"], json!(false));
    assert_eq!(bench.get(RIGHTS).await.status, 401, "only the cookie counts");
    for method in ["POST", "PUT", "DELETE"] {
        let got = bench.raw(method, RIGHTS, &own("tachi-board=admin"), "").await;
        assert_eq!(got.status, 404, "{method}");
    }
}

#[tokio::test]
async fn board_refuses_monitors_regardless_of_the_policy() {
    let policy = Policy::with_text("os_masakari_api:operator:act: '@'").unwrap();
    let bench = with(true, |options| Options {
        policy,
        binding: tachi_domain::binding::BindingOptions {
            mode: tachi_domain::binding::BindingMode::Warn,
            ..options.binding.clone()
        },
        ..options
    });
    let cookie = "tachi-board=masakari-monitor-a";
    let got = bench.raw("GET", RIGHTS, &[("cookie", cookie)], "").await;
    assert_eq!(got.root("rights")["act"], json!(false));
    assert_eq!(
        submit_action(&bench, "masakari-monitor-a", &approve())
            .await
            .status,
        403
    );
    nothing_was_done(&bench, "a monitor");
}

#[tokio::test]
async fn board_actions_use_the_code_of_the_api() {
    let (board, api) = (bench(), bench());
    let got = submit_action(&board, "admin", &approve()).await;
    let other = api.send("POST", "/operator/v1/words", approve()).await;
    assert_eq!((got.status, &got.text), (202, &other.text));
    assert_eq!(
        got.root("word")["by"],
        "Keystone user admin-user (switch replaced)"
    );
    assert_eq!(
        *board.operator_journal.submitted.lock().unwrap(),
        *api.operator_journal.submitted.lock().unwrap()
    );
    let audited = board.operator_journal.audited.lock().unwrap().clone();
    assert_eq!((audited.len(), audited[0].phase), (1, AuditPhase::Intent));
    assert_eq!(
        audited[0].operator.as_deref(),
        Some("Keystone user admin-user (switch replaced)")
    );
    assert!(
        audited[0].text.starts_with("approve (req-"),
        "{}",
        audited[0].text
    );
    assert_eq!(board.notifications_sent.0.load(Ordering::SeqCst), 1);
    // A second click is reported as already done.
    let again = submit_action(&board, "admin", &approve()).await;
    assert_eq!(again.root("word")["already"], true);
    assert_eq!(board.operator_journal.submitted.lock().unwrap().len(), 1);
    // A late click gets the reason.
    let over = json!({"word": {"word": "abort", "recovery": Uuid::from_u128(2)}});
    let (status, _, why) = submit_action(&board, "admin", &over).await.fault();
    assert_eq!(status, 409);
    assert!(why.contains("has ended: nothing was written"), "{why}");
}

#[tokio::test]
async fn board_freezes_and_thaws_use_the_code_of_the_api() {
    let bench = bench();
    let got = submit_action(&bench, "admin", &freeze()).await;
    assert_eq!(got.status, 201, "{}", got.text);
    let answer = got.root("freeze");
    assert_eq!(
        (&answer["freeze"]["by"], &answer["heard"]),
        (&json!("Keystone user admin-user"), &json!(true))
    );
    let number = answer["freeze"]["number"].clone();
    for wrong in [json!(-1), json!(1.5), json!("1"), json!("../words"), Value::Null] {
        let got = submit_action(&bench, "admin", &json!({"thaw": {"number": wrong}})).await;
        assert_eq!(got.status, 400, "{}", got.text);
    }
    let thaw = json!({"thaw": {"number": number}});
    let got = submit_action(&bench, "admin", &thaw).await;
    assert_eq!((got.status, &got.root("freeze")["number"]), (200, &number));
    assert_eq!(
        *bench.operator_journal.written.lock().unwrap(),
        ["freeze", "thaw"]
    );
    let phases: Vec<_> = bench
        .operator_journal
        .audited
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.phase)
        .collect();
    assert_eq!(
        phases,
        [
            AuditPhase::Intent,
            AuditPhase::Outcome,
            AuditPhase::Intent,
            AuditPhase::Outcome
        ]
    );
    assert_eq!(submit_action(&bench, "admin", &thaw).await.status, 404);
}

#[tokio::test]
async fn board_readers_may_not_act() {
    for token in [
        "service-reader",
        "reader",
        "member",
        "service-monitor",
        "admin-monitor",
    ] {
        let bench = bench();
        for body in [approve(), freeze(), json!({"thaw": {"number": 1}})] {
            let (status, _, why) = submit_action(&bench, token, &body).await.fault();
            assert_eq!(status, 403, "{token} {body}: {why}");
            assert!(why.contains("os_masakari_api:operator:act"), "{token}: {why}");
        }
        nothing_was_done(&bench, token);
    }
    let bench = bench();
    for token in ["nobody", "", "limited"] {
        assert_eq!(
            submit_action(&bench, token, &approve()).await.status,
            401,
            "{token}"
        );
    }
    let mut headers = own("theme=dark");
    headers.push(("x-auth-token", "admin"));
    let got = bench
        .raw("POST", BOARD_ACTIONS_PATH, &headers, approve().to_string())
        .await;
    assert_eq!(got.status, 401, "only the cookie counts");
    nothing_was_done(&bench, "nobody");
}

#[tokio::test]
async fn board_refuses_actions_of_other_pages() {
    const COOKIE: &str = "tachi-board=admin";
    let bench = bench();
    for origin in [
        None,
        Some("null"),
        Some("https://evil.example"),
        Some("https://ha.example"),
        Some("https://ha.example:15868.evil.example"),
        Some("https://ha.example:15869"),
        Some("https://ha.example:15868/x"),
        Some("ha.example:15868"),
        Some("*"),
        Some(""),
    ] {
        let headers = but(own(COOKIE), "origin", origin);
        let got = bench
            .raw("POST", BOARD_ACTIONS_PATH, &headers, approve().to_string())
            .await;
        assert_eq!(got.status, 403, "{origin:?}: {}", got.text);
        assert_eq!(got.header("access-control-allow-origin"), None);
    }
    let mut two = own(COOKIE);
    two.push(("origin", "https://ha.example:15868"));
    let without = but(own(COOKIE), "x-tachi-board", None);
    let homeless = but(own(COOKIE), "host", None);
    let other_port = but(own(COOKIE), "host", Some("10.0.0.7:15868"));
    let cross = but(own(COOKIE), "sec-fetch-site", Some("cross-site"));
    let sister = but(own(COOKIE), "sec-fetch-site", Some("same-site"));
    for headers in [two, without, homeless, other_port, cross, sister] {
        let got = bench
            .raw("POST", BOARD_ACTIONS_PATH, &headers, approve().to_string())
            .await;
        assert_eq!(got.status, 403, "{headers:?}: {}", got.text);
    }
    nothing_was_done(&bench, "another page");
    // An older browser sends no Sec-Fetch-Site.
    let older = but(own(COOKIE), "sec-fetch-site", None);
    let got = bench
        .raw("POST", BOARD_ACTIONS_PATH, &older, approve().to_string())
        .await;
    assert_eq!(got.status, 202, "{}", got.text);
}

#[tokio::test]
async fn board_refuses_destructive_actions() {
    let bench = bench();
    let id = Uuid::from_u128(3);
    for body in [
        json!({"word": {"word": "failure", "instance": "web", "on": "b"}}),
        json!({"word": {"word": "success", "instance": "web", "on": "b"}}),
        json!({"word": {"word": "retry", "instance": "web"}}),
        json!({"word": {"word": "vouch", "recovery": id}}),
        json!({"word": {"word": " approve", "recovery": id}}),
        json!({"word": {"word": ["approve"], "recovery": id}}),
        json!({"word": "approve"}),
        json!({"failure": {"reason": "smoke"}}),
        json!({"word": approve()["word"], "freeze": freeze()["freeze"]}),
        json!({}),
        json!([approve()]),
        Value::Null,
    ] {
        let got = submit_action(&bench, "admin", &body).await;
        assert_eq!(got.status, 400, "{body}: {}", got.text);
    }
    for text in ["", "not json", "{", "word=approve"] {
        let got = bench
            .raw("POST", BOARD_ACTIONS_PATH, &own("tachi-board=admin"), text)
            .await;
        assert_eq!(got.status, 400, "{text:?}: {}", got.text);
    }
    nothing_was_done(&bench, "not a word of the board");
    // A repeated key in a body: the checked value is the forwarded one.
    let smuggled = format!(r#"{{"word": {{"word": "failure", "word": "approve", "recovery": "{id}"}}}}"#);
    let got = bench
        .raw("POST", BOARD_ACTIONS_PATH, &own("tachi-board=admin"), smuggled)
        .await;
    assert_eq!(got.root("word")["word"], "approve");
    let huge = format!("{{\"word\": \"{}\"}}", "a".repeat(200_000));
    let got = bench
        .raw("POST", BOARD_ACTIONS_PATH, &own("tachi-board=admin"), huge)
        .await;
    assert_eq!(got.status, 413);
}
