//! Fixes by commands, by the real binary: Tachi's own rows and files, and never a setting of others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tachi_sandbox::{ApiEffect, ApiFault};

use super::support::{Harness, json, quick_region, run, until};

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
fn written(harness: &Harness, phase: &str, part: &str) -> usize {
    let lines = audit(harness.folder.path());
    let found = lines
        .iter()
        .filter(|line| line["phase"] == phase && line["text"].as_str().unwrap_or_default().contains(part));
    found
        .inspect(|line| assert!(!line["operator"].as_str().unwrap().is_empty(), "{line}"))
        .count()
}

fn grade(harness: &Harness, name: &str) -> String {
    let printed = json(harness, &["doctor", name]);
    printed["checks"][0]["grade"].as_str().unwrap().to_owned()
}

fn fix(harness: &Harness, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["doctor"]
        .iter()
        .chain(arguments)
        .chain(&["--fix"])
        .copied()
        .collect();
    let (code, printed, note) = run(harness, &all);
    assert_eq!(code, 0, "{arguments:?}: {printed}{note}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_doctor_mends_rows_and_files_of_ours_once_and_nothing_else() {
    let harness = Harness::set(quick_region(3)).await;
    let servers = harness.boot(HOST, 2);
    let conf = harness.conf();
    let mode = || std::fs::metadata(&conf).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(grade(&harness, "configuration"), "warn");
    let printed = fix(&harness, &["configuration", "--dry-run"]);
    assert!(
        printed.contains("would be made unreadable to others") && printed.contains("nothing was done"),
        "{printed}"
    );
    assert_eq!((mode(), written(&harness, "intent", "closes")), (0o644, 0));
    let printed = fix(&harness, &["configuration"]);
    assert!(printed.contains("fixed: "), "{printed}");
    assert_eq!((mode(), grade(&harness, "configuration").as_str()), (0o640, "ok"));
    assert_eq!(
        (
            written(&harness, "intent", "closes"),
            written(&harness, "outcome", "is closed to others")
        ),
        (1, 1)
    );
    let printed = fix(&harness, &["configuration"]);
    assert!(printed.contains("nothing to fix"), "{printed}");
    assert_eq!(written(&harness, "intent", "closes"), 1);

    let _engine = harness.spawn("engine");
    until("the engine to have read the region", LIMIT, async || {
        grade(&harness, "no-hosts") == "err" && grade(&harness, "host-disabled") == "ok"
    })
    .await;
    let before = harness.sandbox.region().snapshot();
    let printed = fix(&harness, &["--dry-run"]);
    assert!(printed.contains("compute-003  + add"), "{printed}");
    assert_eq!(grade(&harness, "no-hosts"), "err");
    let printed = fix(&harness, &[]);
    assert!(
        printed.contains("fixed: 3 hosts are in segments now"),
        "{printed}"
    );
    assert_eq!(grade(&harness, "no-hosts"), "ok");
    assert_eq!(grade(&harness, "host-not-in-segment"), "ok");
    assert_eq!(written(&harness, "outcome", "3 hosts were created"), 1);
    let printed = fix(&harness, &["no-hosts"]);
    assert!(printed.contains("nothing to fix"), "{printed}");
    assert_eq!(written(&harness, "outcome", "hosts were created"), 1);
    // Problems that only an operator can fix are listed, and stay.
    std::fs::write(
        &conf,
        std::fs::read_to_string(&conf).unwrap() + "\n[recovery]\nno_such = 1\n",
    )
    .unwrap();
    let printed = fix(&harness, &["configuration"]);
    assert!(printed.contains("nothing was fixed"), "{printed}");
    assert_eq!(grade(&harness, "configuration"), "warn");
    // No host was switched, and no instance touched.
    let after = harness.sandbox.region().snapshot();
    let places = |all: &[tachi_sandbox::ServerSnapshot]| {
        let places = all.iter().map(|one| (one.id, one.host.clone(), one.locked));
        places.collect::<Vec<_>>()
    };
    assert_eq!(places(&before), places(&after));
    assert_eq!(servers.len(), 2);
    assert_eq!(run(&harness, &["doctor", "--dry-run"]).0, 2);
}

fn put_back(harness: &Harness) -> (i32, String, String) {
    let arguments = [
        "host",
        "return",
        HOST,
        "--do",
        "--yes",
        "--reason",
        "no old guest runs",
    ];
    run(harness, &arguments)
}

fn service(harness: &Harness) -> (bool, bool) {
    let printed = json(harness, &["status", "--all-hosts"]);
    let hosts = printed["segments"][0]["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|host| host["name"] == HOST).unwrap();
    let nova = harness.sandbox.region().hosts();
    let nova = nova.iter().find(|host| host.name == HOST).unwrap();
    (nova.enabled, host["on_maintenance"].as_bool().unwrap())
}

/// Covers R23.
#[tokio::test(flavor = "multi_thread")]
async fn host_return_restores_what_a_recovery_has_changed_and_only_when_nothing_blocks_it() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    let _engine = harness.spawn("engine");
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    // Off, forced down, with open evacuations: the command changes and writes nothing.
    let (code, _, note) = put_back(&harness);
    assert_eq!(code, 1, "{note}");
    assert!(
        note.contains("nothing was done") && note.contains("not closed"),
        "{note}"
    );
    assert_eq!(service(&harness), (false, true));
    assert_eq!(written(&harness, "intent", "enables its service"), 0);
    let (code, _, note) = run(&harness, &["host", "return", HOST, "--do"]);
    assert_eq!(code, 2, "{note}");

    region.faults().purge_queue(HOST).unwrap();
    region.faults().power_on(HOST).unwrap();
    until("nothing to speak against the host", LIMIT, async || {
        run(&harness, &["host", "return", HOST, "--check"]).0 == 0
    })
    .await;
    // An operator works on it.
    let freeze = ["freeze", "host", HOST, "--for", "1h", "--reason", "firmware"];
    assert_eq!(run(&harness, &freeze).0, 0);
    let (code, _, note) = put_back(&harness);
    assert_eq!((code, note.contains("firmware")), (1, true), "{note}");
    assert_eq!(run(&harness, &["thaw", "host", HOST]).0, 0);
    // There is no terminal for the confirmation.
    let arguments = ["host", "return", HOST, "--do", "--reason", "looked"];
    let (code, _, note) = run(&harness, &arguments);
    assert_eq!((code, note.contains("--yes")), (2, true), "{note}");
    assert_eq!(service(&harness), (false, true));

    // Each command logs in again, and Keystone takes longer for that than an intent may wait for its call.
    region
        .api_faults()
        .add(ApiFault::always("/auth/tokens", ApiEffect::Delay { millis: 700 }));
    until("the host to be put back", LIMIT, async || {
        put_back(&harness).0 == 0
    })
    .await;
    assert_eq!(service(&harness), (true, false));
    for (phase, text) in [
        ("intent", "enables its service"),
        ("outcome", "its service is enabled"),
        ("intent", "clears its maintenance"),
        ("outcome", "its maintenance is cleared"),
    ] {
        assert_eq!(written(&harness, phase, text), 1, "{phase} {text}");
    }
    let (code, printed, note) = put_back(&harness);
    assert_eq!(
        (code, printed.contains("nothing to do")),
        (0, true),
        "{printed}{note}"
    );
    assert_eq!(written(&harness, "intent", "enables its service"), 1);
    // Settings of others stay.
    region
        .operator()
        .set_service(HOST, false, Some("disk errors"))
        .unwrap();
    let (code, _, note) = put_back(&harness);
    assert_eq!((code, note.contains("disk errors")), (1, true), "{note}");
    assert!(!service(&harness).0);
    harness.assert_each_exactly_once(&servers, HOST);
}
