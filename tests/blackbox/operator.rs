//! An operator's views and actions, by the real binary: status, list, show, abort, retry, host return, log and metrics.

use std::time::Duration;

use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_engine::ports::{Hosts as _, OperatorJournal as _};
use tachi_sandbox::{ApiEffect, ApiFault};

use super::support::{Harness, json, quick_region, run, until, until_good};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn evacuations(harness: &Harness) -> u64 {
    harness.sandbox.region().requests().count("#evacuate")
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
    let harness = Harness::set(quick_region(6)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 40);
    let port = tachi_testkit::free_port();
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    std::fs::write(
        harness.conf(),
        format!("{conf}\n[engine]\nmetrics_listen = 127.0.0.1:{port}\n"),
    )
    .unwrap();
    let engine = harness.spawn("engine");
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
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);

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

    let log = std::fs::read_to_string(harness.folder.path().join("engine.log")).unwrap();
    let recovery = harness.store.operator_journal().recoveries(true).await.unwrap()[0]
        .id
        .to_string();
    let history: Vec<&str> = log.lines().filter(|line| line.contains(&recovery)).collect();
    assert!(
        (6..=12).contains(&history.len()),
        "{} lines:\n{}",
        history.len(),
        history.join("\n")
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
            history.iter().any(|line| line.contains(part)),
            "{place}: {part} is missing in:\n{log}"
        );
    }
    assert!(
        log.lines().count() <= history.len() + 8,
        "only changes are logged:\n{log}"
    );
    assert!(!log.contains("GET "), "no request is logged:\n{log}");
}

