//! `tachi drill`, by the real binary.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tachi_domain::situation::Severity;
use tachi_engine::ports::{EngineRegistry as _, Jobs as _};

use super::support::{Harness, Process, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns all requests since the start of the log that change something, by method and route.
fn changing(harness: &Harness) -> Vec<String> {
    let routes = harness.sandbox.region().requests().counts();
    let reads = |route: &str| route.starts_with("GET ") || route == "POST /identity/v3/auth/tokens";
    routes.into_keys().filter(|route| !reads(route)).collect()
}

/// Starts an engine and waits for its heartbeat.
async fn working(harness: &Harness) -> Process {
    let engine = harness.spawn("engine");
    until("the engine to run", LIMIT, async || {
        !harness
            .store
            .engine_registry()
            .engines()
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_shadow_drill_queries_every_service_and_changes_nothing() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let instances = harness.boot("compute-001", 2);
    let (code, printed, _) = run(&harness, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 2);
    assert!(
        printed.contains("engines")
            && printed.contains("none is running")
            && printed.contains("NOT READY: engines;"),
        "{printed}"
    );
    let _engine = working(&harness).await;
    let requests = harness.sandbox.region().requests();
    requests.clear();

    let printed = json(&harness, &["drill", "compute-001", "--shadow"]);
    assert_eq!(
        changing(&harness),
        Vec::<String>::new(),
        "nothing was changed and nothing switched"
    );
    let requested = requests.counts();
    let was_requested = |part: &str| requested.keys().any(|route| route.contains(part));
    for part in [
        "auth/tokens",
        "os-services",
        "servers",
        "os-migrations",
        "os-hypervisors",
        "os-aggregates",
        "resource_providers",
        "machines",
    ] {
        assert!(was_requested(part), "{part}: {requested:?}");
    }
    assert_eq!(printed["grade"], "ok", "{printed:#}");
    let answers = printed["answers"].as_array().unwrap().iter();
    let answers: Vec<&str> = answers.filter_map(|answer| answer["what"].as_str()).collect();
    assert_eq!(
        answers[..11],
        [
            "database",
            "engines",
            "keystone, nova",
            "service",
            "region",
            "instances",
            "cell",
            "migrations",
            "guards",
            "policy",
            "placement",
        ]
    );
    assert!(
        answers[11..].iter().all(|what| what.starts_with("level ")) && answers.len() > 11,
        "{answers:?}"
    );
    let evacuated = printed["evacuated"].as_array().unwrap();
    assert_eq!(evacuated.len(), instances.len(), "{printed:#}");
    let lines = harness.store.jobs().jobs().await.unwrap();
    assert_eq!((lines.len(), lines[0].name.as_str()), (1, "drill compute-001"));
    assert!(lines[0].end.is_some());
    assert_eq!(harness.sandbox.region().double_runs(), 0);

    let (code, paper, note) = run(&harness, &["drill", "compute-001", "--paper"]);
    assert_eq!(code, 0, "{note}");
    assert!(paper.contains("host compute-001"), "{paper}");
    let (code, _, note) = run(&harness, &["drill", "nobody", "--shadow"]);
    assert_eq!(code, 1);
    assert!(note.contains("nobody is in no segment"), "{note}");
    let printed = json(&harness, &["drill", "compute-001"]);
    assert_eq!(
        printed["grade"], "ok",
        "without an option it is the same drill: {printed:#}"
    );
    assert_eq!(changing(&harness), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_shadow_drill_names_what_does_not_answer() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _engine = working(&harness).await;
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let edited = text.replace("/MAAS", "/NOBODY");
    assert_ne!(text, edited);
    std::fs::write(&conf, edited).unwrap();
    let (code, printed, note) = run(&harness, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 2, "{printed}{note}");
    assert!(
        printed.contains("NOT READY") && printed.contains("✗ level 1"),
        "{printed}"
    );
    std::fs::write(&conf, &text).unwrap();

    let (code, printed, note) = run(&harness, &["jobs", "run", "drill"]);
    assert_eq!(code, 0, "{printed}{note}");
    assert!(printed.contains(" ready"), "{printed}");
    until("the drill to be listed", LIMIT, async || {
        let rows = json(&harness, &["jobs", "list"]);
        rows.as_array().unwrap().iter().any(|row| row["job"] == "drill")
    })
    .await;
}

/// Ctrl-C ends the drill with a message, and the next one is not refused as concurrent.
#[tokio::test(flavor = "multi_thread")]
async fn operator_a_stopped_shadow_drill_blocks_nothing() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _engine = working(&harness).await;
    // A device that takes connections and never answers.
    let device = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let maas = text
        .split_whitespace()
        .find(|word| word.ends_with("/MAAS"))
        .unwrap();
    let mute = format!("http://{}/MAAS", device.local_addr().unwrap());
    std::fs::write(&conf, text.replace(maas, &mute)).unwrap();

    let mut drill = Command::new(env!("CARGO_BIN_EXE_tachi"))
        .args(["drill", "compute-001", "--shadow", "--config-file"])
        .arg(&conf)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = async || {
        let lines = harness.store.jobs().jobs().await.unwrap();
        lines.into_iter().find(|line| line.name == "drill compute-001")
    };
    until("the drill to begin", LIMIT, async || line().await.is_some()).await;
    let pid = rustix::process::Pid::from_child(&drill);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    until("the drill to end", LIMIT, async || {
        drill.try_wait().unwrap().is_some()
    })
    .await;
    let end = line().await.unwrap().end.expect("it is said that it is over");
    assert_eq!(
        (end.grade, end.details.as_str()),
        (Severity::Unknown, "not finished: stopped by Ctrl-C")
    );
    let mut note = String::new();
    drill.stderr.take().unwrap().read_to_string(&mut note).unwrap();
    assert!(
        note.contains("the drill of compute-001 has ended: not finished: stopped by Ctrl-C"),
        "{note}"
    );

    std::fs::write(&conf, &text).unwrap();
    let (code, printed, note) = run(&harness, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 0, "{printed}{note}");
}
