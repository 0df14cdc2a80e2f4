//! Freezes, by the real binary: frozen objects are neither fenced nor moved, and no report is lost afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tachi_domain::Timestamp;
use tachi_engine::ports::engine_registry::EngineHeartbeat;
use tachi_engine::ports::{EngineRegistry as _, OperatorJournal as _};

use super::processes::stop_between_transactions;
use super::support::{Harness, json as printed, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Counts the evacuation requests and the power commands.
fn acts(harness: &Harness) -> [usize; 2] {
    let requests = harness.sandbox.region().requests();
    ["#evacuate", "POST /MAAS"].map(|what| usize::try_from(requests.count(what)).unwrap())
}

async fn until_engine_heartbeat(harness: &Harness) {
    until("an engine to sign", LIMIT, async || {
        let status = printed(harness, &["status"]);
        let all = status["engines"].as_array().unwrap();
        all.iter()
            .any(|one| one["alive"] == true && one["facts"]["freezes"].is_string())
    })
    .await;
}

fn waits_for(harness: &Harness) -> Value {
    printed(harness, &["recovery", "list"])[0]["waits"]["for"].clone()
}

/// Waits for this number of further heartbeats of the recovery.
async fn beats(harness: &Harness, more: u64) {
    let beat = async || {
        let id = harness.store.operator_journal().recoveries(false).await.unwrap()[0].id;
        harness
            .store
            .operator_journal()
            .history(id)
            .await
            .unwrap()
            .unwrap()
            .beat
    };
    let first = beat().await;
    until("the recovery's beats", LIMIT, async || {
        beat().await >= first + more
    })
    .await;
}

fn findings(harness: &Harness) -> Vec<Value> {
    let status = printed(harness, &["status"]);
    let all = status["findings"].as_array().unwrap().iter();
    all.filter(|one| one["code"] == "FROZEN").cloned().collect()
}

async fn sql(harness: &Harness, text: &str) {
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    db.execute_unprepared(text).await.unwrap();
}

/// Invalid arguments change nothing, and the error shows what to write.
fn refused(harness: &Harness) {
    let reason = ["--reason", "firmware"];
    let with = |arguments: &[&'static str]| [arguments, &reason].concat();
    for (arguments, code, why) in [
        (with(&["freeze", "host", HOST]), 2, "--for"),
        (vec!["freeze", "host", HOST, "--for", "2h"], 2, "--reason"),
        (with(&["freeze", "host", HOST, "--for", "2"]), 2, "write 45m"),
        (
            with(&["freeze", "host", HOST, "--for", "25h"]),
            2,
            "the maximum is 24h, or add --force",
        ),
        (
            with(&["freeze", "host", HOST, "--for", "31d", "--force"]),
            2,
            "the maximum is 30d",
        ),
        (with(&["freeze", "host", HOST, "--for", "30s"]), 2, "too short"),
        (
            with(&["freeze", "host", "compute-999", "--for", "2h"]),
            1,
            "no host has the name \"compute-999\"",
        ),
        (
            with(&["freeze", "host", "x\u{1b}[2J", "--for", "2h"]),
            1,
            "no host has the name",
        ),
        (
            with(&["freeze", "segment", "nowhere", "--for", "2h"]),
            1,
            "no segment has the name",
        ),
        (
            with(&["freeze", "instance", "nobody", "--for", "2h"]),
            1,
            "no instance has the name",
        ),
        (
            vec!["freeze", "host", HOST, "--for", "2h", "--reason", "two\nlines"],
            2,
            "one line",
        ),
        (vec!["thaw", "host", HOST], 1, "no frozen host has the name"),
        (vec!["thaw", "region"], 1, "the region is not frozen"),
    ] {
        let (got, stdout, stderr) = run(harness, &arguments);
        assert_eq!(got, code, "{arguments:?}: {stdout}{stderr}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
        assert!(!stderr.contains('\u{1b}'), "{arguments:?}: {stderr}");
    }
    assert_eq!(printed(harness, &["freeze", "list"]), json!([]));
}

#[expect(clippy::too_many_lines, reason = "a story")]
#[tokio::test(flavor = "multi_thread")]
async fn operator_a_frozen_host_that_dies_is_left_alone_and_recovered_when_it_thaws() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let engine = harness.spawn("engine");
    until_engine_heartbeat(&harness).await;
    refused(&harness);

    // An engine that is too old for freezes.
    let old = EngineHeartbeat {
        name: "ctl-9:1:old".into(),
        version: "0.8.0".into(),
        started_at: Timestamp::from_micros(1),
        facts: BTreeMap::new(),
    };
    harness.store.engine_registry().heartbeat(&old).await.unwrap();
    let freeze = ["freeze", "host", HOST, "--for", "2h", "--reason", "firmware"];
    let (code, _, stderr) = run(&harness, &freeze);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("ctl-9:1:old (version 0.8.0) would ignore the freeze"),
        "{stderr}"
    );
    assert_eq!(printed(&harness, &["freeze", "list"]), json!([]));
    harness
        .store
        .engine_registry()
        .deregister(&old.name)
        .await
        .unwrap();

    let (code, stdout, stderr) = run(&harness, &freeze);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.starts_with("host compute-001 is frozen until "),
        "{stdout}"
    );
    assert!(stdout.contains("(2 h): no fencing, no evacuation"), "{stdout}");
    assert!(
        stdout.contains("or ends by `tachi thaw host compute-001`"),
        "{stdout}"
    );
    let list = printed(&harness, &["freeze", "list"]);
    assert_eq!(list[0]["name"], HOST, "{list}");
    assert_eq!(list[0]["reason"], "firmware", "{list}");
    let shorter = ["freeze", "host", HOST, "--for", "1h", "--reason", "mine"];
    let (code, _, stderr) = run(&harness, &shorter);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("which covers more than this"), "{stderr}");

    // It dies, with its power on.
    let region = harness.sandbox.region();
    region.faults().link_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    until("the recovery to wait", LIMIT, async || {
        waits_for(&harness) == "frozen"
    })
    .await;
    beats(&harness, 4).await;
    // The engine that takes over observes it too, and an operator's action does not end it.
    engine.kill();
    let engine = harness.spawn("engine");
    let (code, _, stderr) = run(&harness, &["recovery", "approve", HOST, "--yes", "--reason", "x"]);
    assert_eq!(code, 0, "{stderr}");
    beats(&harness, 4).await;
    assert_eq!(waits_for(&harness), "frozen");
    assert_eq!(acts(&harness), [0, 0], "nothing is fenced nor moved");
    let (_, message) = harness.status(notification).await;
    let message = message.unwrap();
    assert!(
        message.contains("frozen: host compute-001 is frozen until"),
        "{message}"
    );
    let found = findings(&harness);
    assert_eq!(found[0]["subjects"], json!([HOST]), "{found:?}");
    assert_eq!(found[0]["fix"], "tachi thaw host compute-001");
    assert_eq!(found[0]["grade"], "warn");
    let (_, explained, _) = run(&harness, &["show", HOST]);
    assert!(explained.contains("FROZEN"), "{explained}");
    harness.store.engine_registry().heartbeat(&old).await.unwrap();
    assert_eq!(
        findings(&harness)[0]["grade"],
        "err",
        "one that does not keep it has come"
    );
    harness
        .store
        .engine_registry()
        .deregister(&old.name)
        .await
        .unwrap();

    let (code, stdout, stderr) = run(&harness, &["thaw", "host", HOST]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.starts_with("host compute-001 is thawed, 1 h 5"),
        "{stdout}"
    );
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    assert!(acts(&harness)[1] > 0, "it was on, and was powered off");
    assert_eq!(findings(&harness), Vec::<Value>::new());
    let audit = std::fs::read_dir(harness.folder.path()).unwrap();
    let lines: String = audit
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for action in ["freeze", "thaw"] {
        let of = |phase: &str| {
            let (action, phase) = (
                format!("\"action\":\"{action}\""),
                format!("\"phase\":\"{phase}\""),
            );
            lines
                .lines()
                .filter(|line| line.contains(&action) && line.contains(&phase))
                .count()
        };
        // The table refused the shorter one, after its intent.
        let expected = if action == "freeze" { [2, 2] } else { [1, 1] };
        assert_eq!(["intent", "outcome"].map(of), expected, "{action}: {lines}");
    }
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_a_freeze_ends_by_its_time_with_no_engine_there_and_holds_nothing_that_has_begun() {
    let harness = Harness::set(quick_region(10)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let others = harness.boot("compute-002", 2);
    let engine = harness.spawn("engine");
    until_engine_heartbeat(&harness).await;
    let (code, stdout, stderr) = run(
        &harness,
        &["freeze", "region", "--for", "1h", "--reason", "a switch"],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("everything is frozen until "), "{stdout}");
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    until("the recovery to wait", LIMIT, async || {
        waits_for(&harness) == "frozen"
    })
    .await;
    engine.kill();
    assert_eq!(acts(&harness), [0, 0]);
    // As if the hour had passed.
    sql(&harness, "UPDATE tachi_freeze SET until_at = since").await;
    let engine = harness.spawn("engine");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    let log = harness.folder.path().join("engine.log");
    until("its end to be reported", LIMIT, async || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("freeze expired") && text.contains("freeze=everything")
    })
    .await;

    // A recovery that watches for the host's return reads the freeze too.
    let arguments = ["freeze", "region", "--for", "5m", "--reason", "again"];
    let (code, stdout, stderr) = run(&harness, &arguments);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("compute-001 was recovered before")
            && stdout.contains("neither powered on nor enabled"),
        "{stdout}"
    );
    let (code, _, stderr) = run(&harness, &["thaw", "region"]);
    assert_eq!(code, 0, "{stderr}");

    // Another host is frozen during its recovery: the answer shows that, and the recovery continues.
    region.tune(|settings| settings.rebuild_time = Duration::from_secs(8));
    region.faults().power_loss("compute-002").unwrap();
    let notification = harness.report("compute-002").await;
    let before = acts(&harness)[0];
    until("an evacuation", LIMIT, async || acts(&harness)[0] > before).await;
    let arguments = [
        "freeze",
        "host",
        "compute-002",
        "--for",
        "1h",
        "--reason",
        "too late",
    ];
    let (code, stdout, stderr) = run(&harness, &arguments);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("BUT recovery ") && stdout.contains("had started before"),
        "{stdout}"
    );
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&others, "compute-002");

    // A stopped engine has not read the freeze, and the operator's answer shows that.
    region.tune(|settings| settings.rebuild_time = Duration::from_millis(500));
    stop_between_transactions(&harness, &engine).await;
    let arguments = [
        "freeze",
        "host",
        "compute-002",
        "--for",
        "2h",
        "--reason",
        "again",
    ];
    let (code, _, stderr) = run(&harness, &arguments);
    engine.signal(rustix::process::Signal::CONT);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("have not applied the freeze within 20 s"),
        "{stderr}"
    );
    assert!(stderr.contains("waiting until the engines"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_freeze_tells_its_end_ten_minutes_before_and_ends_early_when_a_second_host_is_out() {
    let harness = Harness::set(quick_region(10)).await;
    harness.protect().await;
    let servers = [harness.boot(HOST, 2), harness.boot("compute-002", 2)];
    let _engine = harness.spawn("engine");
    until_engine_heartbeat(&harness).await;
    let arguments = [
        "freeze",
        "host",
        HOST,
        "--for",
        "1h",
        "--reason",
        "work",
        "--unless-worse",
    ];
    let (code, _, stderr) = run(&harness, &arguments);
    assert_eq!(code, 0, "{stderr}");
    // As if 51 minutes had passed.
    sql(
        &harness,
        "UPDATE tachi_freeze SET until_at = until_at - 3060000000",
    )
    .await;
    let log = harness.folder.path().join("engine.log");
    until("the coming end to be reported", LIMIT, async || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("freeze expires soon") && text.contains("freeze=host compute-001 left=8 min")
    })
    .await;
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    let first = harness.report(HOST).await;
    until("the recovery to wait", LIMIT, async || {
        waits_for(&harness) == "frozen"
    })
    .await;
    beats(&harness, 3).await;
    assert_eq!(acts(&harness), [0, 0]);
    assert_eq!(
        printed(&harness, &["freeze", "list"]).as_array().unwrap().len(),
        1
    );
    region.faults().power_loss("compute-002").unwrap();
    let second = harness.report("compute-002").await;
    for notification in [first, second] {
        harness.until_finished(notification, LIMIT).await;
    }
    for (servers, host) in servers.iter().zip([HOST, "compute-002"]) {
        harness.assert_each_exactly_once(servers, host);
    }
    assert_eq!(printed(&harness, &["freeze", "list"]), json!([]));
}
