//! The output contract of all commands that print a list or an object, by the real binary.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Every command that prints a list or an object, and a part of its output.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["status"], "grade"),
    (&["show", HOST], "protection"),
    (&["forecast"], "segments"),
    (&["ack", "--list"], "code"),
    (&["doctor"], "check"),
    (&["drill", HOST, "--paper"], "kind"),
    (&["events"], "event"),
    (&["host", "list"], "name"),
    (&["jobs", "list"], "next"),
    (&["recovery", "list", "--all"], "opened"),
    (&["recovery", "show", HOST], "steps"),
    (&["instance", "list", "--recovering"], "instance"),
    (&["monitor", "list"], "host"),
    (&["policy", "list"], "rule"),
    (&["policy", "check", "--role=member"], "allowed"),
    (&["fence", "test", "--all"], "fault"),
    (&["freeze", "list"], "until"),
    (&["host", "return", HOST], "ready"),
    (&["audit", "show"], "what"),
    (&["audit", "verify"], "intact"),
    (&["doctor", "--upgrade"], "name"),
    (&["db", "purge", "--dry-run"], "table"),
    (&["db", "version"], "pending"),
];

/// Commands that change something; each is run once, below.
const ACTS: &[&str] = &[
    "freeze region",
    "freeze segment",
    "freeze host",
    "freeze instance",
    "thaw region",
    "thaw segment",
    "thaw host",
    "thaw instance",
    "fence off",
    "fence on",
    "fence trust",
    "host drain",
    "host giveback",
    "host report-down",
    "host undrain",
    "instance resolve",
    "monitor forget",
    "monitor unmute",
    "recovery abort",
    "recovery approve",
    "recovery confirm-off",
    "recovery retry",
    "jobs run",
    "setup import",
    "setup monitors",
];

/// Returns the commands whose man page states the contract.
fn documented() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man/tachi");
    let pages = std::fs::read_dir(folder)
        .unwrap()
        .map(|page| page.unwrap().path());
    let kept = pages.filter(|page| {
        let text = std::fs::read_to_string(page).unwrap();
        text.contains(r"\-\-max\-width")
    });
    kept.map(|page| {
        let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
        name.trim_start_matches("tachi-").replace('-', " ")
    })
    .collect()
}

/// Removes the values that differ between two calls.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::String(_) | Value::Number(_) | Value::Null => Value::Null,
        Value::Bool(_) => value.clone(),
    }
}

