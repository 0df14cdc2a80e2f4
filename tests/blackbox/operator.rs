//! An operator's views and actions, by the real binary: status, list, show, abort, retry, host return, log and metrics.

use std::time::Duration;

use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_engine::ports::{Hosts as _, OperatorJournal as _};
use tachi_sandbox::{ApiEffect, ApiFault};

use super::support::{Stage, json, quick_region, run, until, until_good};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn asked(stage: &Stage) -> u64 {
    stage.sandbox.region().requests().count("#evacuate")
}

/// Returns the sum of the series of `name` that have all of `labels`.
fn number(text: &str, name: &str, labels: &[&str]) -> f64 {
    text.lines()
        .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
        .filter(|line| matches!(line.as_bytes().get(name.len()), Some(b' ' | b'{')))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Covers EW27, EW35.
#[expect(clippy::too_many_lines, reason = "a story and a table of numbers")]
#[tokio::test(flavor = "multi_thread")]
async fn forty_instances_are_shown_in_about_ten_lines_and_counted() {
    let stage = Stage::set(quick_region(6)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 40);
    let port = tachi_testkit::free_port();
    let conf = std::fs::read_to_string(stage.conf()).unwrap();
    std::fs::write(
        stage.conf(),
        format!("{conf}\n[engine]\nmetrics_listen = 127.0.0.1:{port}\n"),
    )
    .unwrap();
    let engine = stage.spawn("engine");
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}"))
            .await
            .ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };
    until("the engine to be healthy", LIMIT, async || {
        get("/healthz").await == Some((200, "ok\n".to_owned()))
    })
    .await;
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    stage.until_finished(notification, LIMIT).await;
    stage.assert_each_exactly_once(&servers, HOST);

    let (code, text) = get("/metrics").await.unwrap();
    assert_eq!(code, 200);
    for (name, labels, least, most) in [
        ("tachi_engine_claims_total", &["how=\"first\""][..], 1.0, 1.0),
        ("tachi_engine_claims_lost_total", &[], 0.0, 0.0),
        ("tachi_engine_moves_total", &["status=\"succeeded\""], 40.0, 40.0),
        ("tachi_engine_moves_in_flight", &[], 0.0, 0.0),
        (
            "tachi_engine_recoveries",
            &["kind=\"host\"", "stage=\"returning\""],
            1.0,
            1.0,
        ),
        ("tachi_engine_recoveries", &["stage=\"moving\""], 0.0, 0.0),
        (
            "tachi_engine_recoveries_ended_total",
            &["status=\"finished\""],
            1.0,
            1.0,
        ),
        (
            "tachi_engine_stage_duration_seconds_count",
            &["stage=\"moving\""],
            1.0,
            1.0,
        ),
        (
            "tachi_engine_instance_downtime_seconds_count",
            &["ha_enabled="],
            1.0,
            40.0,
        ),
        (
            "tachi_engine_calls_total",
            &["call=\"evacuate\"", "result=\"ok\""],
            40.0,
            40.0,
        ),
        ("tachi_engine_commits_total", &["result=\"written\""], 8.0, 200.0),
        ("tachi_engine_commits_total", &["result=\"failed\""], 0.0, 0.0),
        ("tachi_engines_alive", &[], 1.0, 1.0),
        ("tachi_queue_age_seconds", &[], 0.0, 60.0),
    ] {
        let number = number(&text, name, labels);
        assert!(
            (least..=most).contains(&number),
            "{name} {labels:?} is {number}:\n{text}"
        );
    }
    for id in servers.iter().map(ToString::to_string).chain([HOST.to_owned()]) {
        assert!(!text.contains(&id), "labels have few values, and {id} is one");
    }
    drop(engine);

    let log = std::fs::read_to_string(stage.folder.path().join("engine.log")).unwrap();
    let recovery = stage.store.desk().recoveries(true).await.unwrap()[0]
        .id
        .to_string();
    let story: Vec<&str> = log.lines().filter(|line| line.contains(&recovery)).collect();
    assert!(
        (6..=12).contains(&story.len()),
        "{} lines:\n{}",
        story.len(),
        story.join("\n")
    );
    for (place, part) in [
        "claimed",
        "is reported down",
        "is off",
        "forced_down",
        "40 instances found",
        "40 instances moved",
    ]
    .iter()
    .enumerate()
    {
        assert!(
            story.iter().any(|line| line.contains(part)),
            "{place}: {part} is missing in:\n{log}"
        );
    }
    assert!(
        log.lines().count() <= story.len() + 8,
        "only changes are logged:\n{log}"
    );
    assert!(!log.contains("GET "), "no request is logged:\n{log}");
}

