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

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns the findings of this code.
fn found(harness: &Harness, code: &str) -> Vec<Value> {
    let printed = json(harness, &["status"]);
    let findings = printed["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["code"] == code)
        .cloned()
        .collect()
}

async fn until_found(harness: &Harness, code: &str) -> Value {
    until(&format!("{code} to be found"), LIMIT, async || {
        !found(harness, code).is_empty()
    })
    .await;
    found(harness, code).remove(0)
}

/// Deletes a host from its segment.
pub(crate) async fn delete_host(harness: &Harness, name: &str) {
    let segment = harness.store.operator_journal().region().await.unwrap().remove(0);
    let mut hosts = segment.hosts.into_iter().map(|view| view.host);
    let host = hosts.find(|host| host.name == name).unwrap();
    let registry = harness.store.registry();
    registry.delete_host(segment.segment.id, host.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_could_not_be_moved_are_shown_with_novas_error() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let faults = harness.sandbox.region().faults();
    faults.add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost).server(servers[0]));
    faults.add_move_fault(MoveFaultRule::always(MoveFault::Error).server(servers[1]));
    faults.power_loss(HOST).unwrap();
    harness.report(HOST).await;
    let text = std::fs::read_to_string(harness.conf()).unwrap();
    let once = text.replace("[recovery]\n", "[recovery]\nevacuation_attempts = 1\n");
    std::fs::write(harness.conf(), once).unwrap();
    let _engine = harness.spawn("engine");
    let down = |code| -> u64 {
        let all = found(&harness, code);
        all.iter().map(|one| one["instances"].as_u64().unwrap()).sum()
    };
    until("both to be reported", LIMIT, async || {
        down("MOVE_FAILED") == 1 && down("MOVE_NEEDS_PERSON") == 1
    })
    .await;
    let failed = found(&harness, "MOVE_FAILED").remove(0);
    assert_eq!(failed["grade"], "err", "{failed}");
    let (code, text, _) = run(&harness, &["status", "--check"]);
    assert_eq!(code, 2, "{text}");
    let (_, text, _) = run(&harness, &["status"]);
    assert!(
        text.contains("MOVE_FAILED") && !text.contains("unprotected: nothing"),
        "{text}"
    );
    let needing = json(&harness, &["instance", "list", "--waiting"]);
    assert_eq!(needing.as_array().unwrap().len(), 2, "{needing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_protected_is_shown_and_the_guard_names_the_hosts_that_are_out() {
    let harness = Harness::set(quick_region(6)).await;
    harness.protect().await;
    for name in ["compute-005", "compute-006"] {
        delete_host(&harness, name).await;
    }
    let region = harness.sandbox.region();
    region
        .operator()
        .set_service("compute-002", false, Some("work"))
        .unwrap();
    let _engine = harness.spawn("engine");
    let strangers = until_found(&harness, "HOST_NOT_IN_SEGMENT").await;
    assert_eq!(
        strangers["subjects"],
        serde_json::json!(["compute-005", "compute-006"])
    );
    assert_eq!(
        until_found(&harness, "HOST_DISABLED").await["subjects"],
        serde_json::json!(["compute-002"])
    );
    region.faults().agent_stop("compute-004").unwrap();
    let down = until_found(&harness, "HOST_DOWN").await;
    assert_eq!(down["subjects"], serde_json::json!(["compute-004"]));
    region.faults().power_loss("compute-003").unwrap();
    harness.report("compute-003").await;
    let mut printed = String::new();
    until("the guard to hold", LIMIT, async || {
        printed = json(&harness, &["recovery", "list", "--state", "held"]).to_string();
        printed.contains("are out of service at once")
    })
    .await;
    assert!(
        printed.contains("2 of the segment's 4 hosts are out of service at once"),
        "{printed}"
    );
    assert!(
        printed.contains("(out of service: compute-003, compute-004)"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_nothing_is_protected_while_keystone_and_nova_are_dead_and_the_engine_reports_it() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    harness.boot(HOST, 2);
    let text = std::fs::read_to_string(harness.conf()).unwrap();
    let text = text.replace("[fencing]\n", "[fencing]\nmode = external\n");
    std::fs::write(harness.conf(), text).unwrap();
    let _engine = harness.spawn("engine");
    let protected = || json(&harness, &["status"])["instances"]["protected"].as_u64();
    until("the instances to be protected", LIMIT, async || {
        protected() == Some(2)
    })
    .await;
    let faults = harness.sandbox.region().api_faults();
    for route in ["/identity", "/compute/"] {
        faults.add(ApiFault::always(route, ApiEffect::Break));
    }
    harness.sandbox.revoke_tokens();
    until("nothing to be called protected", LIMIT, async || {
        protected() == Some(0)
    })
    .await;
    let (code, printed, _) = run(&harness, &["status", "--check"]);
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.contains("NOVA_AWAY") && !printed.contains("nothing"),
        "{printed}"
    );
    let log = std::fs::read_to_string(harness.folder.path().join("engine.log")).unwrap();
    let warned = log.lines().filter(|line| line.contains("WARN"));
    assert!(warned.clone().any(|line| line.contains("Nova")), "{log}");
    assert!(warned.count() < 40, "it is reported once: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_abort_leaves_down_is_shown_and_listed_across_recoveries() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let faults = harness.sandbox.region().faults();
    for server in &servers[..2] {
        faults.add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost).server(*server));
    }
    faults.power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let _engine = harness.spawn("engine");
    until("one to be back", LIMIT, async || {
        json(&harness, &["recovery", "show", HOST])["moves"]["succeeded"] == 1
    })
    .await;
    assert_eq!(
        run(
            &harness,
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
        harness.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let (_, printed, _) = run(&harness, &["recovery", "show", HOST]);
    assert!(!printed.contains("it was recovered"), "{printed}");
    assert!(
        printed.contains("1 instance moved, 2 need an operator"),
        "{printed}"
    );
    let left = json(&harness, &["instance", "list", "--waiting"]);
    let left = left.as_array().unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    let down = || json(&harness, &["status"])["instances"]["down"].as_u64();
    until("both to count as down", LIMIT, async || down() == Some(2)).await;
    assert_eq!(run(&harness, &["status", "--check"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_declared_dead_without_json_and_answers_have_a_severity() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let _engine = harness.spawn("engine");
    let (code, printed, note) = run(
        &harness,
        &[
            "host",
            "report-down",
            HOST,
            "--reason",
            "smoke in rack 7",
            "--yes",
        ],
    );
    assert_eq!(code, 0, "{printed}{note}");
    until("its instances to be back", LIMIT, async || {
        json(&harness, &["recovery", "show", HOST])["moves"]["succeeded"] == 2
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
    let (code, printed, _) = run(&harness, &["status", "--check", "-f", "json"]);
    let status: Value = serde_json::from_str(&printed).unwrap();
    let severity = ["ok", "warn", "err", "unknown"]
        .iter()
        .position(|grade| status["grade"] == **grade);
    assert_eq!(severity, usize::try_from(code).ok(), "{printed}");
    for finding in status["findings"].as_array().unwrap() {
        let grade = finding["grade"].as_str().unwrap();
        assert!(["info", "warn", "err", "unknown"].contains(&grade), "{finding}");
    }
    let (_, printed, _) = run(&harness, &["status", "-f", "yaml"]);
    assert!(printed.contains("\nfindings:\n"), "{printed}");
    for shell in ["bash", "zsh", "fish"] {
        let (code, printed, _) = Harness::command(&["completions", shell]);
        assert!(code == 0 && printed.contains("needs-person"), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_recovered_to_hosts_in_no_segment_are_shown() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    delete_host(&harness, "compute-002").await;
    let servers = harness.boot(HOST, 3);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let engine = harness.spawn("engine");
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    until("the versions to be reported", LIMIT, async || {
        let strangers = found(&harness, "HOST_NOT_IN_SEGMENT");
        strangers
            .iter()
            .any(|one| one["subjects"][0] == "compute-002" && one["instances"] == 3)
    })
    .await;
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn fence_off_shows_what_it_would_end_before_it_asks() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let conf = harness.conf();
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
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{printed}");
    let prompt_start = printed
        .find("to confirm: ")
        .unwrap_or_else(|| panic!("{printed}"));
    let before = &printed[..prompt_start];
    assert!(
        before.contains("power off compute-001: everything that runs on it stops."),
        "{printed}"
    );
    assert!(
        before.contains("shows it up, and has 3 instances on it."),
        "{printed}"
    );
    assert!(
        !before.contains("INFO") && !before.contains("WARN"),
        "no log before a question: {printed}"
    );
    assert!(
        !printed.contains("(R"),
        "no rule's number reaches an operator: {printed}"
    );
    assert!(printed.contains("nothing was done"), "{printed}");
    let region = harness.sandbox.region();
    assert_eq!(region.host(HOST).unwrap().servers, servers.len());
    let (code, _, stderr) = run(&harness, &["fence", "off", HOST, "--reason", "x"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("without confirmation: add --yes"), "{stderr}");
}

#[test]
fn the_fence_agents_print_how_to_call_them() {
    let (code, printed, stderr) = Harness::command(&["fence-agent", "--help"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(printed.contains("fence_maas"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_a_killed_engine_is_not_shown_any_more_once_another_runs_in_its_place() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let engine = harness.spawn("engine");
    until("the engine to sign", LIMIT, async || {
        found(&harness, "NO_ENGINE").is_empty()
    })
    .await;
    engine.kill();
    until_found(&harness, "NO_ENGINE").await;
    let _replacement = harness.spawn("engine");
    until("only the other one to be shown", LIMIT, async || {
        found(&harness, "NO_ENGINE").is_empty() && found(&harness, "ENGINE_SILENT").is_empty()
    })
    .await;
    let (_, text, _) = run(&harness, &["status"]);
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
    let version = || Harness::command(&["db", "version", "--config-file", conf]);
    let (code, printed, stderr) = version();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        printed.starts_with("no version yet: run `tachi db sync`\n"),
        "{printed}"
    );
    let (code, _, stderr) = Harness::command(&["db", "sync", "--config-file", conf]);
    assert_eq!(code, 0, "{stderr}");
    let (_, printed, _) = version();
    assert!(
        printed.starts_with('m') && !printed.contains("no version"),
        "{printed}"
    );

    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let (_, printed, _) = run(&harness, &["status"]);
    for wrong in ["1 hosts", "1 notifications", "1 instances"] {
        assert!(!printed.contains(wrong), "{wrong}: {printed}");
    }
    let text = std::fs::read_to_string(harness.conf()).unwrap();
    let bare = text.lines().filter(|line| !line.starts_with("maas_"));
    let bare: Vec<&str> = bare.collect();
    std::fs::write(harness.conf(), bare.join("\n")).unwrap();
    let engine = harness.spawn("engine");
    let log = harness.folder.path().join("engine.log");
    until("the engine to report its mode", LIMIT, async || {
        let log_text = std::fs::read_to_string(&log).unwrap();
        assert!(!log_text.contains("External"), "{log_text}");
        log_text.contains("no fence device is configured")
            && log_text.contains("mode=\"external\"")
            && log_text.contains("engine starts")
    })
    .await;
    drop(engine);
    let (code, printed, stderr) = run(&harness, &["config", "show"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        !printed.contains("compute:nova\n"),
        "a catalogue entry is shown completely: {printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_configuration_of_masakaris_begins_with_its_answer() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let text = std::fs::read_to_string(harness.conf()).unwrap();
    let masakaris = "[DEFAULT]\nmonkey_patch = true\nfatal_exception_format_errors = true\nos_system_scope = all\n\
                     instance_ports_retry = 3\n";
    std::fs::write(harness.conf(), text.replacen("[DEFAULT]\n", masakaris, 1)).unwrap();
    for arguments in [
        &["status"][..],
        &["recovery", "list"],
        &["fence", "check"],
        &["instance", "list", "--recovering"],
        &["db", "version"],
    ] {
        let (_, printed, note) = run(&harness, arguments);
        assert!(
            !printed.contains("no effect") && !note.contains("no effect"),
            "{arguments:?}: {note}{printed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_masakari_had_begun_shows_each_instance_once() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 4);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let region = harness.store.operator_journal().region().await.unwrap().remove(0);
    let host = region
        .hosts
        .into_iter()
        .map(|view| view.host)
        .find(|host| host.name == HOST)
        .unwrap();
    let notification = Uuid::new_v4();
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
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
    let _engine = harness.spawn("engine");
    harness.until_finished(notification.into(), LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    let rows = json(&harness, &["recovery", "list", "--all"]);
    let shown = json(
        &harness,
        &["recovery", "show", rows[0]["recovery"].as_str().unwrap()],
    );
    let count = servers.len();
    assert_eq!(shown["instances"].as_array().unwrap().len(), count, "{shown}");
    assert_eq!(shown["moves"]["total"], count, "{shown}");
    assert_eq!(rows[0]["moves"]["total"], count, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_on_living_hosts_make_no_segment_small() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _engine = harness.spawn("engine");
    until("Nova to be known", LIMIT, async || {
        ["NO_ENGINE", "FACTS_OLD"]
            .map(|code| found(&harness, code))
            .concat()
            .is_empty()
    })
    .await;
    for host in [HOST, "compute-002"] {
        harness.report(host).await;
    }
    until("both to be checked", LIMIT, async || {
        assert_eq!(found(&harness, "FEW_HOSTS"), Vec::<Value>::new());
        let rows = json(&harness, &["recovery", "list"]);
        let rows = rows.as_array().unwrap();
        rows.len() == 2 && rows.iter().all(|row| row["waits"]["for"].is_string())
    })
    .await;
    assert_eq!(found(&harness, "FEW_HOSTS"), Vec::<Value>::new());
    // Two dead engines are a finding of their own.
    let faults = harness.sandbox.region().faults();
    for host in [HOST, "compute-002"] {
        faults.power_loss(host).unwrap();
    }
    until_found(&harness, "FEW_HOSTS").await;
}