fn run_with(harness: &Harness, arguments: &[&str], more: &[&str]) -> (i32, String, String) {
    let all: Vec<&str> = arguments.iter().chain(more).copied().collect();
    run(harness, &all)
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_every_command_answers_for_people_programs_and_shells() {
    let listed = COMMANDS.iter().map(|(arguments, _)| {
        let named = arguments
            .iter()
            .filter(|argument| !argument.starts_with('-') && **argument != HOST);
        named.copied().collect::<Vec<_>>().join(" ")
    });
    let listed = listed.chain(ACTS.iter().map(|name| name.replace('-', " ")));
    assert_eq!(listed.collect::<BTreeSet<_>>(), documented());

    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    harness.boot(HOST, 3);
    let _engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["protected"].is_u64()
    })
    .await;
    let freeze = ["freeze", "host", "compute-004", "--for", "1h", "--reason", "a\tb"];
    let reason = [
        "freeze",
        "host",
        "compute-004",
        "--for",
        "1h",
        "--reason",
        "firmware: 7",
    ];
    assert_eq!(run(&harness, &freeze).0, 2);
    assert_eq!(run(&harness, &reason).0, 0);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    for (arguments, column) in COMMANDS {
        let answer = |more: &[&str]| {
            let (code, output, note) = run_with(&harness, arguments, more);
            assert!((0..=2).contains(&code), "{arguments:?} {more:?}: {code} {note}");
            assert!(!output.contains('\u{1b}'), "{arguments:?} {more:?}: {output}");
            output
        };
        let in_json: Value = serde_json::from_str(&answer(&["-f", "json"])).unwrap();
        let in_yaml: Value = serde_saphyr::from_str(&answer(&["-f", "yaml"])).unwrap();
        if shape(&in_json) != shape(&in_yaml) {
            // The data has changed between the two calls.
            let again: Value = serde_json::from_str(&answer(&["-f", "json"])).unwrap();
            assert_eq!(shape(&again), shape(&in_yaml), "{arguments:?}");
        }
        for width in ["40", "80", "160"] {
            for line in answer(&["--max-width", width]).lines() {
                let wide = line.chars().count();
                assert!(wide <= width.parse().unwrap(), "{arguments:?}: {wide}: {line}");
            }
        }
        let one: Value = serde_json::from_str(&answer(&["-f", "json", "-c", column])).unwrap();
        let output = answer(&["-f", "value", "-c", column]);
        let fields = output.lines().all(|line| !line.contains('\t'));
        assert!(fields, "{arguments:?}: {output}");
        assert!(one.is_array() || one.is_object(), "{arguments:?}: {one}");
        answer(&["-c", column]);
        answer(&["-f", "value"]);
        answer(&["-f", "yaml", "-c", column, "--utc"]);
    }
    let (code, _, note) = run(&harness, &["recovery", "list", "--all", "-c", "no such"]);
    assert_eq!(code, 2, "{note}");
    assert!(note.contains("waits for"), "{note}");
    let output = run(
        &harness,
        &[
            "recovery", "list", "--all", "-f", "value", "-c", "host", "-c", "kind",
        ],
    )
    .1;
    assert_eq!(output, format!("{HOST}\thost\n"));
    // People get local times, and programs UTC.
    let opened = |more: &[&str]| run_with(&harness, &["recovery", "list", "--all", "-c", "opened"], more).1;
    assert!(opened(&["--utc"]).contains("Z (") && opened(&[]).contains(" ago)"));
    assert!(opened(&["-f", "value"]).trim_end().ends_with('Z'));
}

const DRAIN: [&str; 9] = [
    "host",
    "drain",
    "compute-002",
    "--for",
    "1h",
    "--reason",
    "firmware",
    "--yes",
    "--no-follow",
];
const OFF: [&str; 6] = ["fence", "off", "compute-003", "--yes", "--reason", "drill"];

/// Runs a command that must succeed; returns its output.
fn output_of(harness: &Harness, arguments: &[&str]) -> String {
    let (code, output, note) = run(harness, arguments);
    assert_eq!(code, 0, "{arguments:?}: {note}");
    output
}

