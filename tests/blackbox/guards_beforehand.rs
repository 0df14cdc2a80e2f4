//! Recoveries that the guards would hold, in every view, before a host fails.

use std::time::Duration;

use super::support::{Harness, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(90);

/// Covers C4, R24.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_recovery_the_guards_would_hold_is_named_in_every_view() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let server = harness.boot("compute-001", 1)[0];
    harness.boot("compute-002", 1);
    let name = harness.sandbox.region().server(server).unwrap().name;
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let listed = text.replace("[fencing]\n", "[fencing]\nstorm_protected_hosts = compute-001\n");
    std::fs::write(&conf, listed).unwrap();
    let _engine = harness.spawn("engine");
    until("the guards to be evaluated", LIMIT, async || {
        let printed = json(&harness, &["status"]);
        printed["instances"]["degraded"] == 1 && printed["instances"]["protected"] == 1
    })
    .await;
    let printed = json(&harness, &["status"]);
    let mut found = printed["findings"].as_array().unwrap().iter();
    let would_hold = found.find(|one| one["code"] == "RECOVERY_WOULD_HOLD").unwrap();
    assert_eq!(
        would_hold["subjects"],
        serde_json::json!(["compute-001"]),
        "{printed}"
    );
    for arguments in [
        &["show", "compute-001"][..],
        &["show", &name],
        &["show", "compute-001", "--if-fails"],
    ] {
        let (_, text, _) = run(&harness, arguments);
        assert!(
            text.contains("RECOVERY_WOULD_HOLD") || text.contains("G11"),
            "{arguments:?}: {text}"
        );
    }
    let (_, text, _) = run(&harness, &["show", "compute-001", "--if-fails"]);
    let expected = "if compute-001 failed now, its recovery, with 1 instance, would wait for an operator\n";
    assert!(text.starts_with(expected), "{text}");
    let printed = json(&harness, &["show", "compute-001", "--if-fails"]);
    assert!(printed[0]["recovered"].is_null(), "{printed}");
    assert!(
        printed[0]["held"][0].as_str().unwrap().contains("G11"),
        "{printed}"
    );
    let (_, text, _) = run(&harness, &["status"]);
    assert!(text.contains("RECOVERY_WOULD_HOLD"), "{text}");
    until("the forecast to know it", LIMIT, async || {
        let (_, text, _) = run(&harness, &["forecast"]);
        // There is room for more, and the guards hold the second failure.
        let printed = json(&harness, &["status"]);
        text.contains("on hold if compute-001 failed alone: G11 protected: ")
            && text.contains("on hold if 2 hosts of segment all failed at once: ")
            && printed["segments"][0]["headroom"] == 1
            && printed["segments"][0]["room_headroom"].as_u64() > Some(1)
    })
    .await;
    let (_, text, _) = run(&harness, &["forecast", "--lose", "compute-002,compute-003"]);
    assert!(
        text.contains("the recovery would be on hold: ") && text.contains("G4 segment: "),
        "{text}"
    );
    let (_, text, _) = run(&harness, &["forecast", "--lose", "compute-002"]);
    assert!(!text.contains("on hold"), "{text}");
    let (_, text, _) = run(&harness, &["doctor", "storm-limits"]);
    assert!(
        text.contains("segment all: 34 % of 4 hosts: recoveries on hold from 2 hosts out of service at once"),
        "{text}"
    );
}
