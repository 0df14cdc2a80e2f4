//! `tachi host report-down`: an operator reports a host as down, by the real binary.

use std::time::Duration;

use serde_json::Value;

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn fail(harness: &Harness, host: &str) -> (i32, String, String) {
    run(
        harness,
        &[
            "host",
            "report-down",
            host,
            "--reason",
            "smoke in rack 7",
            "--yes",
        ],
    )
}

/// The lines of every audit log of the stage.
pub(super) fn audited(harness: &Harness) -> Vec<Value> {
    let files = std::fs::read_dir(harness.folder.path()).unwrap();
    let files = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("fencing-audit") && path.extension().is_some_and(|end| end == "jsonl")
    });
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_host_fail_recovers_a_dead_host_and_audits_the_actor() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    until("an engine to run", LIMIT, async || {
        json(&harness, &["status"])["engines"][0]["alive"] == true
    })
    .await;
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let (code, printed, note) = fail(&harness, HOST);
    assert_eq!(code, 0, "{note}");
    for expected in [
        "Nova received its heartbeat",
        "has 2 instances on it",
        "confirms it off before it moves an instance",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let id = printed
        .lines()
        .find_map(|line| line.strip_prefix("recovery      "))
        .unwrap();
    let (code, printed, note) = run(&harness, &["recovery", "show", id, "--follow"]);
    assert_eq!(code, 0, "{printed} {note}");
    harness.assert_each_exactly_once(&servers, HOST);
    let history = json(&harness, &["recovery", "show", id]);
    assert_eq!(history["reported"]["payload"]["host_status"], "UNKNOWN");
    assert_eq!(history["proofs"][0]["kind"], "device");
    let reporter = history["reporters"][0]["user_name"].as_str().unwrap();
    assert!(reporter.contains("(smoke in rack 7)"), "{reporter}");
    let lines = audited(&harness);
    let of_us: Vec<_> = lines
        .iter()
        .filter(|line| {
            line["operator"]
                .as_str()
                .is_some_and(|by| by.contains("smoke in rack 7"))
        })
        .map(|line| (line["action"].as_str().unwrap(), line["phase"].as_str().unwrap()))
        .collect();
    assert_eq!(of_us, [("word", "intent"), ("word", "outcome")]);

    // The maintenance that its recovery has set refuses no report; this one is a repetition.
    let (code, printed, note) = fail(&harness, HOST);
    assert_eq!(code, 0, "{printed} {note}");
    assert!(printed.contains("was already reported down by"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_host_fail_shows_why_no_recovery_starts() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let (code, _, note) = fail(&harness, "nobody");
    assert_eq!(code, 1);
    assert!(note.contains("no host has the name \"nobody\""), "{note}");
    // Without a terminal there is no confirmation.
    let (code, printed, note) = run(&harness, &["host", "report-down", HOST, "--reason", "smoke"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        printed.contains("shows it up") && note.contains("--yes"),
        "{printed} {note}"
    );
    assert_eq!(
        run(&harness, &["host", "report-down", HOST, "--reason", " ", "--yes"]).0,
        2
    );
    assert_eq!(
        json(&harness, &["recovery", "list", "--all"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(audited(&harness).len(), 0);

    // No engine runs here that could ignore a freeze.
    let (code, _, note) = run(
        &harness,
        &[
            "freeze",
            "host",
            "compute-002",
            "--for",
            "1h",
            "--reason",
            "firmware",
        ],
    );
    assert_eq!(code, 0, "{note}");
    let (code, printed, note) = fail(&harness, "compute-002");
    assert_eq!(code, 0, "{note}");
    assert!(
        printed.contains("compute-002 is frozen") && printed.contains("tachi thaw host"),
        "{printed}"
    );

    let (code, printed, note) = fail(&harness, HOST);
    assert_eq!(code, 0, "{note}");
    assert!(note.contains("no engine has sent a heartbeat recently"), "{note}");
    let id = printed
        .lines()
        .find_map(|line| line.strip_prefix("recovery      "))
        .unwrap();
    // A repetition is no second report; with another reason it is refused.
    let (code, printed, note) = fail(&harness, HOST);
    assert_eq!(code, 0, "{note}");
    assert!(
        printed.contains(id) && printed.contains("was already reported down"),
        "{printed}"
    );
    let other = ["host", "report-down", HOST, "--reason", "fire", "--yes"];
    let (code, _, note) = run(&harness, &other);
    assert_eq!(code, 1);
    assert!(note.contains(id) && note.contains("already running"), "{note}");
    let all = json(&harness, &["recovery", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_removed_monitor_is_audited_with_the_actor() {
    let harness = Harness::set(quick_region(1)).await;
    harness.protect().await;
    let (code, printed, note) = run(&harness, &["monitor", "forget", HOST, "host"]);
    assert_eq!((code, printed.as_str()), (1, ""), "{note}");
    assert!(
        note.contains(
            "compute-001 has no host monitor: it is removed already, or has never sent a heartbeat"
        ),
        "{note}"
    );
    assert_eq!(audited(&harness), [] as [Value; 0], "there was nothing to do");
    let _api = harness.spawn("api");
    assert_eq!(
        harness.api().await.send_heartbeat(HOST, "host", &[HOST]).await,
        204
    );
    until("the monitor to be known", LIMIT, async || {
        json(&harness, &["monitor", "list"]).as_array().unwrap().len() == 1
    })
    .await;
    let (code, printed, note) = run(&harness, &["monitor", "forget", HOST, "host"]);
    assert_eq!(code, 0, "{note}");
    assert!(
        printed.contains("the host monitor of compute-001 is removed, by "),
        "{printed}"
    );
    let lines = audited(&harness);
    let printed: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_ne!(line["operator"].as_str(), None, "{line}");
            assert_eq!(line["host"], HOST, "{line}");
            (line["phase"].as_str().unwrap(), line["text"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("intent", "removes the host monitor"),
        ("outcome", "the host monitor is removed"),
    ];
    assert_eq!(printed, expected);
}
