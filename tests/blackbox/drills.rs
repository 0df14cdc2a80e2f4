//! `tachi drill`, by the real binary.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use tachi_domain::situation::Severity;
use tachi_engine::ports::{EngineRegistry as _, Jobs as _};

use super::support::{Process, Stage, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns all requests since the start of the log that change something, by method and route.
fn changing(stage: &Stage) -> Vec<String> {
    let routes = stage.sandbox.region().requests().counts();
    let reads = |route: &str| route.starts_with("GET ") || route == "POST /identity/v3/auth/tokens";
    routes.into_keys().filter(|route| !reads(route)).collect()
}

/// Starts an engine and waits for its heartbeat.
async fn working(stage: &Stage) -> Process {
    let engine = stage.spawn("engine");
    until("the engine to run", LIMIT, async || {
        !stage.store.roll().engines().await.unwrap().is_empty()
    })
    .await;
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_shadow_drill_asks_everybody_and_changes_nothing() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let here = stage.boot("compute-001", 2);
    let (code, told, _) = run(&stage, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 2);
    assert!(told.contains("NOT READY: engines: none is running"), "{told}");
    let _engine = working(&stage).await;
    let requests = stage.sandbox.region().requests();
    requests.clear();

    let told = json(&stage, &["drill", "compute-001", "--shadow"]);
    assert_eq!(
        changing(&stage),
        Vec::<String>::new(),
        "nothing was changed and nothing switched"
    );
    let asked = requests.counts();
    let was_asked = |part: &str| asked.keys().any(|route| route.contains(part));
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
        assert!(was_asked(part), "{part}: {asked:?}");
    }
    assert_eq!(told["grade"], "ok", "{told:#}");
    let answers = told["answers"].as_array().unwrap().iter();
    let answers: Vec<&str> = answers.filter_map(|one| one["what"].as_str()).collect();
    assert_eq!(
        answers[..10],
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
            "placement",
        ]
    );
    assert!(
        answers[10..].iter().all(|what| what.starts_with("level ")) && answers.len() > 10,
        "{answers:?}"
    );
    let evacuated = told["evacuated"].as_array().unwrap();
    assert_eq!(evacuated.len(), here.len(), "{told:#}");
    let lines = stage.store.jobs().jobs().await.unwrap();
    assert_eq!((lines.len(), lines[0].name.as_str()), (1, "drill compute-001"));
    assert!(lines[0].end.is_some());
    assert_eq!(stage.sandbox.region().double_runs(), 0);

    let (code, paper, note) = run(&stage, &["drill", "compute-001", "--paper"]);
    assert_eq!(code, 0, "{note}");
    assert!(paper.contains("host compute-001"), "{paper}");
    let (code, _, note) = run(&stage, &["drill", "nobody", "--shadow"]);
    assert_eq!(code, 1);
    assert!(note.contains("nobody is in no segment"), "{note}");
    let told = json(&stage, &["drill", "compute-001"]);
    assert_eq!(
        told["grade"], "ok",
        "without an option it is the same drill: {told:#}"
    );
    assert_eq!(changing(&stage), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_shadow_drill_tells_who_does_not_answer() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let _engine = working(&stage).await;
    let conf = stage.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let elsewhere = text.replace("/MAAS", "/NOBODY");
    assert_ne!(text, elsewhere);
    std::fs::write(&conf, elsewhere).unwrap();
    let (code, told, note) = run(&stage, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 2, "{told}{note}");
    assert!(told.contains("NOT READY") && told.contains("✗ level 1"), "{told}");
    std::fs::write(&conf, &text).unwrap();

    let (code, told, note) = run(&stage, &["jobs", "run", "drill"]);
    assert_eq!(code, 0, "{told}{note}");
    assert!(told.contains(" ready"), "{told}");
    until("the drill to be listed", LIMIT, async || {
        let rows = json(&stage, &["jobs", "list"]);
        rows.as_array().unwrap().iter().any(|row| row["job"] == "drill")
    })
    .await;
}

/// Ctrl-C ends the drill with a message, and the next one is not refused as concurrent.
#[tokio::test(flavor = "multi_thread")]
async fn operator_a_shadow_drill_that_is_stopped_stands_in_nobodys_way() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let _engine = working(&stage).await;
    // A device that takes connections and never answers.
    let device = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conf = stage.conf();
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
        let lines = stage.store.jobs().jobs().await.unwrap();
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
    let (code, told, note) = run(&stage, &["drill", "compute-001", "--shadow"]);
    assert_eq!(code, 0, "{told}{note}");
}
