//! Invariants of every fencing under load: one order for any number of reports, bounded concurrent commands, and no secret in any output.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tachi_domain::ApprovedWait;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::OperatorCommand;
use tachi_engine::ports::OperatorJournal as _;
use tachi_sandbox::{ApiEffect, ApiFault, PowerQuery};

use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Covers ROW12.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_monitors_report_one_host_and_it_is_one_episode_with_one_order() {
    let harness = Harness::set(quick_region(6)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 4);
    harness.sandbox.region().faults().link_loss(HOST).unwrap();
    let process = harness.spawn("api");
    let api = harness.api().await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let reports = (0..20).map(|second| {
        // Each has its own time of observation, and half of them do not know yet that it was fenced.
        let body = json!({ "notification": {
            "type": "COMPUTE_HOST",
            "hostname": HOST,
            "generated_time": format!("2026-11-20T08:00:{second:02}"),
            "payload": {
                "event": "STOPPED",
                "host_status": if second % 2 == 0 { "NORMAL" } else { "UNKNOWN" },
                "cluster_status": "OFFLINE",
            },
        }});
        let api = &api;
        async move { api.post("/notifications", &body).await }
    });
    let answers = futures_util::future::join_all(reports).await;
    let accepted: Vec<_> = answers.iter().filter(|(status, _)| *status == 202).collect();
    let refused = answers.iter().filter(|(status, _)| *status == 409).count();
    assert_eq!((accepted.len() + refused, answers.len()), (20, 20), "{answers:?}");
    assert!(!accepted.is_empty());
    until("every report to be settled", LIMIT, async || {
        let rows = api.get("/notifications").await;
        let rows = rows["notifications"].as_array().unwrap();
        rows.iter()
            .all(|row| ["finished", "ignored"].contains(&row["status"].as_str().unwrap()))
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
    let requests = harness.sandbox.region().requests();
    assert_eq!(requests.count("POST /MAAS"), 1, "{:?}", requests.counts());
    assert_eq!(
        harness
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        1
    );
    engine.stop().await;
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_hosts_at_once_are_fenced_four_at_a_time_and_only_as_many_as_the_guards_let() {
    const LOST: usize = 40;
    let harness = Harness::set(quick_region(200)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    // Power controllers take their time.
    let slow = ApiEffect::Delay { millis: 100 };
    region.api_faults().add(ApiFault::always("/MAAS", slow));
    let mut lost = Vec::new();
    for number in 1..=LOST {
        let host = format!("compute-{number:03}");
        let servers = harness.boot(&host, 1);
        region.faults().link_loss(&host).unwrap();
        lost.push((host, servers));
    }
    let mut notifications = Vec::new();
    for (host, _) in &lost {
        notifications.push(harness.report(host).await);
    }
    let requests = region.requests();
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let mut waiting = Vec::new();
    until("all but three to wait", LIMIT, async || {
        waiting.clear();
        for notification in &notifications {
            let (status, message) = harness.status(*notification).await;
            if status == NotificationStatus::Running
                && message.is_some_and(|text| text.starts_with("waiting for G6 rate"))
            {
                waiting.push(*notification);
            }
        }
        waiting.len() == LOST - 3
    })
    .await;
    // They are counted once they are answered.
    until("three to be ordered off", LIMIT, async || {
        requests.count("POST /MAAS") >= 3
    })
    .await;
    assert_eq!(requests.count("POST /MAAS"), 3, "{:?}", requests.counts());
    for recovery in harness.store.operator_journal().recoveries(false).await.unwrap() {
        if waiting.contains(&recovery.notification) {
            harness
                .store
                .operator_journal()
                .submit(
                    recovery.id,
                    OperatorCommand::Approve,
                    &ApprovedWait::Current,
                    "test",
                )
                .await
                .unwrap();
        }
    }
    for notification in notifications {
        harness.until_finished(notification, LIMIT).await;
    }
    for (host, servers) in &lost {
        harness.assert_each_exactly_once(servers, host);
    }
    assert_eq!(requests.count("POST /MAAS"), 40, "each is ordered off once");
    let (commands, calls) = (
        requests.most_at_once("POST /MAAS"),
        requests.most_at_once("/MAAS"),
    );
    println!("40 hosts at once: {commands} power commands and {calls} calls of one MAAS at the same moment");
    assert!((2..=4).contains(&commands), "{commands} commands at once");
    assert!(calls <= 16, "{calls} calls at once");
    engine.stop().await;
}

/// Collects every readable file: name and text.
fn collected(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            collected(&path, into);
        } else if !["tachi.conf", "maas.key"].contains(&name) && path.is_file() {
            into.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// Covers I9.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_log_an_answer_an_argument_a_row_or_anything_that_is_printed() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let loud = harness.folder.path().join("loud.conf");
    std::fs::write(
        &loud,
        "[DEFAULT]\ndebug = true\n[fencing]\nself_test_interval = 1\n",
    )
    .unwrap();
    let region = harness.sandbox.region();
    // Errors have long texts, in which secrets could leak.
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 403 })
        .unwrap();
    region.faults().link_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let processes = [
        harness.spawn_with("engine", std::slice::from_ref(&loud)),
        harness.spawn_with("api", std::slice::from_ref(&loud)),
    ];
    until("it to be held", LIMIT, async || {
        let (_, message) = harness.status(notification).await;
        message.is_some_and(|text| text.starts_with("on hold: "))
    })
    .await;
    let mut texts = Vec::new();
    let conf = harness.conf();
    let mut commanded = |arguments: &[&str]| {
        let args: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--config-file", conf.to_str().unwrap()])
            .collect();
        let (_, out, err) = tokio::task::block_in_place(|| Harness::command(&args));
        assert!(!out.is_empty() || !err.is_empty(), "{arguments:?} prints nothing");
        texts.push((arguments.join(" "), format!("{out}{err}").into_bytes()));
    };
    let recovery = harness.store.operator_journal().recoveries(false).await.unwrap()[0]
        .id
        .to_string();
    for arguments in [
        ["fence", "status", HOST].as_slice(),
        &["fence", "test", HOST],
        &["fence", "check", "--all"],
        &["fence", "off", HOST, "--yes", "--reason", "x"],
        &["recovery", "show", &recovery],
        &["config", "show"],
    ] {
        commanded(arguments);
    }
    region.faults().maas_query(HOST, PowerQuery::Truth).unwrap();
    let id = harness.store.operator_journal().recoveries(false).await.unwrap()[0].id;
    harness
        .store
        .operator_journal()
        .submit(id, OperatorCommand::Approve, &ApprovedWait::Current, "test")
        .await
        .unwrap();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    for arguments in [
        ["audit", "show"].as_slice(),
        &["recovery", "show", &recovery],
        &["recovery", "list", "--all"],
        &["status"],
    ] {
        commanded(arguments);
    }
    let api = harness.api().await;
    for path in [
        "/notifications".to_owned(),
        format!("/notifications/{notification}"),
        "/segments".into(),
    ] {
        let answer = api.get(&path).await;
        texts.push((path, answer.to_string().into_bytes()));
    }
    for process in &processes {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{file}", process.id());
            let text = std::fs::read(&path).unwrap();
            texts.push((path, text));
        }
    }
    drop(processes);
    collected(harness.folder.path(), &mut texts);
    // One of several concurrent processes has the audit log of that name, and the others `fencing-audit.2.jsonl` and so on.
    for name in ["/engine.log", "/api.log", "/fencing-audit."] {
        let is_named = |(path, text): &(String, Vec<u8>)| path.contains(name) && text.len() > 100;
        assert!(texts.iter().any(is_named), "{name} was checked");
    }
    assert_none_is_shown(&harness, &texts);
}

/// Asserts that no text contains a password or a part of MAAS's key.
fn assert_none_is_shown(harness: &Harness, texts: &[(String, Vec<u8>)]) {
    let key = harness.sandbox.maas_api_key();
    let passwords = [
        harness.sandbox.credentials().password,
        harness.sandbox.credentials_of("masakari", "service").password,
    ];
    let secrets: Vec<&str> = key
        .split(':')
        .chain(passwords.iter().map(String::as_str))
        .filter(|secret| secret.len() > 5)
        .collect();
    assert!(secrets.len() >= 4, "there is something to look for");
    for (place, text) in texts {
        for secret in &secrets {
            let found = text.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "a secret is in {place}");
        }
    }
}
