//! The HTTP answers equal the commands' output, by the real binary, database and Keystone.

use std::time::Duration;

use serde_json::Value;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock as _, FactStore as _, Round};

use super::remote::{ADMIN, over};
use super::support::{Api, Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

async fn response(api: &Api, path: &str, key: &str) -> Value {
    let (status, answer) = api.ask(&format!("/operator/v1/{path}")).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer[key].clone()
}

fn codes(situation: &Value) -> Vec<&str> {
    let findings = situation["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

/// Removes the values that depend on the time of the call.
fn timeless(mut situation: Value) -> Value {
    for key in ["at", "looked_at", "facts", "engines"] {
        situation[key].take();
    }
    situation
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_tells_what_the_commands_tell_and_nothing_good_without_an_engine() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let _api = harness.spawn("api");
    let api = harness.api().await;

    // No engine has run yet.
    let situation = response(&api, "situation", "situation").await;
    assert_eq!(codes(&situation)[0], "NO_ENGINE", "{situation}");
    assert_eq!(situation["facts"][0]["as_of"], Value::Null);
    assert_eq!(situation["instances"], Value::Null);
    assert_eq!(timeless(situation), timeless(json(&harness, &["status"])));

    let engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        let situation = response(&api, "situation", "situation").await;
        let counts = situation["instances"].as_object();
        counts.is_some_and(|counts| counts.values().filter_map(Value::as_u64).sum::<u64>() == 3)
    })
    .await;
    let situation = response(&api, "situation", "situation").await;
    assert_eq!(situation["facts"][1]["fresh"], true, "{situation}");
    let one = servers[0].to_string();
    for (arguments, path) in [
        (["show", HOST], format!("hosts/{HOST}/explanation")),
        (["show", one.as_str()], format!("instances/{one}/explanation")),
    ] {
        // A round of the engine may come between the two.
        until("both to return the same", LIMIT, async || {
            response(&api, &path, "explanations").await == json(&harness, &arguments)
        })
        .await;
    }

    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    drop(engine);
    let all = response(&api, "recoveries?all=true", "recoveries").await;
    assert_eq!(all, json(&harness, &["recovery", "list", "--all"]));
    let id = all[0]["recovery"].as_str().unwrap();
    let history = response(&api, &format!("recoveries/{id}"), "recovery").await;
    assert_eq!(history, json(&harness, &["recovery", "show", id]));
    assert_eq!(history["instances"].as_array().unwrap().len(), 3);
    assert_eq!(
        response(&api, "instances", "instances").await,
        json(&harness, &["instance", "list", "--recovering"])
    );

    // The data becomes stale.
    let table = harness.store.facts();
    let mut kept = table.facts(None).await.unwrap();
    let old = SystemClock.wall().minus_seconds(46);
    for fact in &mut kept {
        fact.as_of = old;
    }
    let round = Round {
        put: kept,
        discard: Vec::new(),
    };
    let turn = table.take_round().await.unwrap();
    assert!(table.write_facts(turn, &round).await.unwrap());
    until("stale data to be shown as stale", LIMIT, async || {
        let situation = response(&api, "situation", "situation").await;
        codes(&situation).contains(&"FACTS_OLD")
    })
    .await;
    let situation = response(&api, "situation", "situation").await;
    assert_eq!(situation["instances"]["protected"], 0, "{situation}");
    assert_eq!(situation["facts"][0]["fresh"], false, "{situation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_and_command_forecast_the_same_and_what_is_full_is_told() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 3);
    let _api = harness.spawn("api");
    let api = harness.api().await;
    let nothing = response(&api, "forecast", "forecast").await;
    assert_eq!(nothing["segments"][0]["headroom"], Value::Null, "{nothing}");
    let _engine = harness.spawn("engine");
    // Two of three may be lost: all that there is fits on the third.
    until("the room to be known", LIMIT, async || {
        let forecast = response(&api, "forecast", "forecast").await;
        forecast["segments"][0]["room_headroom"] == 2
    })
    .await;
    let situation = response(&api, "situation", "situation").await;
    assert_eq!(situation["segments"][0]["room_headroom"], 2, "{situation}");
    assert!(
        !situation["not_assessed"].to_string().contains("room"),
        "{situation}"
    );
    let (_, status, _) = run(&harness, &["status"]);
    assert!(
        status.contains("\nall      auto    3/3 ") && status.contains("  1 (room 2)  -\n"),
        "{status}"
    );
    let id =
        response(&api, "hosts/compute-001/explanation", "explanations").await[0]["hosted"][0]["id"].clone();
    let (_, explained, _) = run(&harness, &["show", id.as_str().unwrap()]);
    assert!(
        explained.contains("it fits on 2 of 2 hosts that Nova may choose"),
        "{explained}"
    );
    let arguments = ["forecast", "--lose", "compute-001,compute-002"];
    let lost = json(&harness, &arguments);
    assert_eq!(lost["lost"]["room"], "enough", "{lost}");
    assert_eq!(lost["lost"]["instances"], 3, "{lost}");
    for arguments in [&["forecast", "nosuch"][..], &["forecast", "--lose", "nosuch"]] {
        let (_, _, why) = over(&harness, ADMIN, arguments);
        assert!(
            why.contains("named \"nosuch\"") && !why.contains("Upgrade it"),
            "{why}"
        );
    }
    let path = "forecast?lose=compute-001,compute-002";
    assert_eq!(response(&api, path, "forecast").await["lost"], lost["lost"]);
    let all = json(
        &harness,
        &["forecast", "--lose", "compute-001,compute-002,compute-003"],
    );
    assert_eq!(all["lost"]["room"], "short", "{all}");
    // Nova shows all others down, and no monitor has reported them.
    for host in ["compute-002", "compute-003"] {
        harness.sandbox.region().faults().power_loss(host).unwrap();
    }
    until("no room to be found", LIMIT, async || {
        let findings = response(&api, "findings", "findings").await;
        let mut findings = findings.as_array().unwrap().iter();
        findings.any(|finding| {
            finding["code"] == "NO_ROOM" && finding["grade"] == "warn" && finding["instances"] == 3
        })
    })
    .await;
    let (_, explained, _) = run(&harness, &["show", HOST]);
    assert!(explained.contains("NO ROOM: "), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_is_for_operators() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    for (user, project, expected) in [
        ("admin", "admin", 200),
        ("demo", "demo", 403),
        ("masakari-monitor", "service", 403),
    ] {
        let api = harness
            .api_of(&harness.sandbox.credentials_of(user, project))
            .await;
        for path in [
            "situation",
            "findings",
            "forecast",
            "hosts",
            "instances",
            "recoveries",
        ] {
            let (status, answer) = api.ask(&format!("/operator/v1/{path}")).await;
            assert_eq!(status, expected, "{user} {path}: {answer}");
            if status == 403 {
                let response = answer["forbidden"]["message"].as_str().unwrap();
                assert!(response.contains("os_masakari_api:operator:read"), "{response}");
            }
        }
    }
}

/// Every line of the audit logs of this stage's processes.
fn audited(harness: &Harness) -> Vec<Value> {
    let files = std::fs::read_dir(harness.folder.path()).unwrap();
    let files = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("fencing-audit") && path.extension().is_some_and(|end| end == "jsonl")
    });
    let text: String = files
        .map(|path| {
            let mut text = std::fs::read_to_string(path).unwrap();
            // The last line may not be written yet.
            text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
            text
        })
        .collect();
    let lines = text.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_an_action_over_http_is_in_the_audit_log_under_keystones_user() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    let api = harness.api().await;
    harness.report(HOST).await;
    let id = response(&api, "recoveries", "recoveries").await[0]["recovery"].clone();
    let action = serde_json::json!({"word": {"word": "abort", "recovery": id, "reason": "wrong rack"}});

    for (user, project) in [("demo", "demo"), ("masakari-monitor", "service")] {
        let other = harness
            .api_of(&harness.sandbox.credentials_of(user, project))
            .await;
        let (status, answer) = other.submit(&action).await;
        assert_eq!(status, 403, "{user}: {answer}");
    }
    assert_eq!(audited(&harness), [] as [Value; 0], "no operator has acted");

    let (status, answer) = api.submit(&action).await;
    assert_eq!(
        (status, &answer["word"]["already"]),
        (202, &Value::Bool(false)),
        "{answer}"
    );
    let by = answer["word"]["by"].as_str().unwrap().to_owned();
    assert!(
        by.starts_with("admin, Keystone user ") && by.ends_with(" (wrong rack)"),
        "{by}"
    );
    let (_, again) = api.submit(&action).await;
    assert_eq!(again["word"]["already"], true, "{again}");

    let engine = harness.spawn("engine");
    until("the engine to read it", LIMIT, async || {
        response(&api, "recoveries", "recoveries").await == Value::Array(Vec::new())
    })
    .await;
    // The engine's line follows its commit.
    let arguments = || {
        let lines = audited(&harness).into_iter();
        lines
            .filter(|line| line["action"] == "word")
            .collect::<Vec<Value>>()
    };
    until("the engine to record that it has read it", LIMIT, async || {
        arguments().len() == 2
    })
    .await;
    drop(engine);
    let (status, again) = api.submit(&action).await;
    assert_eq!(
        (status, &again["word"]["already"]),
        (202, &Value::Bool(true)),
        "{again}"
    );
    let lines = arguments();
    let phases: Vec<&str> = lines.iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!(phases.len(), 2, "{lines:?}");
    assert!(
        phases.contains(&"intent") && phases.contains(&"outcome"),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| line["operator"] == by.as_str()),
        "{lines:?}"
    );
}

