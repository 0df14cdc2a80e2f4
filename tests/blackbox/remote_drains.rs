//! Draining and giving back from a laptop: over the API, as a user of Keystone, by the real binary.

use std::time::Duration;

use serde_json::Value;

use super::remote::{ADMIN, DEMO, audited, over};
use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns phase, operator and text of the audit lines of plans.
fn lines(harness: &Harness) -> Vec<(String, String, String)> {
    let of = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let all = audited(harness).into_iter();
    all.filter(|line| line["action"] == "word")
        .map(|line| (of(&line, "phase"), of(&line, "operator"), of(&line, "text")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_api_a_host_is_drained_and_given_back_to_from_a_laptop() {
    let mut region = quick_region(3);
    region.live_migration_time = Duration::from_millis(500);
    let harness = Harness::set(region).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let hosts = || {
        let region = harness.sandbox.region();
        let host = |id: &uuid::Uuid| region.server(*id).unwrap().host.unwrap();
        servers.iter().map(host).collect::<Vec<String>>()
    };
    let _api = harness.spawn("api");
    harness.api().await;
    let drain = [
        "host", "drain", HOST, "--for", "1h", "--reason", "firmware", "--yes",
    ];
    // No engine has read Nova yet, so the host's state is unknown, and nothing is written.
    let (code, _, stderr) = over(&harness, ADMIN, &drain);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no engine has read Nova"), "{stderr}");
    let _engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["protected"] == 3
    })
    .await;
    let (code, _, stderr) = over(&harness, DEMO, &drain);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("os_masakari_api:operator:read"), "{stderr}");
    let nowhere = [
        "host", "drain", "nowhere", "--for", "1h", "--reason", "x", "--yes",
    ];
    let (code, _, stderr) = over(&harness, ADMIN, &nowhere);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no host has the name \"nowhere\""), "{stderr}");
    assert_eq!(lines(&harness), []);

    let (code, printed, stderr) = over(&harness, ADMIN, &drain);
    assert_eq!(code, 0, "{printed} {stderr}");
    assert!(printed.contains("3 instances were on compute-001"), "{printed}");
    assert!(
        printed.contains("compute-001 is drained: 3 instances moved, nothing is left; frozen for 60 min"),
        "{printed}"
    );
    assert!(hosts().iter().all(|host| host != HOST), "{:?}", hosts());
    let all = lines(&harness);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((all[0].0.as_str(), all[1].0.as_str()), ("intent", "outcome"));
    assert!(
        all[0].1.starts_with("admin, Keystone user ") && all[0].2.contains("firmware (req-"),
        "{all:?}"
    );
    // The operator is visible in Nova's disable reason.
    let reason = harness
        .sandbox
        .region()
        .host(HOST)
        .unwrap()
        .disabled_reason
        .unwrap();
    assert!(reason.contains("drained by admin, Keystone user "), "{reason}");
    // The answer was lost, and the same operator repeats the request.
    let quick = [&drain[..], &["--no-follow"]].concat();
    let (code, printed, stderr) = over(&harness, ADMIN, &quick);
    if code == 0 {
        assert!(printed.contains("nothing new was written"), "{printed}");
    } else {
        assert!(
            stderr.contains("is frozen until"),
            "more than a minute has passed: {stderr}"
        );
    }
    assert_eq!(lines(&harness).len(), 2);

    assert_eq!(over(&harness, ADMIN, &["thaw", "host", HOST]).0, 0);
    let back = ["host", "return", HOST, "--do", "--reason", "flashed", "--yes"];
    let (code, printed, stderr) = run(&harness, &back);
    assert_eq!(code, 0, "{printed} {stderr}");
    until("an engine to see it enabled", LIMIT, async || {
        let (_, printed, _) = over(&harness, ADMIN, &["host", "giveback", HOST, "--dry-run"]);
        !printed.contains("nothing would be started now")
            && printed.starts_with("3 of 3 instances moved away from compute-001 can go back")
    })
    .await;
    let dry = ["host", "giveback", HOST, "--dry-run"];
    assert_eq!(over(&harness, ADMIN, &dry).1, run(&harness, &dry).1);
    let (code, printed, stderr) = over(&harness, ADMIN, &["host", "giveback", HOST, "--yes"]);
    assert_eq!(code, 0, "{printed} {stderr}");
    assert!(
        printed.contains("3 instances moved back to compute-001"),
        "{printed}"
    );
    assert_eq!(hosts(), [HOST; 3]);
    assert_eq!(harness.sandbox.region().ledger().double_runs, 0);
}
