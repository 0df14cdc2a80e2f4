//! `tachi host report-down`: an operator reports a host as down, by the real binary.

use std::time::Duration;

use serde_json::Value;

use super::support::{Stage, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn fail(stage: &Stage, host: &str) -> (i32, String, String) {
    run(
        stage,
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
pub(super) fn audited(stage: &Stage) -> Vec<Value> {
    let files = std::fs::read_dir(stage.folder.path()).unwrap();
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
async fn operator_host_fail_recovers_a_dead_host_under_the_name_of_who_said_so() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 2);
    let _engine = stage.spawn("engine");
    until("an engine to run", LIMIT, async || {
        json(&stage, &["status"])["engines"][0]["alive"] == true
    })
    .await;
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let (code, told, note) = fail(&stage, HOST);
    assert_eq!(code, 0, "{note}");
    for wanted in [
        "Nova received its heartbeat",
        "has 2 instances on it",
        "confirms it off before it moves an instance",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let id = told
        .lines()
        .find_map(|line| line.strip_prefix("recovery      "))
        .unwrap();
    let (code, told, note) = run(&stage, &["recovery", "show", id, "--follow"]);
    assert_eq!(code, 0, "{told} {note}");
    stage.assert_each_exactly_once(&servers, HOST);
    let story = json(&stage, &["recovery", "show", id]);
    assert_eq!(story["reported"]["payload"]["host_status"], "UNKNOWN");
    assert_eq!(story["proofs"][0]["kind"], "device");
    let reporter = story["reporters"][0]["user_name"].as_str().unwrap();
    assert!(reporter.contains("(smoke in rack 7)"), "{reporter}");
    let lines = audited(&stage);
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
    let (code, told, note) = fail(&stage, HOST);
    assert_eq!(code, 0, "{told} {note}");
    assert!(told.contains("was already reported down by"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_host_fail_says_why_nothing_begins() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let (code, _, note) = fail(&stage, "nobody");
    assert_eq!(code, 1);
    assert!(note.contains("no host has the name \"nobody\""), "{note}");
    // Without a terminal there is no confirmation.
    let (code, told, note) = run(&stage, &["host", "report-down", HOST, "--reason", "smoke"]);
    assert_eq!(code, 2, "{note}");
    assert!(
        told.contains("shows it up") && note.contains("--yes"),
        "{told} {note}"
    );
    assert_eq!(
        run(&stage, &["host", "report-down", HOST, "--reason", " ", "--yes"]).0,
        2
    );
    assert_eq!(
        json(&stage, &["recovery", "list", "--all"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(audited(&stage).len(), 0);

    // No engine runs here that could ignore a freeze.
    let (code, _, note) = run(
        &stage,
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
    let (code, told, note) = fail(&stage, "compute-002");
    assert_eq!(code, 0, "{note}");
    assert!(
        told.contains("compute-002 is frozen") && told.contains("tachi thaw host"),
        "{told}"
    );

    let (code, told, note) = fail(&stage, HOST);
    assert_eq!(code, 0, "{note}");
    assert!(note.contains("no engine has sent a heartbeat lately"), "{note}");
    let id = told
        .lines()
        .find_map(|line| line.strip_prefix("recovery      "))
        .unwrap();
    // A repetition is no second report; with another reason it is refused.
    let (code, told, note) = fail(&stage, HOST);
    assert_eq!(code, 0, "{note}");
    assert!(
        told.contains(id) && told.contains("was already reported down"),
        "{told}"
    );
    let other = ["host", "report-down", HOST, "--reason", "fire", "--yes"];
    let (code, _, note) = run(&stage, &other);
    assert_eq!(code, 1);
    assert!(note.contains(id) && note.contains("already running"), "{note}");
    let all = json(&stage, &["recovery", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_monitor_is_forgotten_under_the_name_of_who_said_so() {
    let stage = Stage::set(quick_region(1)).await;
    stage.protect().await;
    let (code, told, note) = run(&stage, &["monitor", "forget", HOST, "host"]);
    assert_eq!((code, told.as_str()), (1, ""), "{note}");
    assert!(
        note.contains(
            "compute-001 has no host monitor: it is removed already, or has never sent a heartbeat"
        ),
        "{note}"
    );
    assert_eq!(audited(&stage), [] as [Value; 0], "there was nothing to do");
    let _api = stage.spawn("api");
    assert_eq!(stage.api().await.sign(HOST, "host", &[HOST]).await, 204);
    until("the monitor to be known", LIMIT, async || {
        json(&stage, &["monitor", "list"]).as_array().unwrap().len() == 1
    })
    .await;
    let (code, told, note) = run(&stage, &["monitor", "forget", HOST, "host"]);
    assert_eq!(code, 0, "{note}");
    assert!(
        told.contains("the host monitor of compute-001 is removed, by "),
        "{told}"
    );
    let lines = audited(&stage);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_ne!(line["operator"].as_str(), None, "{line}");
            assert_eq!(line["host"], HOST, "{line}");
            (line["phase"].as_str().unwrap(), line["text"].as_str().unwrap())
        })
        .collect();
    let wanted = [
        ("intent", "removes the host monitor"),
        ("outcome", "the host monitor is removed"),
    ];
    assert_eq!(told, wanted);
}
