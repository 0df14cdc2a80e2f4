//! A wait for an operator is stored as data, independent of message texts.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_sandbox::MigrationKind;

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns the commands' data about waits, without texts.
fn facts(harness: &Harness) -> Value {
    let status = json(harness, &["status"]);
    let pick = |rows: Value, names: &[&str]| -> Vec<Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| names.iter().map(|name| row[name].clone()).collect())
            .collect()
    };
    let on_hold = pick(
        json(harness, &["recovery", "list", "--state", "held"]),
        &["recovery", "status", "waits"],
    );
    let id = on_hold[0][0].as_str().unwrap().to_owned();
    let shown = json(harness, &["recovery", "show", &id]);
    let moves = &["instance", "state", "needs_person", "waits", "commands"];
    serde_json::json!({
        "status": status["needs_person"],
        "held": on_hold,
        "shown": [shown["waits"], shown["waits_for"]],
        "moves": pick(json(harness, &["instance", "list", "--recovering"]), moves),
        "needing": pick(json(harness, &["instance", "list", "--waiting"]), moves),
    })
}

async fn garble(harness: &Harness) {
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    for sql in [
        "UPDATE notifications SET message = 'a message by another name'",
        "UPDATE vmoves SET message = 'a message by another name'",
        "UPDATE recovery_step SET text = 'a message by another name'",
    ] {
        db.execute_unprepared(sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_is_said_first_whatever_messages_are_called() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    region
        .faults()
        .half_move(servers[0], "compute-002", MigrationKind::LiveMigration, false)
        .unwrap();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.spawn("engine");
    let needing = |harness: &Harness| json(harness, &["status"])["needs_person"].clone();
    until("the instance to be held", LIMIT, async || {
        needing(&harness)["instances"][0]["waits"]["for"] == "record"
    })
    .await;
    until("the others to be moved", LIMIT, async || {
        let moves = json(&harness, &["instance", "list", "--recovering"]);
        moves
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["state"] == "moved")
            .count()
            == 2
    })
    .await;
    let (_, text, _) = run(&harness, &["status"]);
    assert!(
        text.contains("\nACTION NEEDED: 1 instance is down, 1 recovery is on hold\n"),
        "{text}"
    );
    let expected = format!(
        "tachi instance resolve {} --not-running-on compute-002",
        servers[0]
    );
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("✗ MOVE_NEEDS_PERSON  1 inst"), "{text}");
    assert_eq!(run(&harness, &["status", "--check"]).0, 2);
    engine.kill();

    let before = facts(&harness);
    assert_eq!(before["held"].as_array().unwrap().len(), 1, "{before}");
    assert_eq!(before["needing"].as_array().unwrap().len(), 1, "{before}");
    garble(&harness).await;
    let after = facts(&harness);
    assert_eq!(before, after, "nothing but texts has changed");

    // Instances that an abort leaves down are listed until an operator has resolved them.
    // The action that may start an instance twice requires a confirmation.
    let server = servers[0].to_string();
    let (code, _, stderr) = run(
        &harness,
        &[
            "instance",
            "resolve",
            &server,
            "--not-running-on",
            "compute-002",
            "--reason",
            "x",
        ],
    );
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("does not run on compute-002 without confirmation: add --yes"),
        "{stderr}"
    );
    assert_eq!(before, facts(&harness), "nothing was said");

    let (code, _, stderr) = run(&harness, &["recovery", "abort", HOST, "--yes", "--reason", "x"]);
    assert_eq!(code, 0, "{stderr}");
    let engine = harness.spawn("engine");
    until("the recovery to end", LIMIT, async || {
        harness.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let printed = needing(&harness);
    assert_eq!(printed["recoveries"], serde_json::json!([]), "{printed}");
    assert_eq!(
        printed["instances"][0]["instance"],
        servers[0].to_string(),
        "{printed}"
    );
    assert_eq!(printed["instances"][0]["waits"]["for"], "given-up", "{printed}");
    let server = servers[0].to_string();
    let seen_to = [
        "instance",
        "resolve",
        &server,
        "--dismiss",
        "--reason",
        "started by hand",
    ];
    let (code, text, stderr) = run(&harness, &seen_to);
    assert_eq!(code, 0, "{stderr}");
    assert!(text.contains("is acknowledged"), "{text}");
    assert_eq!(needing(&harness)["instances"], serde_json::json!([]));
    let (code, _, stderr) = run(&harness, &seen_to);
    assert_eq!(code, 1, "once is enough: {stderr}");
    drop(engine);
}
