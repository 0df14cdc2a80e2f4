//! Old names of commands, by the real binary: they print the same as the new ones.

use std::time::Duration;

use serde_json::Value;

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Removes the values that differ between two calls.
fn lasting(value: Value) -> Value {
    const PASSING: [&str; 6] = ["latency_ms", "at", "tested_at", "signed_at", "looked_at", "as_of"];
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !PASSING.contains(&name.as_str()))
            .map(|(name, value)| (name, lasting(value)))
            .collect(),
        Value::Array(all) => all.into_iter().map(lasting).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_an_old_name_answers_as_the_new_one() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["protected"].is_u64()
    })
    .await;
    let pairs: [(&[&str], &[&str]); 8] = [
        (&["explain", HOST, "--if-dies"], &["show", HOST, "--if-fails"]),
        (&["vmove", "list"], &["instance", "list", "--recovering"]),
        (
            &["vmove", "list", "--needs-person"],
            &["instance", "list", "--waiting"],
        ),
        (&["reporter", "list"], &["monitor", "list", "--muted"]),
        (&["fence", "check", HOST], &["fence", "test", HOST]),
        (&["fence", "status", HOST], &["fence", "test", HOST]),
        (&["init", "from-nova", "--diff"], &["setup", "import"]),
        (&["schedule", "list"], &["jobs", "list"]),
    ];
    for (old, new) in pairs {
        let printed = [old, new].map(|arguments| lasting(json(&harness, arguments)));
        assert_eq!(printed[0], printed[1], "{old:?}");
    }
    let upgrade =
        [&["upgrade", "check"][..], &["doctor", "--upgrade"]].map(|arguments| run(&harness, arguments).0);
    assert_eq!(upgrade[0], upgrade[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_hosts_instances_and_events_are_listed() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["protected"].is_u64()
    })
    .await;
    let hosts = json(&harness, &["host", "list"]);
    assert_eq!(hosts.as_array().unwrap().len(), 3, "{hosts}");
    let all = json(&harness, &["instance", "list"]);
    let ids: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert!(
        servers.iter().all(|id| ids.contains(&id.to_string().as_str())),
        "{all}"
    );
    assert_eq!(all[0]["host"], HOST);
    let (code, printed, _) = run(&harness, &["instance", "list", "--down"]);
    assert_eq!((code, printed.trim()), (0, "no instance is down"));
    let (code, printed, _) = run(&harness, &["events"]);
    assert_eq!((code, printed.trim()), (0, "nothing happened since then"));

    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    let events = json(&harness, &["events", "--since", "1h", "--host", HOST]);
    let events = events.as_array().unwrap();
    assert!(
        events[0]["event"]
            .as_str()
            .unwrap()
            .starts_with("recovery (host) opened"),
        "{events:?}"
    );
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.len() > 3, "{events:?}");
    drop(engine);

    // `tachi` alone needs no engine, and its help no region.
    let (code, printed, _) = Harness::command(&[]);
    assert_eq!(code, 0);
    assert!(
        printed.contains("\nSee\n") && printed.contains("\nDecide\n"),
        "{printed}"
    );
    let (code, _, note) = run(&harness, &["show", "all"]);
    assert_eq!(code, 1);
    assert!(note.matches("tachi:").count() == 1, "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_what_is_over_is_not_aborted_again_and_a_reason_is_wanted() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 1);
    let report = ["host", "report-down", HOST, "--yes"];
    let (code, _, note) = run(&harness, &report);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("--reason"), "{note}");
    let (code, _, note) = run(&harness, &[&report[..], &["--reason", "smoke"]].concat());
    assert_eq!(code, 0, "{note}");
    let (code, _, note) = run(&harness, &["recovery", "abort", HOST, "--reason", "a mistake"]);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("add --yes"), "{note}");
    let approve_wait = |shown| {
        let arguments = [
            "recovery", "approve", HOST, "--yes", "--reason", "x", "--waits", shown,
        ];
        let (code, printed, note) = run(&harness, &arguments);
        (code, printed + &note)
    };
    let (code, printed) = approve_wait(r#"{"for": "fence", "since": "2026-01-01T00:00:00.000Z"}"#);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("no longer waits"), "{printed}");
    let (code, printed) = approve_wait("null");
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("no longer waits"), "{printed}");
    let reject = [
        "recovery", "reject", HOST, "--yes", "--reason", "x", "--waits", "null",
    ];
    let (code, _, note) = run(&harness, &reject);
    assert_eq!(code, 2, "{note}");
    assert!(
        note.contains("only for the approval of a single recovery"),
        "{note}"
    );
    let (code, printed) = approve_wait("fence");
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.contains("not the waits object of a recovery"),
        "{printed}"
    );
    let abort = ["recovery", "abort", HOST, "--yes", "--reason", "a mistake"];
    assert_eq!(json(&harness, &abort)["already"], false);
    let _engine = harness.spawn("engine");
    until("the recovery to end", LIMIT, async || {
        json(&harness, &["recovery", "show", HOST])["life"] == "closed"
    })
    .await;
    let again = json(&harness, &abort);
    assert_eq!(again["already"], true, "{again}");
    let (code, printed, note) = run(&harness, &abort);
    assert_eq!(code, 0, "{note}");
    assert!(printed.contains("was already aborted at "), "{printed}");
    let approve = ["recovery", "approve", HOST, "--yes", "--reason", "a mistake"];
    assert_eq!(run(&harness, &approve).0, 1);
    let (code, _, note) = run(
        &harness,
        &["recovery", "approve", "--all-held", "--yes", "--reason", "x"],
    );
    assert_eq!(code, 1);
    assert!(note.contains("no recovery is on hold"), "{note}");
}
