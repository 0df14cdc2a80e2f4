//! `tachi doctor`, by the real binary.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use super::support::{Stage, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

fn grades(stage: &Stage) -> Vec<(String, String)> {
    let told = json(stage, &["doctor"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = told["checks"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["check"]), text(&row["grade"])))
        .collect()
}

fn of(stage: &Stage, name: &str) -> String {
    let all = grades(stage);
    let found = all.iter().find(|(check, _)| check == name);
    found.unwrap_or_else(|| panic!("{name}: {all:?}")).1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_doctor_finds_each_fault_and_takes_nothing_unseen_for_good() {
    let stage = Stage::set(quick_region(3)).await;
    // No engine has read the region yet.
    assert_eq!(of(&stage, "engines"), "warn");
    assert_eq!(of(&stage, "no-engine"), "err");
    assert_eq!(of(&stage, "host-disabled"), "unknown");
    let conf = stage.conf();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, told, _) = run(&stage, &["doctor", "configuration"]);
    assert!(
        told.contains("WARN    configuration") && told.contains("chmod o="),
        "{told}"
    );
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(of(&stage, "configuration"), "ok", "{}", json(&stage, &["doctor"]));
    assert_eq!(of(&stage, "database-revision"), "ok");
    let (code, told, note) = run(&stage, &["doctor", "--check"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        told.contains("ERR     no-engine") && told.contains(" checks in "),
        "{told}"
    );

    let _engine = stage.spawn("engine");
    until("the engine to have read the region", LIMIT, async || {
        of(&stage, "host-disabled") == "ok"
    })
    .await;
    assert_eq!(of(&stage, "no-engine"), "ok");
    assert_ne!(of(&stage, "no-hosts"), "ok");
    assert_eq!(run(&stage, &["doctor", "engines", "--check"]).0, 0);

    stage.protect().await;
    assert_eq!(of(&stage, "no-hosts"), "ok");

    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{text}\n[recovery]\nno_such_option = 1\n")).unwrap();
    assert_eq!(of(&stage, "configuration"), "warn");
    let broken = format!("{text}\n[recovery]\nsweep_interval = soon\n");
    std::fs::write(&conf, broken).unwrap();
    let (code, told, note) = run(&stage, &["doctor", "--check"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        told.contains("ERR     configuration") && told.contains("sweep_interval"),
        "{told}"
    );
    std::fs::write(&conf, text).unwrap();

    let (code, _, note) = run(&stage, &["doctor", "no-such-check"]);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("host-not-in-segment"), "{note}");
}
