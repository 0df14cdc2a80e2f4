//! An operator's resolution of one instance, by the real binary.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_sandbox::{MigrationKind, MoveFault, MoveFaultRule};

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn moves(harness: &Harness) -> Vec<Value> {
    json(harness, &["instance", "list", "--recovering"])
        .as_array()
        .unwrap()
        .clone()
}

/// True if the recovery's history has this text about an action.
fn has_logged(harness: &Harness, part: &str) -> bool {
    let all = json(harness, &["recovery", "list", "--all"]);
    let history = json(
        harness,
        &["recovery", "show", all[0]["recovery"].as_str().unwrap()],
    );
    let steps = history["steps"].as_array().unwrap().iter();
    let mut texts = steps.map(|step| step["text"].as_str().unwrap());
    texts.any(|text| text.contains(part) && !text.contains("not done"))
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_success_is_taken_where_nova_shows_the_instance_and_it_is_not_started_a_second_time() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let id = server.to_string();
    let region = harness.sandbox.region();
    // Its guest has arrived there, but its migration record will never show that.
    let there = "compute-002";
    region
        .faults()
        .half_move(server, there, MigrationKind::LiveMigration, true)
        .unwrap();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let _engine = harness.spawn("engine");
    until("the instance to be held", LIMIT, async || {
        moves(&harness).iter().any(|row| row["waits"]["for"] == "record")
    })
    .await;
    let arguments = ["vmove", "recover", &id, "--success", "--on", there];
    until("an engine to have seen where Nova shows it", LIMIT, async || {
        let (code, _, stderr) = run(&harness, &arguments);
        code == 1 && stderr.contains("nothing was written: Nova showed")
    })
    .await;
    region.operator().correct_host(server, there).unwrap();
    until("the word to be taken", LIMIT, async || {
        run(&harness, &arguments).0 == 0
    })
    .await;
    harness.until_finished(notification, LIMIT).await;
    assert!(
        has_logged(&harness, "running-on compute-002 requested for"),
        "the history shows who did it"
    );
    let shown = region.server(server).unwrap();
    assert_eq!(shown.host.as_deref(), Some(there));
    assert!(!shown.locked, "{:?}", shown.locked_reason);
    assert_eq!(region.ledger().double_runs, 0);
    let migrations = region.migrations(server).into_iter();
    assert_eq!(
        migrations
            .filter(|record| record.kind == MigrationKind::Evacuation)
            .count(),
        0
    );
}

/// The operator is not asked for a reason or a confirmation that would be in vain.
#[tokio::test(flavor = "multi_thread")]
async fn operator_an_unknown_instance_is_refused_before_a_confirmation_is_asked_for() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let unknown = ["instance", "resolve", "nobody", "--not-running-on", HOST];
    for more in [&[][..], &["--reason", "x"], &["--reason", "x", "--yes"]] {
        let (code, printed, stderr) = run(&harness, &[&unknown[..], more].concat());
        assert_eq!((code, printed.as_str()), (1, ""), "{more:?}: {stderr}");
        assert!(
            stderr.contains("no open recovery has an instance \"nobody\""),
            "{more:?}: {stderr}"
        );
        assert!(
            !stderr.contains("--yes") && !stderr.contains("--reason"),
            "{more:?}: {stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_retry_asks_for_an_instance_again_at_once_and_it_comes_back() {
    let harness = Harness::set(quick_region(4)).await;
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    // Longer than this test, so that nothing is given up meanwhile.
    std::fs::write(
        &conf,
        text.replace("evacuation_retry_time = 0", "evacuation_retry_time = 3600"),
    )
    .unwrap();
    harness.protect().await;
    let servers = harness.boot(HOST, 1);
    let id = servers[0].to_string();
    let region = harness.sandbox.region();
    region
        .faults()
        .add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost));
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let _engine = harness.spawn("engine");
    let failed = |times: usize| {
        let records = region.migrations(servers[0]);
        records
            .iter()
            .filter(|record| record.status.as_str() == "error")
            .count()
            >= times
    };
    // By then its pauses between attempts have become long.
    until("Nova to fail it again and again", LIMIT, async || failed(4)).await;
    region.faults().clear_faults();
    // While Nova works on it the action is refused, so it is repeated until it is accepted.
    until("the engine to read the action", LIMIT, async || {
        let (code, _, stderr) = run(&harness, &["vmove", "recover", &id, "--retry"]);
        let over = harness.status(notification).await.0 == NotificationStatus::Finished;
        assert!(
            code == 0 || over || stderr.contains("may still be working"),
            "{stderr}"
        );
        code == 0 || over
    })
    .await;
    harness.until_finished(notification, LIMIT).await;
    assert!(has_logged(&harness, "retry requested for"), "it is in the story");
    harness.assert_each_exactly_once(&servers, HOST);
}

/// Types the host's name at the prompt of an approval, on a terminal.
fn approved_by_hand(harness: &Harness) -> (bool, String) {
    let conf = harness.conf();
    let command = format!(
        "{} recovery approve {HOST} --reason x --config-file {}",
        env!("CARGO_BIN_EXE_tachi"),
        conf.display()
    );
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{HOST}").unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// An approval may be needed while the rest of the database, or of the API, does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_of_an_approval_is_shown_although_the_evidence_cannot_be_read() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 1);
    let report = ["host", "report-down", HOST, "--yes", "--reason", "x"];
    let (code, _, note) = run(&harness, &report);
    assert_eq!(code, 0, "{note}");
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    let change = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    change("ALTER TABLE tachi_monitor RENAME TO monitor_away").await;
    assert_ne!(run(&harness, &["status"]).0, 0, "no view can be read");
    let (done, printed) = approved_by_hand(&harness);
    assert!(printed.contains("the evidence cannot be read: "), "{printed}");
    assert!(printed.contains("tachi_monitor"), "the cause: {printed}");
    assert!(printed.contains(&format!("Type {HOST} to confirm")), "{printed}");
    assert!(done && printed.contains("requested by"), "{printed}");
    change("ALTER TABLE monitor_away RENAME TO tachi_monitor").await;
    let history = json(&harness, &["recovery", "show", HOST]);
    assert_eq!(history["word"]["word"], "approve", "{history}");
}
