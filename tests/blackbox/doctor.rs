//! `tachi doctor`, by the real binary.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use super::support::{Harness, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

fn grades(harness: &Harness) -> Vec<(String, String)> {
    let printed = json(harness, &["doctor"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = printed["checks"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["check"]), text(&row["grade"])))
        .collect()
}

fn of(harness: &Harness, name: &str) -> String {
    let all = grades(harness);
    let found = all.iter().find(|(check, _)| check == name);
    found.unwrap_or_else(|| panic!("{name}: {all:?}")).1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_doctor_finds_each_fault_and_takes_nothing_unseen_for_good() {
    let harness = Harness::set(quick_region(3)).await;
    // No engine has read the region yet.
    assert_eq!(of(&harness, "engines"), "warn");
    assert_eq!(of(&harness, "no-engine"), "err");
    assert_eq!(of(&harness, "host-disabled"), "unknown");
    let conf = harness.conf();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, printed, _) = run(&harness, &["doctor", "configuration"]);
    assert!(
        printed.contains("WARN    configuration") && printed.contains("chmod o="),
        "{printed}"
    );
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        of(&harness, "configuration"),
        "ok",
        "{}",
        json(&harness, &["doctor"])
    );
    assert_eq!(of(&harness, "database-revision"), "ok");
    let (code, printed, note) = run(&harness, &["doctor", "--check"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        printed.contains("ERR     no-engine") && printed.contains(" checks in "),
        "{printed}"
    );

    let _engine = harness.spawn("engine");
    until("the engine to have read the region", LIMIT, async || {
        of(&harness, "host-disabled") == "ok"
    })
    .await;
    assert_eq!(of(&harness, "no-engine"), "ok");
    assert_ne!(of(&harness, "no-hosts"), "ok");
    assert_eq!(run(&harness, &["doctor", "engines", "--check"]).0, 0);

    harness.protect().await;
    assert_eq!(of(&harness, "no-hosts"), "ok");

    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{text}\n[recovery]\nno_such_option = 1\n")).unwrap();
    assert_eq!(of(&harness, "configuration"), "warn");
    let broken = format!("{text}\n[recovery]\nsweep_interval = soon\n");
    std::fs::write(&conf, broken).unwrap();
    let (code, printed, note) = run(&harness, &["doctor", "--check"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        printed.contains("ERR     configuration") && printed.contains("sweep_interval"),
        "{printed}"
    );
    std::fs::write(&conf, text).unwrap();

    let (code, _, note) = run(&harness, &["doctor", "no-such-check"]);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("host-not-in-segment"), "{note}");
}
