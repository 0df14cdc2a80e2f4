//! Fixes by commands, by the real binary: Tachi's own rows and files, and never a setting of others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tachi_sandbox::{ApiEffect, ApiFault};

use super::support::{Stage, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// The lines of the audit logs in a folder.
fn audit(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Returns the number of lines with this text, each of which names an operator.
fn written(stage: &Stage, phase: &str, part: &str) -> usize {
    let lines = audit(stage.folder.path());
    let found = lines
        .iter()
        .filter(|line| line["phase"] == phase && line["text"].as_str().unwrap_or_default().contains(part));
    found
        .inspect(|line| assert!(!line["operator"].as_str().unwrap().is_empty(), "{line}"))
        .count()
}

fn grade(stage: &Stage, name: &str) -> String {
    let told = json(stage, &["doctor", name]);
    told["checks"][0]["grade"].as_str().unwrap().to_owned()
}

fn fix(stage: &Stage, words: &[&str]) -> String {
    let all: Vec<&str> = ["doctor"]
        .iter()
        .chain(words)
        .chain(&["--fix"])
        .copied()
        .collect();
    let (code, told, note) = run(stage, &all);
    assert_eq!(code, 0, "{words:?}: {told}{note}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_doctor_mends_rows_and_files_of_ours_once_and_nothing_else() {
    let stage = Stage::set(quick_region(3)).await;
    let servers = stage.boot(HOST, 2);
    let conf = stage.conf();
    let mode = || std::fs::metadata(&conf).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(grade(&stage, "configuration"), "warn");
    let told = fix(&stage, &["configuration", "--dry-run"]);
    assert!(
        told.contains("would be made unreadable to others") && told.contains("nothing was done"),
        "{told}"
    );
    assert_eq!((mode(), written(&stage, "intent", "closes")), (0o644, 0));
    let told = fix(&stage, &["configuration"]);
    assert!(told.contains("fixed: "), "{told}");
    assert_eq!((mode(), grade(&stage, "configuration").as_str()), (0o640, "ok"));
    assert_eq!(
        (
            written(&stage, "intent", "closes"),
            written(&stage, "outcome", "is closed to others")
        ),
        (1, 1)
    );
    let told = fix(&stage, &["configuration"]);
    assert!(told.contains("nothing to fix"), "{told}");
    assert_eq!(written(&stage, "intent", "closes"), 1);

    let _engine = stage.spawn("engine");
    until("the engine to have read the region", LIMIT, async || {
        grade(&stage, "no-hosts") == "err" && grade(&stage, "host-disabled") == "ok"
    })
    .await;
    let before = stage.sandbox.region().snapshot();
    let told = fix(&stage, &["--dry-run"]);
    assert!(told.contains("compute-003  + add"), "{told}");
    assert_eq!(grade(&stage, "no-hosts"), "err");
    let told = fix(&stage, &[]);
    assert!(told.contains("fixed: 3 hosts are in segments now"), "{told}");
    assert_eq!(grade(&stage, "no-hosts"), "ok");
    assert_eq!(grade(&stage, "host-not-in-segment"), "ok");
    assert_eq!(written(&stage, "outcome", "3 hosts were created"), 1);
    let told = fix(&stage, &["no-hosts"]);
    assert!(told.contains("nothing to fix"), "{told}");
    assert_eq!(written(&stage, "outcome", "hosts were created"), 1);
    // Problems that only an operator can fix are listed, and stay.
    std::fs::write(
        &conf,
        std::fs::read_to_string(&conf).unwrap() + "\n[recovery]\nno_such = 1\n",
    )
    .unwrap();
    let told = fix(&stage, &["configuration"]);
    assert!(told.contains("nothing was fixed"), "{told}");
    assert_eq!(grade(&stage, "configuration"), "warn");
    // No host was switched, and no instance touched.
    let after = stage.sandbox.region().snapshot();
    let places = |all: &[tachi_sandbox::ServerSnapshot]| {
        let places = all.iter().map(|one| (one.id, one.host.clone(), one.locked));
        places.collect::<Vec<_>>()
    };
    assert_eq!(places(&before), places(&after));
    assert_eq!(servers.len(), 2);
    assert_eq!(run(&stage, &["doctor", "--dry-run"]).0, 2);
}

fn put_back(stage: &Stage) -> (i32, String, String) {
    let words = [
        "host",
        "return",
        HOST,
        "--do",
        "--yes",
        "--reason",
        "no old guest runs",
    ];
    run(stage, &words)
}

fn service(stage: &Stage) -> (bool, bool) {
    let told = json(stage, &["status", "--all-hosts"]);
    let hosts = told["segments"][0]["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|host| host["name"] == HOST).unwrap();
    let nova = stage.sandbox.region().hosts();
    let nova = nova.iter().find(|host| host.name == HOST).unwrap();
    (nova.enabled, host["on_maintenance"].as_bool().unwrap())
}

/// Covers R23.
#[tokio::test(flavor = "multi_thread")]
async fn host_return_restores_what_a_recovery_has_changed_and_only_when_nothing_blocks_it() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 3);
    let region = stage.sandbox.region();
    let _engine = stage.spawn("engine");
    region.faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    stage.until_finished(notification, LIMIT).await;
    // Off, forced down, with open evacuations: the command changes and writes nothing.
    let (code, _, note) = put_back(&stage);
    assert_eq!(code, 1, "{note}");
    assert!(
        note.contains("nothing was done") && note.contains("not closed"),
        "{note}"
    );
    assert_eq!(service(&stage), (false, true));
    assert_eq!(written(&stage, "intent", "enables its service"), 0);
    let (code, _, note) = run(&stage, &["host", "return", HOST, "--do"]);
    assert_eq!(code, 2, "{note}");

    region.faults().purge_queue(HOST).unwrap();
    region.faults().power_on(HOST).unwrap();
    until("nothing to speak against the host", LIMIT, async || {
        run(&stage, &["host", "return", HOST, "--check"]).0 == 0
    })
    .await;
    // An operator works on it.
    let freeze = ["freeze", "host", HOST, "--for", "1h", "--reason", "firmware"];
    assert_eq!(run(&stage, &freeze).0, 0);
    let (code, _, note) = put_back(&stage);
    assert_eq!((code, note.contains("firmware")), (1, true), "{note}");
    assert_eq!(run(&stage, &["thaw", "host", HOST]).0, 0);
    // There is no terminal for the confirmation.
    let words = ["host", "return", HOST, "--do", "--reason", "looked"];
    let (code, _, note) = run(&stage, &words);
    assert_eq!((code, note.contains("--yes")), (2, true), "{note}");
    assert_eq!(service(&stage), (false, true));

    // Each command logs in again, and Keystone takes longer for that than an intent may wait for its call.
    region
        .api_faults()
        .add(ApiFault::always("/auth/tokens", ApiEffect::Delay { millis: 700 }));
    until("the host to be put back", LIMIT, async || put_back(&stage).0 == 0).await;
    assert_eq!(service(&stage), (true, false));
    for (phase, text) in [
        ("intent", "enables its service"),
        ("outcome", "its service is enabled"),
        ("intent", "clears its maintenance"),
        ("outcome", "its maintenance is cleared"),
    ] {
        assert_eq!(written(&stage, phase, text), 1, "{phase} {text}");
    }
    let (code, told, note) = put_back(&stage);
    assert_eq!((code, told.contains("nothing to do")), (0, true), "{told}{note}");
    assert_eq!(written(&stage, "intent", "enables its service"), 1);
    // Settings of others stay.
    region
        .operator()
        .set_service(HOST, false, Some("disk errors"))
        .unwrap();
    let (code, _, note) = put_back(&stage);
    assert_eq!((code, note.contains("disk errors")), (1, true), "{note}");
    assert!(!service(&stage).0);
    stage.assert_each_exactly_once(&servers, HOST);
}
