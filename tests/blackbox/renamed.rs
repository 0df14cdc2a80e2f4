//! Old names of commands, by the real binary: they print the same as the new ones.

use std::time::Duration;

use serde_json::Value;

use super::support::{Stage, json, quick_region, run, until};

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
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    stage.boot(HOST, 2);
    let _engine = stage.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&stage, &["status"])["instances"]["protected"].is_u64()
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
        let told = [old, new].map(|words| lasting(json(&stage, words)));
        assert_eq!(told[0], told[1], "{old:?}");
    }
    let upgrade = [&["upgrade", "check"][..], &["doctor", "--upgrade"]].map(|words| run(&stage, words).0);
    assert_eq!(upgrade[0], upgrade[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_hosts_instances_and_events_are_listed() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 2);
    let engine = stage.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&stage, &["status"])["instances"]["protected"].is_u64()
    })
    .await;
    let hosts = json(&stage, &["host", "list"]);
    assert_eq!(hosts.as_array().unwrap().len(), 3, "{hosts}");
    let all = json(&stage, &["instance", "list"]);
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
    let (code, told, _) = run(&stage, &["instance", "list", "--down"]);
    assert_eq!((code, told.trim()), (0, "no instance is down"));
    let (code, told, _) = run(&stage, &["events"]);
    assert_eq!((code, told.trim()), (0, "nothing happened since then"));

    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    stage.until_finished(notification, LIMIT).await;
    let events = json(&stage, &["events", "--since", "1h", "--host", HOST]);
    let events = events.as_array().unwrap();
    assert!(
        events[0]["event"]
            .as_str()
            .unwrap()
            .starts_with("recovery (host) opened"),
        "{events:?}"
    );
    let times: Vec<&str> = events.iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.len() > 3, "{events:?}");
    drop(engine);

    // `tachi` alone needs no engine, and its help no region.
    let (code, told, _) = Stage::command(&[]);
    assert_eq!(code, 0);
    assert!(told.contains("\nSee\n") && told.contains("\nDecide\n"), "{told}");
    let (code, _, note) = run(&stage, &["show", "all"]);
    assert_eq!(code, 1);
    assert!(note.matches("tachi:").count() == 1, "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_what_is_over_is_not_aborted_again_and_a_reason_is_wanted() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    stage.boot(HOST, 1);
    let report = ["host", "report-down", HOST, "--yes"];
    let (code, _, note) = run(&stage, &report);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("--reason"), "{note}");
    let (code, _, note) = run(&stage, &[&report[..], &["--reason", "smoke"]].concat());
    assert_eq!(code, 0, "{note}");
    let (code, _, note) = run(&stage, &["recovery", "abort", HOST, "--reason", "a mistake"]);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("add --yes"), "{note}");
    let abort = ["recovery", "abort", HOST, "--yes", "--reason", "a mistake"];
    assert_eq!(json(&stage, &abort)["already"], false);
    let _engine = stage.spawn("engine");
    until("the recovery to end", LIMIT, async || {
        json(&stage, &["recovery", "show", HOST])["life"] == "closed"
    })
    .await;
    let again = json(&stage, &abort);
    assert_eq!(again["already"], true, "{again}");
    let (code, told, note) = run(&stage, &abort);
    assert_eq!(code, 0, "{note}");
    assert!(told.contains("was already aborted at "), "{told}");
    let approve = ["recovery", "approve", HOST, "--yes", "--reason", "a mistake"];
    assert_eq!(run(&stage, &approve).0, 1);
    let (code, _, note) = run(
        &stage,
        &["recovery", "approve", "--all-held", "--yes", "--reason", "x"],
    );
    assert_eq!(code, 1);
    assert!(note.contains("no recovery is on hold"), "{note}");
}
