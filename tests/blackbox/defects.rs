//! Regression tests for defects that operators found, by the real binary.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock as _, Hosts as _, OperatorJournal as _};
use tachi_sandbox::{ApiEffect, ApiFault, MoveFault, MoveFaultRule};
use uuid::Uuid;

use super::support::{Stage, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns the findings of this code.
fn found(stage: &Stage, code: &str) -> Vec<Value> {
    let told = json(stage, &["status"]);
    let findings = told["findings"].as_array().unwrap().iter();
    findings.filter(|one| one["code"] == code).cloned().collect()
}

async fn until_found(stage: &Stage, code: &str) -> Value {
    until(&format!("{code} to be found"), LIMIT, async || {
        !found(stage, code).is_empty()
    })
    .await;
    found(stage, code).remove(0)
}

/// Deletes a host from its segment.
pub(crate) async fn forget(stage: &Stage, name: &str) {
    let segment = stage.store.desk().region().await.unwrap().remove(0);
    let mut hosts = segment.hosts.into_iter().map(|view| view.host);
    let host = hosts.find(|host| host.name == name).unwrap();
    let registry = stage.store.registry();
    registry.delete_host(segment.segment.id, host.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_could_not_be_moved_are_shown_with_novas_error() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 3);
    let faults = stage.sandbox.region().faults();
    faults.add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost).server(servers[0]));
    faults.add_move_fault(MoveFaultRule::always(MoveFault::Error).server(servers[1]));
    faults.power_loss(HOST).unwrap();
    stage.report(HOST).await;
    let text = std::fs::read_to_string(stage.conf()).unwrap();
    let once = text.replace("[recovery]\n", "[recovery]\nevacuation_attempts = 1\n");
    std::fs::write(stage.conf(), once).unwrap();
    let _engine = stage.spawn("engine");
    let down = |code| -> u64 {
        let all = found(&stage, code);
        all.iter().map(|one| one["instances"].as_u64().unwrap()).sum()
    };
    until("both to be reported", LIMIT, async || {
        down("MOVE_FAILED") == 1 && down("MOVE_NEEDS_PERSON") == 1
    })
    .await;
    let failed = found(&stage, "MOVE_FAILED").remove(0);
    assert_eq!(failed["grade"], "err", "{failed}");
    let (code, text, _) = run(&stage, &["status", "--check"]);
    assert_eq!(code, 2, "{text}");
    let (_, text, _) = run(&stage, &["status"]);
    assert!(
        text.contains("MOVE_FAILED") && !text.contains("unprotected: nothing"),
        "{text}"
    );
    let needing = json(&stage, &["instance", "list", "--waiting"]);
    assert_eq!(needing.as_array().unwrap().len(), 2, "{needing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_protected_is_shown_and_the_guard_names_the_hosts_that_are_out() {
    let stage = Stage::set(quick_region(6)).await;
    stage.protect().await;
    for name in ["compute-005", "compute-006"] {
        forget(&stage, name).await;
    }
    let region = stage.sandbox.region();
    region
        .operator()
        .set_service("compute-002", false, Some("work"))
        .unwrap();
    let _engine = stage.spawn("engine");
    let strangers = until_found(&stage, "HOST_NOT_IN_SEGMENT").await;
    assert_eq!(
        strangers["subjects"],
        serde_json::json!(["compute-005", "compute-006"])
    );
    assert_eq!(
        until_found(&stage, "HOST_DISABLED").await["subjects"],
        serde_json::json!(["compute-002"])
    );
    region.faults().agent_stop("compute-004").unwrap();
    let down = until_found(&stage, "HOST_DOWN").await;
    assert_eq!(down["subjects"], serde_json::json!(["compute-004"]));
    region.faults().power_loss("compute-003").unwrap();
    stage.report("compute-003").await;
    let mut told = String::new();
    until("the guard to hold", LIMIT, async || {
        told = json(&stage, &["recovery", "list", "--state", "held"]).to_string();
        told.contains("are out of service at once")
    })
    .await;
    assert!(
        told.contains("2 of the segment's 4 hosts are out of service at once"),
        "{told}"
    );
    assert!(
        told.contains("(out of service: compute-003, compute-004)"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_nothing_is_protected_while_keystone_and_nova_are_dead_and_the_engine_reports_it() {
    let stage = Stage::set(quick_region(2)).await;
    stage.protect().await;
    stage.boot(HOST, 2);
    let text = std::fs::read_to_string(stage.conf()).unwrap();
    let text = text.replace("[fencing]\n", "[fencing]\nmode = external\n");
    std::fs::write(stage.conf(), text).unwrap();
    let _engine = stage.spawn("engine");
    let protected = || json(&stage, &["status"])["instances"]["protected"].as_u64();
    until("the instances to be protected", LIMIT, async || {
        protected() == Some(2)
    })
    .await;
    let faults = stage.sandbox.region().api_faults();
    for route in ["/identity", "/compute/"] {
        faults.add(ApiFault::always(route, ApiEffect::Break));
    }
    stage.sandbox.revoke_tokens();
    until("nothing to be called protected", LIMIT, async || {
        protected() == Some(0)
    })
    .await;
    let (code, told, _) = run(&stage, &["status", "--check"]);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("NOVA_AWAY") && !told.contains("nothing"), "{told}");
    let log = std::fs::read_to_string(stage.folder.path().join("engine.log")).unwrap();
    let warned = log.lines().filter(|line| line.contains("WARN"));
    assert!(warned.clone().any(|line| line.contains("Nova")), "{log}");
    assert!(warned.count() < 40, "it is reported once: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_abort_leaves_down_is_shown_and_listed_across_recoveries() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 3);
    let faults = stage.sandbox.region().faults();
    for server in &servers[..2] {
        faults.add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost).server(*server));
    }
    faults.power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    let _engine = stage.spawn("engine");
    until("one to be back", LIMIT, async || {
        json(&stage, &["recovery", "show", HOST])["moves"]["succeeded"] == 1
    })
    .await;
    assert_eq!(
        run(
            &stage,
            &[
                "recovery",
                "abort",
                HOST,
                "--yes",
                "--reason",
                "the scheduler is broken"
            ]
        )
        .0,
        0
    );
    until("the recovery to end", LIMIT, async || {
        stage.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let (_, told, _) = run(&stage, &["recovery", "show", HOST]);
    assert!(!told.contains("it was recovered"), "{told}");
    assert!(
        told.contains("2 not moved") || told.contains("2 need an operator"),
        "{told}"
    );
    let left = json(&stage, &["instance", "list", "--waiting"]);
    let left = left.as_array().unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    let down = || json(&stage, &["status"])["instances"]["down"].as_u64();
    until("both to count as down", LIMIT, async || down() == Some(2)).await;
    assert_eq!(run(&stage, &["status", "--check"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_declared_dead_without_json_and_answers_have_a_severity() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 2);
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let _engine = stage.spawn("engine");
    let (code, told, note) = run(
        &stage,
        &[
            "host",
            "report-down",
            HOST,
            "--reason",
            "smoke in rack 7",
            "--yes",
        ],
    );
    assert_eq!(code, 0, "{told}{note}");
    until("its instances to be back", LIMIT, async || {
        json(&stage, &["recovery", "show", HOST])["moves"]["succeeded"] == 2
    })
    .await;
    stage.assert_each_exactly_once(&servers, HOST);
    let (code, told, _) = run(&stage, &["status", "--check", "-f", "json"]);
    let seen: Value = serde_json::from_str(&told).unwrap();
    let severity = ["ok", "warn", "err", "unknown"]
        .iter()
        .position(|grade| seen["grade"] == **grade);
    assert_eq!(severity, usize::try_from(code).ok(), "{told}");
    for finding in seen["findings"].as_array().unwrap() {
        let grade = finding["grade"].as_str().unwrap();
        assert!(["info", "warn", "err", "unknown"].contains(&grade), "{finding}");
    }
    let (_, told, _) = run(&stage, &["status", "-f", "yaml"]);
    assert!(told.contains("\nfindings:\n"), "{told}");
    for shell in ["bash", "zsh", "fish"] {
        let (code, told, _) = Stage::command(&["completions", shell]);
        assert!(code == 0 && told.contains("needs-person"), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_recovered_to_hosts_in_no_segment_are_shown() {
    let stage = Stage::set(quick_region(2)).await;
    stage.protect().await;
    forget(&stage, "compute-002").await;
    let servers = stage.boot(HOST, 3);
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let engine = stage.spawn("engine");
    let notification = stage.report(HOST).await;
    stage.until_finished(notification, LIMIT).await;
    stage.assert_each_exactly_once(&servers, HOST);
    until("the versions to be reported", LIMIT, async || {
        let strangers = found(&stage, "HOST_NOT_IN_SEGMENT");
        strangers
            .iter()
            .any(|one| one["subjects"][0] == "compute-002" && one["instances"] == 3)
    })
    .await;
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn fence_off_shows_what_it_would_end_before_it_asks() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 3);
    let conf = stage.conf();
    let line = format!(
        "{} fence off {HOST} --config-file {}",
        env!("CARGO_BIN_EXE_tachi"),
        conf.display()
    );
    // On a terminal: without one there is no question and no action.
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    terminal
        .stdin
        .take()
        .unwrap()
        .write_all(b"compute-002\n")
        .unwrap();
    let output = terminal.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{told}");
    let asks = told.find("to confirm: ").unwrap_or_else(|| panic!("{told}"));
    let before = &told[..asks];
    assert!(
        before.contains("power off compute-001: everything that runs on it stops."),
        "{told}"
    );
    assert!(
        before.contains("shows it up, and has 3 instances on it."),
        "{told}"
    );
    assert!(
        !before.contains("INFO") && !before.contains("WARN"),
        "no log before a question: {told}"
    );
    assert!(
        !told.contains("(R"),
        "no rule's number reaches an operator: {told}"
    );
    assert!(told.contains("nothing was done"), "{told}");
    let region = stage.sandbox.region();
    assert_eq!(region.host(HOST).unwrap().servers, servers.len());
    let (code, _, stderr) = run(&stage, &["fence", "off", HOST, "--reason", "x"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("without confirmation: add --yes"), "{stderr}");
}

#[test]
fn the_fence_agents_print_how_to_call_them() {
    let (code, told, stderr) = Stage::command(&["fence-agent", "--help"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(told.contains("fence_maas"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_a_killed_engine_is_not_shown_any_more_once_another_runs_in_its_place() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let engine = stage.spawn("engine");
    until("the engine to sign", LIMIT, async || {
        found(&stage, "NO_ENGINE").is_empty()
    })
    .await;
    engine.kill();
    until_found(&stage, "NO_ENGINE").await;
    let _replacement = stage.spawn("engine");
    until("only the other one to be shown", LIMIT, async || {
        found(&stage, "NO_ENGINE").is_empty() && found(&stage, "ENGINE_SILENT").is_empty()
    })
    .await;
    let (_, text, _) = run(&stage, &["status"]);
    assert!(!text.contains("SILENT"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn misleading_texts_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("tachi.conf");
    std::fs::write(
        &conf,
        format!("[DEFAULT]\nstate_path = {}\n", folder.path().display()),
    )
    .unwrap();
    let conf = conf.to_str().unwrap();
    let version = || Stage::command(&["db", "version", "--config-file", conf]);
    let (code, told, stderr) = version();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        told.starts_with("no version yet: run `tachi db sync`\n"),
        "{told}"
    );
    let (code, _, stderr) = Stage::command(&["db", "sync", "--config-file", conf]);
    assert_eq!(code, 0, "{stderr}");
    let (_, told, _) = version();
    assert!(told.starts_with('m') && !told.contains("no version"), "{told}");

    let stage = Stage::set(quick_region(2)).await;
    stage.protect().await;
    let (_, told, _) = run(&stage, &["status"]);
    for wrong in ["1 hosts", "1 notifications", "1 instances"] {
        assert!(!told.contains(wrong), "{wrong}: {told}");
    }
    let text = std::fs::read_to_string(stage.conf()).unwrap();
    let bare = text.lines().filter(|line| !line.starts_with("maas_"));
    let bare: Vec<&str> = bare.collect();
    std::fs::write(stage.conf(), bare.join("\n")).unwrap();
    let engine = stage.spawn("engine");
    let log = stage.folder.path().join("engine.log");
    until("the engine to report its mode", LIMIT, async || {
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(!said.contains("External"), "{said}");
        said.contains("no fence device is configured")
            && said.contains("mode=\"external\"")
            && said.contains("engine starts")
    })
    .await;
    drop(engine);
    let (code, told, stderr) = run(&stage, &["config", "show"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        !told.contains("compute:nova\n"),
        "a catalogue entry is shown completely: {told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_configuration_of_masakaris_begins_with_its_answer() {
    let stage = Stage::set(quick_region(2)).await;
    stage.protect().await;
    let text = std::fs::read_to_string(stage.conf()).unwrap();
    let masakaris = "[DEFAULT]\nmonkey_patch = true\nfatal_exception_format_errors = true\nos_system_scope = all\n\
                     instance_ports_retry = 3\n";
    std::fs::write(stage.conf(), text.replacen("[DEFAULT]\n", masakaris, 1)).unwrap();
    for words in [
        &["status"][..],
        &["recovery", "list"],
        &["fence", "check"],
        &["instance", "list", "--recovering"],
        &["db", "version"],
    ] {
        let (_, told, note) = run(&stage, words);
        assert!(
            !told.contains("no effect") && !note.contains("no effect"),
            "{words:?}: {note}{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_masakari_had_begun_shows_each_instance_once() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 4);
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let region = stage.store.desk().region().await.unwrap().remove(0);
    let host = region
        .hosts
        .into_iter()
        .map(|view| view.host)
        .find(|host| host.name == HOST)
        .unwrap();
    let notification = Uuid::new_v4();
    let db = sea_orm::Database::connect(&stage.database.url).await.unwrap();
    let now = chrono::DateTime::from_timestamp_micros(SystemClock.wall().micros()).unwrap();
    let now = now.format("%Y-%m-%d %H:%M:%S");
    let payload = r#"{"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}"#;
    db.execute_unprepared(&format!(
        "INSERT INTO notifications (notification_uuid, generated_time, source_host_uuid, type, payload, status, \
         failover_segment_uuid, created_at, deleted) VALUES ('{notification}', '{now}', '{}', 'COMPUTE_HOST', '{payload}', \
         'running', '{}', '{now}', 0)",
        host.id, region.segment.id
    ))
    .await
    .unwrap();
    for server in &servers {
        db.execute_unprepared(&format!(
            "INSERT INTO vmoves (uuid, notification_uuid, instance_uuid, instance_name, source_host, status, type, created_at, \
             deleted) VALUES ('{}', '{notification}', '{server}', 'x', '{HOST}', 'pending', 'evacuation', '{now}', 0)",
            Uuid::new_v4()
        ))
        .await
        .unwrap();
    }
    let _engine = stage.spawn("engine");
    stage.until_finished(notification.into(), LIMIT).await;
    stage.assert_each_exactly_once(&servers, HOST);
    let rows = json(&stage, &["recovery", "list", "--all"]);
    let shown = json(
        &stage,
        &["recovery", "show", rows[0]["recovery"].as_str().unwrap()],
    );
    let count = servers.len();
    assert_eq!(shown["instances"].as_array().unwrap().len(), count, "{shown}");
    assert_eq!(shown["moves"]["total"], count, "{shown}");
    assert_eq!(rows[0]["moves"]["total"], count, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_on_living_hosts_make_no_segment_small() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let _engine = stage.spawn("engine");
    until("Nova to be known", LIMIT, async || {
        ["NO_ENGINE", "FACTS_OLD"]
            .map(|code| found(&stage, code))
            .concat()
            .is_empty()
    })
    .await;
    for host in [HOST, "compute-002"] {
        stage.report(host).await;
    }
    until("both to be checked", LIMIT, async || {
        assert_eq!(found(&stage, "FEW_HOSTS"), Vec::<Value>::new());
        let rows = json(&stage, &["recovery", "list"]);
        let rows = rows.as_array().unwrap();
        rows.len() == 2 && rows.iter().all(|row| row["waits"]["for"].is_string())
    })
    .await;
    assert_eq!(found(&stage, "FEW_HOSTS"), Vec::<Value>::new());
    // Two dead engines are a finding of their own.
    let faults = stage.sandbox.region().faults();
    for host in [HOST, "compute-002"] {
        faults.power_loss(host).unwrap();
    }
    until_found(&stage, "FEW_HOSTS").await;
}