/// Covers R19.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_recovery_follows_what_is_in_flight_and_a_retry_moves_the_rest() {
    let stage = Stage::set(quick_region(6)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 20);
    // Few at a time, so that some are left when the engine reads the action.
    let conf = std::fs::read_to_string(stage.conf()).unwrap();
    let few = conf.replace("[recovery]\n", "[recovery]\nevacuations_in_flight = 4\n");
    assert_ne!(few, conf);
    std::fs::write(stage.conf(), few).unwrap();
    let region = stage.sandbox.region();
    region.tune(|settings| settings.rebuild_time = Duration::from_secs(10));
    region.faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    let engine = stage.spawn("engine");
    until("evacuations to be requested", LIMIT, async || asked(&stage) >= 1).await;
    let id = json(&stage, &["recovery", "list"])[0]["recovery"]
        .as_str()
        .unwrap()
        .to_owned();
    let (code, stdout, stderr) = run(
        &stage,
        &["recovery", "abort", &id, "--yes", "--reason", "wrong rack"],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("requested by"), "{stdout}");
    assert!(stderr.is_empty(), "an engine runs: {stderr}");
    let (code, _, stderr) = run(&stage, &["recovery", "retry", &id, "--yes", "--reason", "again"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no new attempt"), "{stderr}");

    until("the recovery to end", LIMIT, async || {
        stage.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let (_, message) = stage.status(notification).await;
    let message = message.unwrap();
    assert!(
        message.starts_with("aborted by ") && message.contains("wrong rack"),
        "{message}"
    );
    let now = asked(&stage);
    assert!(now < 20, "nothing new is started: {now}");
    region.tune(|settings| settings.rebuild_time = Duration::from_millis(500));
    for server in &servers {
        let server = region.server(*server).unwrap();
        assert!(!server.locked, "{} is left locked", server.name);
    }
    let shown = json(&stage, &["recovery", "show", &id]);
    assert_eq!(
        shown["moves"]["succeeded"], now,
        "what was in flight was followed: {shown}"
    );
    assert_eq!(shown["word"]["word"], "reject");
    assert!(!shown["proofs"].as_array().unwrap().is_empty());

    let failed = json(
        &stage,
        &[
            "recovery", "list", "--state", "failed", "--host", HOST, "--since", "1h",
        ],
    );
    assert_eq!(failed[0]["recovery"], id.as_str());
    let (code, stdout, stderr) = run(&stage, &["recovery", "retry", &id, "--yes", "--reason", "again"]);
    assert_eq!(code, 0, "{stderr}");
    let second = stdout
        .lines()
        .next()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let (code, stdout, stderr) = run(&stage, &["recovery", "show", &second, "--follow"]);
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    assert!(stdout.contains("another attempt at what recovery"), "{stdout}");
    assert!(
        stdout
            .trim_end()
            .lines()
            .last()
            .unwrap()
            .starts_with("finished: "),
        "{stdout}"
    );
    stage.assert_each_exactly_once(&servers, HOST);
    drop(engine);
}

/// Covers R12.
#[tokio::test(flavor = "multi_thread")]
async fn status_and_host_return_follow_a_host_from_its_failure_to_its_return_to_service() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, 3);
    let region = stage.sandbox.region();
    let nobody = json(&stage, &["status"]);
    assert_eq!(nobody["findings"][0]["code"], "NO_ENGINE", "{nobody}");
    assert_eq!(run(&stage, &["status", "--check"]).0, 2);
    region.faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    let (code, text, _) = run(&stage, &["host", "return", HOST, "--check"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("keep the host off"), "{text}");

    let engine = stage.spawn("engine");
    stage.until_finished(notification, LIMIT).await;
    stage.assert_each_exactly_once(&servers, HOST);
    let status = json(&stage, &["status"]);
    assert_eq!(status["engines"][0]["alive"], true, "{status}");
    assert_eq!(status["segments"][0]["hosts"][0]["why"], "recovery", "{status}");
    assert_eq!(status["segments"][0]["hosts"][0]["life"], "watching", "{status}");
    assert_a_part_is_told_alone(&stage).await;
    let (code, text, _) = run(&stage, &["host", "return", HOST]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "3 evacuations from the host are done and not closed",
        "rabbitmqctl purge_queue -p VHOST compute.compute-001",
        "openstack compute service set --enable compute-001 nova-compute",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    region.faults().purge_queue(HOST).unwrap();
    region.faults().power_on(HOST).unwrap();
    until_good("nothing to speak against the host", LIMIT, async || {
        let (code, told, stderr) = run(&stage, &["host", "return", HOST, "--check"]);
        (code == 0)
            .then_some(())
            .ok_or_else(|| format!("{code}: {told}{stderr}"))
    })
    .await;
    let (code, _, stderr) = run(&stage, &["host", "return", "compute-999"]);
    assert_eq!(code, 1, "{stderr}");
    let (code, table, stderr) = run(&stage, &["doctor", "--upgrade"]);
    assert_eq!(code, 1, "{table}{stderr}");
    assert!(table.contains("| Upgrade Check Results "), "{table}");
    let (_, told, _) = run(&stage, &["doctor", "--upgrade", "-f", "json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let checks = told["checks"].as_array().unwrap().iter();
    let warned: Vec<_> = checks
        .filter(|check| check["result"] != 0)
        .map(|check| &check["check"])
        .collect();
    assert_eq!(warned, ["Reporter Binding"], "{told}");
    drop(engine);
}

/// `tachi status` of a segment and of a host: findings of another host are neither shown nor counted.
async fn assert_a_part_is_told_alone(stage: &Stage) {
    until_good("the instances to be listed", LIMIT, async || {
        let told = json(stage, &["status", "all"]);
        let listed = told["instances"]["protected"].is_u64();
        listed.then_some(()).ok_or_else(|| told.to_string())
    })
    .await;
    let mut text = String::new();
    // UNPROTECTED until Nova's list, which is older than the recovery, shows the host down.
    until_good("the host to be shown in maintenance", LIMIT, async || {
        let (code, told, stderr) = run(stage, &["status", HOST]);
        let shown = code == 0 && told.contains(": DOWN  R.M..");
        text = told;
        shown
            .then_some(())
            .ok_or_else(|| format!("{code}: {text}{stderr}"))
    })
    .await;
    for part in [
        "host compute-001 (in segment all): DOWN  R.M..",
        "  ├─ nova ",
        "  ├─ state      in maintenance: recovered, not yet returned to service; not back yet",
        "  └─ instances  ",
        "! HOST_NOT_BACK  ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text, _) = run(stage, &["status", "all"]);
    for part in [
        "segment all (auto): ",
        "  ├─ compute-001  R.M..  nova ",
        "  └─ compute-004  .....  nova ● up ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (dead, living) = (
        json(stage, &["status", HOST]),
        json(stage, &["status", "host:compute-004"]),
    );
    let codes = |told: &Value| told["findings"].to_string();
    assert!(codes(&dead).contains("HOST_NOT_BACK"), "{dead}");
    assert!(!codes(&living).contains("HOST_NOT_BACK"), "{living}");
    assert_eq!(dead["part"], serde_json::json!({"kind": "host", "name": HOST}));
    assert_eq!(dead["recoveries"].as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!(living["recoveries"], serde_json::json!([]), "{living}");
    assert!(living["explanation"]["hosted"].is_array(), "{living}");
    let (code, _, stderr) = run(stage, &["status", "nobody", "--check"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("Segments: all. Hosts: compute-001, "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_with_no_engine_to_hear_it_says_so() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    stage.report(HOST).await;
    let id = stage.store.desk().recoveries(false).await.unwrap()[0]
        .id
        .to_string();
    let (code, _, stderr) = run(&stage, &["recovery", "abort", &id, "--yes", "--reason", "again"]);
    assert_eq!(code, 0);
    assert!(
        stderr.contains("no engine has sent a heartbeat lately"),
        "{stderr}"
    );
    let nobody = uuid::Uuid::nil().to_string();
    for (words, code, part) in [
        (
            ["recovery", "abort", nobody.as_str()],
            1,
            "no recovery has the id",
        ),
        (
            ["recovery", "retry", nobody.as_str()],
            1,
            "no recovery has the id",
        ),
        (["recovery", "show", nobody.as_str()], 1, "no recovery has the id"),
        (["recovery", "show", "no-id"], 1, "no recovery matches"),
        (["recovery", "list", "--since=never"], 2, "--since"),
    ] {
        let (got, stdout, stderr) = run(&stage, &words);
        assert_eq!(got, code, "{words:?}: {stdout}{stderr}");
        assert!(stderr.contains(part), "{words:?}: {stderr}");
    }
    let (code, table, _) = run(&stage, &["doctor", "--upgrade"]);
    assert_eq!(code, 1, "no engine is a warning: {table}");
    let empty = stage.folder.path().join("empty.conf");
    std::fs::write(
        &empty,
        format!("[DEFAULT]\nstate_path = {}/none\n", stage.folder.path().display()),
    )
    .unwrap();
    let empty = empty.to_str().unwrap();
    let (code, table, _) = Stage::command(&["doctor", "--upgrade", "--config-file", empty]);
    assert_eq!(code, 2, "{table}");
    assert!(table.contains("there is no database"), "{table}");
    let (code, _, stderr) = Stage::command(&["doctor", "--upgrade", "--config-file", "/nowhere/at-all.conf"]);
    assert_eq!(code, 255, "{stderr}");
}

/// Returns the subjects and texts of the findings of this code.
fn found(stage: &Stage, code: &str) -> String {
    let status = json(stage, &["status"]);
    let findings = status["findings"].as_array().unwrap().iter();
    let of_code = findings.filter(|one| one["code"] == code);
    let told: Vec<String> = of_code
        .map(|one| format!("{}{}", one["subjects"], one["text"]))
        .collect();
    told.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_status_tells_of_a_nova_that_is_away_and_of_hypervisors_that_nobody_watches() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let segment = stage.store.desk().region().await.unwrap().remove(0);
    let mut hosts = segment.hosts.into_iter().map(|view| view.host);
    let stranger = hosts.find(|host| host.name == "compute-004").unwrap();
    let deleted = stage
        .store
        .registry()
        .delete_host(segment.segment.id, stranger.id)
        .await;
    deleted.unwrap();
    let broken = ApiEffect::Status {
        status: 503,
        retry_after: None,
    };
    let region = stage.sandbox.region();
    region.api_faults().add(ApiFault::always("/compute", broken));
    let engine = stage.spawn("engine");
    until("status to show that Nova does not answer", LIMIT, async || {
        found(&stage, "NOVA_AWAY").contains("unreachable, and has never answered this engine")
    })
    .await;
    engine.kill();

    region.api_faults().clear();
    let _engine = stage.spawn("engine");
    until("status to name the hypervisor in no segment", LIMIT, async || {
        found(&stage, "HOST_NOT_IN_SEGMENT").contains("compute-004")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_is_named_by_its_host_or_by_the_beginning_of_its_id() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    stage.report(HOST).await;
    stage.report("compute-002").await;
    let rows = json(&stage, &["recovery", "list"]);
    let id_of = |host: &str| {
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["host"] == host).unwrap();
        row["recovery"].as_str().unwrap().to_owned()
    };
    let id = id_of(HOST);
    for named in [HOST, &id[..8], &id] {
        let shown = json(&stage, &["recovery", "show", named]);
        assert_eq!(shown["recovery"], id.as_str(), "{named}");
    }
    let (code, stdout, _) = run(
        &stage,
        &["recovery", "abort", "compute-002", "--yes", "--reason", "again"],
    );
    assert_eq!(code, 0, "{stdout}");
    let (code, _, stderr) = run(&stage, &["recovery", "show", "compute-009"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no recovery matches \"compute-009\""), "{stderr}");
}