/// The same with JSON output.
fn object_of(harness: &Harness, arguments: &[&str]) -> Value {
    let all: Vec<&str> = arguments.iter().chain(&["-f", "json"]).copied().collect();
    let output = output_of(harness, &all);
    serde_json::from_str(&output).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {output}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_what_happens_meanwhile_is_beside_the_answer_for_programs() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let object = |arguments: &[&str]| object_of(&harness, arguments);
    let planned = object(&DRAIN);
    assert_eq!(
        (&planned["kind"], &planned["host"]),
        (&Value::from("drain"), &Value::from("compute-002")),
        "{planned}"
    );
    let recovery = output_of(&harness, &["recovery", "list", "-f", "value", "-c", "recovery"]);
    assert_eq!(planned["recovery"], recovery.trim());
    let power = object(&OFF);
    assert_eq!(
        (&power["host"], &power["power"]),
        (&Value::from("compute-003"), &Value::from("off"))
    );
    assert!(
        power["proof"]
            .as_str()
            .unwrap()
            .contains("read off twice in a row"),
        "{power}"
    );
    let power = object(&["fence", "on", "compute-003", "--yes", "--reason", "drill"]);
    assert_eq!(power["power"], "on", "{power}");
    let confirmed = object(&["fence", "trust", "compute-003", "--yes"]);
    assert_eq!(confirmed["confirmed"], serde_json::json!(["maas"]), "{confirmed}");
    let nothing = object(&["host", "giveback", "compute-001", "--yes", "-c", "recovery"]);
    assert_eq!(nothing, Value::Null);
    let ran = object(&["jobs", "run", "purge"]);
    assert_eq!(
        (&ran["job"], &ran["grade"]),
        (&Value::from("purge"), &Value::from("ok")),
        "{ran}"
    );
    let made = object(&["setup", "import", "--apply"]);
    assert_eq!(
        (&made["stay"], &made["made"]),
        (&Value::from(3), &Value::from(0)),
        "{made}"
    );
    let folder = harness.folder.path().join("monitors").display().to_string();
    let monitors = ["setup", "monitors", "--out", &folder];
    let states = |arguments: &[&str]| {
        let output = object(arguments);
        let rows = output.as_array().unwrap().iter();
        let each = rows.map(|row| (row["host"].clone(), row["state"].clone()));
        each.collect::<Vec<_>>()
    };
    let all = |state: &str| {
        ["compute-001", "compute-002", "compute-003"].map(|host| (Value::from(host), Value::from(state)))
    };
    let dry_run = [&monitors[..], &["--dry-run"]].concat();
    assert_eq!(states(&dry_run), all("would be created"));
    assert_eq!(states(&monitors), all("made"));
    assert_eq!(states(&monitors), all("there"));
    let nowhere = [
        "setup",
        "monitors",
        "--out",
        "/dev/null/nowhere",
        "--renew",
        "-f",
        "json",
    ];
    let (code, output, note) = run(&harness, &nowhere);
    assert_eq!((code, output.as_str()), (1, ""), "{note}");
    // The lines that were read are printed even if a later log cannot be read.
    let log = std::fs::read_dir(harness.folder.path()).unwrap();
    let log = log
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let log = log.unwrap().display().to_string();
    let (code, output, note) = run(
        &harness,
        &["audit", "verify", &log, "/nowhere.jsonl", "-f", "json"],
    );
    assert_eq!(code, 1, "{note}");
    assert!(note.contains("reading /nowhere.jsonl"), "{note}");
    let verdict: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(verdict[0]["file"], log, "{output}");
    assert_eq!(verdict.as_array().unwrap().len(), 1, "{output}");
    let dry = object(&["host", "giveback", "compute-001", "--dry-run"]);
    assert_eq!(dry["host"], HOST, "{dry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_actions_have_output_for_programs() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let object = |arguments: &[&str]| object_of(&harness, arguments);
    let freeze = [
        "freeze",
        "host",
        "compute-003",
        "--for",
        "1h",
        "--reason",
        "firmware",
    ];
    // An unknown column is refused before the action.
    let fail = ["host", "report-down", HOST, "--reason", "smoke", "--yes"];
    let refused: [&[&str]; 19] = [
        &["setup", "import", "--apply"],
        &["setup", "monitors", "--out", "/nonexistent/nowhere"],
        &["jobs", "run", "purge"],
        &DRAIN,
        &OFF,
        &["fence", "on", "compute-003", "--yes"],
        &["fence", "trust", "compute-003", "--yes"],
        &["host", "giveback", "compute-002", "--yes"],
        &[
            "host",
            "return",
            "compute-003",
            "--do",
            "--reason",
            "seen",
            "--yes",
        ],
        &freeze,
        &["thaw", "host", "compute-003"],
        &fail,
        &["monitor", "forget", HOST, "host"],
        &["recovery", "abort", HOST],
        &["recovery", "approve", "--domain", "rack:1"],
        &["recovery", "retry", HOST],
        &["recovery", "vouch", HOST, "--off", HOST, "--reason", "seen"],
        &["monitor", "unmute", "1"],
        &["instance", "resolve", "web", "--not-running-on", "a", "--yes"],
    ];
    for arguments in refused {
        let all: Vec<&str> = arguments.iter().chain(&["-c", "nosuch"]).copied().collect();
        let (code, output, note) = run(&harness, &all);
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {note}");
        assert!(note.contains("no field \"nosuch\""), "{arguments:?}: {note}");
    }
    assert_eq!(json(&harness, &["freeze", "list"]), Value::Array(Vec::new()));
    assert_eq!(
        json(&harness, &["recovery", "list", "--all"]),
        Value::Array(Vec::new())
    );
    let frozen = object(&freeze);
    assert_eq!(frozen["freeze"]["scope"], "host", "{frozen}");
    assert_eq!(object(&freeze)["already"], true);
    let number = output_of(
        &harness,
        &["thaw", "host", "compute-003", "-f", "value", "-c", "number"],
    );
    assert_eq!(number.trim(), frozen["freeze"]["number"].to_string());

    let failed = object(&fail);
    assert_eq!(
        (&failed["host"], &failed["already"]),
        (&Value::from(HOST), &Value::from(false))
    );
    let recovery = json(&harness, &["recovery", "list"])[0]["recovery"].clone();
    let action = object(&["recovery", "abort", HOST, "--yes", "--reason", "a mistake"]);
    assert_eq!(
        (&action["word"], &action["recovery"]),
        (&Value::from("abort"), &recovery)
    );
    assert!(
        action["by"].as_str().unwrap().ends_with("(a mistake)"),
        "{action}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_reported_within_five_seconds() {
    let harness = Harness::set(quick_region(2)).await;
    // A closed port, and one that never answers.
    let closed = tachi_testkit::free_port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (case, port) in [
        ("closed", closed),
        ("silent", silent.local_addr().unwrap().port()),
    ] {
        let conf = harness.folder.path().join(format!("{case}.conf"));
        let address = format!("mysql+pymysql://masakari:geheim@127.0.0.1:{port}/masakari");
        let folder = harness.folder.path().display();
        let text = format!("[DEFAULT]\nstate_path = {folder}\n[database]\nconnection = {address}\n");
        std::fs::write(&conf, text).unwrap();
        let commands: [&[&str]; 7] = [
            &["status"],
            &["recovery", "list"],
            &["db", "version"],
            &["db", "sync"],
            &["db", "purge"],
            &["freeze", "list"],
            &["instance", "list", "--recovering", "-f", "json"],
        ];
        // Each waits five seconds for the silent one: two are enough.
        let command_count = if case == "closed" { 7 } else { 2 };
        for arguments in commands.into_iter().take(command_count) {
            let began = Instant::now();
            let mut all = arguments.to_vec();
            all.extend(["--config-file", conf.to_str().unwrap()]);
            let (code, output, note) = Harness::command(&all);
            let took = began.elapsed();
            assert_eq!((code, output.as_str()), (1, ""), "{case} {arguments:?}: {note}");
            assert!(took < Duration::from_secs(7), "{case} {arguments:?}: {took:?}");
            assert!(
                note.contains(&format!("127.0.0.1:{port}")) && !note.contains("geheim"),
                "{case} {arguments:?}: {note}"
            );
            assert!(
                note.matches("refused").count() <= 1,
                "{case} {arguments:?}: {note}"
            );
        }
        // A command whose output is a list of checks reports the failure in that list.
        for (arguments, code) in [(&["doctor", "--check"][..], 2), (&["doctor", "--upgrade"], 2)] {
            let began = Instant::now();
            let mut all = arguments.to_vec();
            all.extend(["--config-file", conf.to_str().unwrap()]);
            let (given, output, note) = Harness::command(&all);
            let took = began.elapsed();
            assert_eq!(given, code, "{case} {arguments:?}: {output}{note}");
            assert!(took < Duration::from_secs(7), "{case} {arguments:?}: {took:?}");
            // Tables break lines.
            let output: String = output.split_whitespace().collect();
            assert!(
                output.contains("openingthedatabase"),
                "{case} {arguments:?}: {output}"
            );
        }
    }
}
