//! Freezing from a laptop: over the API, as a user of Keystone, by the real binary. The same commands from the database give the same
//! result.

use std::time::Duration;

use serde_json::{Value, json};

use super::remote::{ADMIN, DEMO, audited, over};
use super::support::{Harness, json as printed, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns action, phase and operator of the audit lines of freezes and thaws.
fn lines(harness: &Harness) -> Vec<(String, String, String)> {
    let of = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let all = audited(harness).into_iter();
    all.filter(|line| line["action"] == "freeze" || line["action"] == "thaw")
        .map(|line| (of(&line, "action"), of(&line, "phase"), of(&line, "operator")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_api_a_host_is_frozen_and_thawed_from_a_laptop() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let api = harness.spawn("api");
    harness.api().await;
    let engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        printed(&harness, &["status"])["instances"]["protected"] == 2
    })
    .await;

    let freeze = ["freeze", "host", HOST, "--for", "2h", "--reason", "firmware"];
    // A reader can list, and a user without the right cannot act; nothing is written for either.
    let (code, _, stderr) = over(&harness, DEMO, &freeze);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("os_masakari_api:operator:act") && stderr.contains("nothing was written"),
        "{stderr}"
    );
    for (arguments, code, part) in [
        (
            vec!["freeze", "host", "nowhere", "--for", "2h", "--reason", "x"],
            1,
            "no host has the name \"nowhere\"",
        ),
        (
            vec!["freeze", "host", HOST, "--for", "25h", "--reason", "x"],
            2,
            "the maximum is 24h, or add --force",
        ),
        (
            vec!["freeze", "host", HOST, "--for", "2h", "--reason", "a\nb"],
            2,
            "one line",
        ),
        (vec!["thaw", "host", HOST], 1, "no frozen host has the name"),
    ] {
        let (got, _, stderr) = over(&harness, ADMIN, &arguments);
        assert_eq!(got, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    assert_eq!(lines(&harness), []);

    let (code, text, stderr) = over(&harness, ADMIN, &freeze);
    assert_eq!(code, 0, "{stderr}");
    assert!(text.starts_with("host compute-001 is frozen until "), "{text}");
    assert!(text.contains("2 instances have no HA until then"), "{text}");
    // The answer was lost, and the request is repeated: nothing is written a second time.
    let (code, again, stderr) = over(&harness, ADMIN, &freeze);
    assert_eq!(code, 0, "{stderr}");
    assert!(!again.contains("in place of"), "{again}");
    let by = lines(&harness)[0].2.clone();
    assert!(by.starts_with("admin, Keystone user "), "{by}");
    let line = |action: &str, phase: &str| (action.to_owned(), phase.to_owned(), by.clone());
    assert_eq!(
        lines(&harness),
        [line("freeze", "intent"), line("freeze", "outcome")]
    );

    // Both sources show the same.
    let (_, text, stderr) = over(&harness, ADMIN, &["freeze", "list", "-f", "json"]);
    let mut remote: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{stderr}"));
    let mut local = printed(&harness, &["freeze", "list"]);
    for list in [&mut remote, &mut local] {
        assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
        list[0]["left_seconds"].take();
    }
    assert_eq!(local, remote);
    assert_eq!((&local[0]["name"], &local[0]["by"]), (&json!(HOST), &json!(by)));

    // The freeze works: the host fails, and is not touched until the thaw.
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    until("the recovery to wait", LIMIT, async || {
        printed(&harness, &["recovery", "list"])[0]["waits"]["for"] == "frozen"
    })
    .await;
    let (code, text, stderr) = over(&harness, ADMIN, &["thaw", "host", HOST]);
    assert_eq!(code, 0, "{stderr}");
    assert!(text.starts_with("host compute-001 is thawed, 1 h 5"), "{text}");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    assert_eq!(
        lines(&harness)[2..],
        [line("thaw", "intent"), line("thaw", "outcome")]
    );

    // Without Keystone or an API, a controller uses the database.
    api.kill();
    let (code, _, stderr) = over(&harness, ADMIN, &freeze);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("cannot be reached") || stderr.contains("repeat it"),
        "{stderr}"
    );
    let (code, text, stderr) = run(
        &harness,
        &["freeze", "region", "--for", "5m", "--reason", "network"],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(text.starts_with("everything is frozen until "), "{text}");
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_api_a_host_is_reported_failed_from_a_laptop() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let _api = harness.spawn("api");
    harness.api().await;
    let _engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        printed(&harness, &["status"])["instances"]["protected"] == 2
    })
    .await;
    let fail = [
        "host",
        "report-down",
        HOST,
        "--reason",
        "smoke in rack 7",
        "--yes",
    ];
    let (code, _, stderr) = over(&harness, DEMO, &fail);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("os_masakari_api:operator:read"), "{stderr}");
    let (code, _, stderr) = over(
        &harness,
        ADMIN,
        &["host", "report-down", "nobody", "--reason", "x", "--yes"],
    );
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no host has the name \"nobody\""), "{stderr}");
    // There is no terminal; the consequences are shown.
    let (code, text, stderr) = over(&harness, ADMIN, &fail[..5]);
    assert_eq!(code, 2, "{text}{stderr}");
    assert!(
        text.contains("Nova showed compute-001 up") && text.contains("2 instances were on it"),
        "{text}"
    );
    assert_eq!(audited(&harness), [] as [Value; 0]);

    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let (code, text, stderr) = over(&harness, ADMIN, &fail);
    assert_eq!(code, 0, "{stderr}");
    let id = text.lines().find_map(|line| line.strip_prefix("recovery      "));
    let id = id.unwrap_or_else(|| panic!("{text}"));
    // The answer was lost, and the request is repeated.
    let (code, again, stderr) = over(&harness, ADMIN, &fail);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        again.contains("was already reported down") && again.contains(id),
        "{again}"
    );
    let history = printed(&harness, &["recovery", "show", id]);
    let by = history["reporters"][0]["user_name"].as_str().unwrap();
    assert!(
        by.starts_with("admin, Keystone user ") && by.ends_with("(smoke in rack 7)"),
        "{by}"
    );
    let of_us = audited(&harness)
        .into_iter()
        .filter(|line| line["operator"] == by);
    let phases: Vec<Value> = of_us.map(|line| line["phase"].clone()).collect();
    assert_eq!(phases, ["intent", "outcome"]);
    until("the recovery to be over", LIMIT, async || {
        printed(&harness, &["recovery", "show", id])["life"] != "open"
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
}