/// Covers R19.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_recovery_follows_what_is_in_flight_and_a_retry_moves_the_rest() {
    let harness = Harness::set(quick_region(6)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 20);
    // Few at a time, so that some are left when the engine reads the action.
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    let few = conf.replace("[recovery]\n", "[recovery]\nevacuations_in_flight = 4\n");
    assert_ne!(few, conf);
    std::fs::write(harness.conf(), few).unwrap();
    let region = harness.sandbox.region();
    region.tune(|settings| settings.rebuild_time = Duration::from_secs(10));
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.spawn("engine");
    until("evacuations to be requested", LIMIT, async || {
        evacuations(&harness) >= 1
    })
    .await;
    let id = json(&harness, &["recovery", "list"])[0]["recovery"]
        .as_str()
        .unwrap()
        .to_owned();
    let (code, stdout, stderr) = run(
        &harness,
        &["recovery", "abort", &id, "--yes", "--reason", "wrong rack"],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("requested by"), "{stdout}");
    assert!(stderr.is_empty(), "an engine runs: {stderr}");
    let (code, _, stderr) = run(
        &harness,
        &["recovery", "retry", &id, "--yes", "--reason", "again"],
    );
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no new attempt"), "{stderr}");

    until("the recovery to end", LIMIT, async || {
        harness.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let (_, message) = harness.status(notification).await;
    let message = message.unwrap();
    assert!(
        message.starts_with("aborted by ") && message.contains("wrong rack"),
        "{message}"
    );
    let now = evacuations(&harness);
    assert!(now < 20, "nothing new is started: {now}");
    region.tune(|settings| settings.rebuild_time = Duration::from_millis(500));
    for server in &servers {
        let server = region.server(*server).unwrap();
        assert!(!server.locked, "{} is left locked", server.name);
    }
    let shown = json(&harness, &["recovery", "show", &id]);
    assert_eq!(
        shown["moves"]["succeeded"], now,
        "what was in flight was followed: {shown}"
    );
    assert_eq!(shown["word"]["word"], "reject");
    assert!(!shown["proofs"].as_array().unwrap().is_empty());

    let failed = json(
        &harness,
        &[
            "recovery", "list", "--state", "failed", "--host", HOST, "--since", "1h",
        ],
    );
    assert_eq!(failed[0]["recovery"], id.as_str());
    let (code, stdout, stderr) = run(
        &harness,
        &["recovery", "retry", &id, "--yes", "--reason", "again"],
    );
    assert_eq!(code, 0, "{stderr}");
    let second = stdout
        .lines()
        .next()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let (code, stdout, stderr) = run(&harness, &["recovery", "show", &second, "--follow"]);
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
    harness.assert_each_exactly_once(&servers, HOST);
    drop(engine);
}

/// Covers R12.
#[tokio::test(flavor = "multi_thread")]
async fn status_and_host_return_follow_a_host_from_its_failure_to_its_return_to_service() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    let nobody = json(&harness, &["status"]);
    assert_eq!(nobody["findings"][0]["code"], "NO_ENGINE", "{nobody}");
    assert_eq!(run(&harness, &["status", "--check"]).0, 2);
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let (code, text, _) = run(&harness, &["host", "return", HOST, "--check"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("keep the host off"), "{text}");

    let engine = harness.spawn("engine");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    let status = json(&harness, &["status"]);
    assert_eq!(status["engines"][0]["alive"], true, "{status}");
    assert_eq!(status["segments"][0]["hosts"][0]["why"], "recovery", "{status}");
    assert_eq!(status["segments"][0]["hosts"][0]["life"], "watching", "{status}");
    assert_part_alone(&harness).await;
    let (code, text, _) = run(&harness, &["host", "return", HOST]);
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
        let (code, printed, stderr) = run(&harness, &["host", "return", HOST, "--check"]);
        (code == 0)
            .then_some(())
            .ok_or_else(|| format!("{code}: {printed}{stderr}"))
    })
    .await;
    let (code, _, stderr) = run(&harness, &["host", "return", "compute-999"]);
    assert_eq!(code, 1, "{stderr}");
    let (code, table, stderr) = run(&harness, &["doctor", "--upgrade"]);
    assert_eq!(code, 1, "{table}{stderr}");
    assert!(table.contains("| Upgrade Check Results "), "{table}");
    let (_, printed, _) = run(&harness, &["doctor", "--upgrade", "-f", "json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let checks = printed["checks"].as_array().unwrap().iter();
    let warned: Vec<_> = checks
        .filter(|check| check["result"] != 0)
        .map(|check| &check["check"])
        .collect();
    assert_eq!(warned, ["Reporter Binding"], "{printed}");
    drop(engine);
}

/// `tachi status` of a segment and of a host: findings of another host are neither shown nor counted.
async fn assert_part_alone(harness: &Harness) {
    until_good("the instances to be listed", LIMIT, async || {
        let printed = json(harness, &["status", "all"]);
        let listed = printed["instances"]["protected"].is_u64();
        listed.then_some(()).ok_or_else(|| printed.to_string())
    })
    .await;
    let mut text = String::new();
    // UNPROTECTED until Nova's list, which is older than the recovery, shows the host down.
    until_good("the host to be shown in maintenance", LIMIT, async || {
        let (code, printed, stderr) = run(harness, &["status", HOST]);
        let shown = code == 0 && printed.contains(": DOWN  R.M..");
        text = printed;
        shown
            .then_some(())
            .ok_or_else(|| format!("{code}: {text}{stderr}"))
    })
    .await;
    for part in [
        "host compute-001 (in segment all): DOWN  R.M..",
        "  ├─ nova ",
        "  ├─ state      in maintenance: recovered, not yet returned to service (`tachi host return compute-001`)",
        "  └─ instances  ",
        "! HOST_NOT_BACK  ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text, _) = run(harness, &["status", "all"]);
    for part in [
        "segment all (auto): ",
        "  ├─ compute-001  R.M..  nova ",
        "  └─ compute-004  .....  nova ● up ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (dead, living) = (
        json(harness, &["status", HOST]),
        json(harness, &["status", "host:compute-004"]),
    );
    let codes = |printed: &Value| printed["findings"].to_string();
    assert!(codes(&dead).contains("HOST_NOT_BACK"), "{dead}");
    assert!(!codes(&living).contains("HOST_NOT_BACK"), "{living}");
    assert_eq!(dead["part"], serde_json::json!({"kind": "host", "name": HOST}));
    assert_eq!(dead["recoveries"].as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!(living["recoveries"], serde_json::json!([]), "{living}");
    assert!(living["explanation"]["hosted"].is_array(), "{living}");
    let (code, _, stderr) = run(harness, &["status", "nobody", "--check"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("Segments: all. Hosts: compute-001, "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_a_running_engine_is_answered_with_that() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.report(HOST).await;
    let id = harness.store.operator_journal().recoveries(false).await.unwrap()[0]
        .id
        .to_string();
    let (code, _, stderr) = run(
        &harness,
        &["recovery", "abort", &id, "--yes", "--reason", "again"],
    );
    assert_eq!(code, 0);
    assert!(
        stderr.contains("no engine has sent a heartbeat recently"),
        "{stderr}"
    );
    let nobody = uuid::Uuid::nil().to_string();
    for (arguments, code, part) in [
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
        let (got, stdout, stderr) = run(&harness, &arguments);
        assert_eq!(got, code, "{arguments:?}: {stdout}{stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let (code, table, _) = run(&harness, &["doctor", "--upgrade"]);
    assert_eq!(code, 1, "no engine is a warning: {table}");
    let empty = harness.folder.path().join("empty.conf");
    std::fs::write(
        &empty,
        format!(
            "[DEFAULT]\nstate_path = {}/none\n",
            harness.folder.path().display()
        ),
    )
    .unwrap();
    let empty = empty.to_str().unwrap();
    let (code, table, _) = Harness::command(&["doctor", "--upgrade", "--config-file", empty]);
    assert_eq!(code, 2, "{table}");
    assert!(table.contains("there is no database"), "{table}");
    let (code, _, stderr) =
        Harness::command(&["doctor", "--upgrade", "--config-file", "/nowhere/at-all.conf"]);
    assert_eq!(code, 255, "{stderr}");
}

/// Returns the subjects and texts of the findings of this code.
fn found(harness: &Harness, code: &str) -> String {
    let status = json(harness, &["status"]);
    let findings = status["findings"].as_array().unwrap().iter();
    let of_code = findings.filter(|finding| finding["code"] == code);
    let printed: Vec<String> = of_code
        .map(|one| format!("{}{}", one["subjects"], one["text"]))
        .collect();
    printed.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_status_shows_an_unreachable_nova_and_hypervisors_without_a_monitor() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let segment = harness.store.operator_journal().region().await.unwrap().remove(0);
    let mut hosts = segment.hosts.into_iter().map(|view| view.host);
    let stranger = hosts.find(|host| host.name == "compute-004").unwrap();
    let deleted = harness
        .store
        .registry()
        .delete_host(segment.segment.id, stranger.id)
        .await;
    deleted.unwrap();
    let broken = ApiEffect::Status {
        status: 503,
        retry_after: None,
    };
    let region = harness.sandbox.region();
    region.api_faults().add(ApiFault::always("/compute", broken));
    let engine = harness.spawn("engine");
    until("status to show that Nova does not answer", LIMIT, async || {
        found(&harness, "NOVA_AWAY").contains("unreachable, and has never answered this engine")
    })
    .await;
    engine.kill();

    region.api_faults().clear();
    let _engine = harness.spawn("engine");
    until("status to name the hypervisor in no segment", LIMIT, async || {
        found(&harness, "HOST_NOT_IN_SEGMENT").contains("compute-004")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_is_named_by_its_host_or_by_the_beginning_of_its_id() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.report(HOST).await;
    harness.report("compute-002").await;
    let rows = json(&harness, &["recovery", "list"]);
    let id_of = |host: &str| {
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["host"] == host).unwrap();
        row["recovery"].as_str().unwrap().to_owned()
    };
    let id = id_of(HOST);
    for named in [HOST, &id[..8], &id] {
        let shown = json(&harness, &["recovery", "show", named]);
        assert_eq!(shown["recovery"], id.as_str(), "{named}");
    }
    let (code, stdout, _) = run(
        &harness,
        &["recovery", "abort", "compute-002", "--yes", "--reason", "again"],
    );
    assert_eq!(code, 0, "{stdout}");
    let (code, _, stderr) = run(&harness, &["recovery", "show", "compute-009"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no recovery matches \"compute-009\""), "{stderr}");
}