/// The first operator aborts with "wrong rack, they live", the second one approves a moment later; no engine is running.
/// Covers R32.
#[tokio::test(flavor = "multi_thread")]
async fn operator_api_of_two_opposite_actions_both_apply_and_the_abort_wins() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    let api = harness.api().await;
    harness.report(HOST).await;
    let id = response(&api, "recoveries", "recoveries").await[0]["recovery"].clone();
    for (action, reason) in [("abort", "wrong rack"), ("approve", "go on")] {
        let body = serde_json::json!({"word": {"word": action, "recovery": id, "reason": reason}});
        let (status, answer) = api.submit(&body).await;
        assert_eq!(
            (status, &answer["word"]["already"]),
            (202, &Value::Bool(false)),
            "{answer}"
        );
    }
    let _engine = harness.spawn("engine");
    until("the engine to read them", LIMIT, async || {
        response(&api, "recoveries", "recoveries").await == Value::Array(Vec::new())
    })
    .await;
    until("the engine to record that it has read both", LIMIT, async || {
        let lines = audited(&harness);
        let outcomes = lines
            .iter()
            .filter(|line| line["action"] == "word" && line["phase"] == "outcome");
        outcomes.count() == 2
    })
    .await;
    let orders = audited(&harness);
    assert!(
        orders.iter().all(|line| line["action"] != "power_off"),
        "{orders:?}"
    );
    let (_, history, _) = run(&harness, &["recovery", "show", id.as_str().unwrap()]);
    assert!(
        history.contains("wrong rack") && history.contains("go on"),
        "{history}"
    );
    assert!(history.contains("not applied"), "{history}");
}
