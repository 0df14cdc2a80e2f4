//! An operator's resolution of one instance, by the real binary.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_sandbox::{MigrationKind, MoveFault, MoveFaultRule};

use super::support::{Stage, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn moves(stage: &Stage) -> Vec<Value> {
    json(stage, &["instance", "list", "--recovering"])
        .as_array()
        .unwrap()
        .clone()
}

/// True if the recovery's history has this text about an action.
fn heard(stage: &Stage, part: &str) -> bool {
    let all = json(stage, &["recovery", "list", "--all"]);
    let story = json(stage, &["recovery", "show", all[0]["recovery"].as_str().unwrap()]);
    let steps = story["steps"].as_array().unwrap().iter();
    let mut texts = steps.map(|step| step["text"].as_str().unwrap());
    texts.any(|text| text.contains(part) && !text.contains("not done"))
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_success_is_taken_where_nova_shows_the_instance_and_it_is_not_started_a_second_time() {
    let stage = Stage::set(quick_region(4)).await;
    stage.protect().await;
    let server = stage.boot(HOST, 1)[0];
    let id = server.to_string();
    let region = stage.sandbox.region();
    // Its guest has arrived there, but its migration record will never show that.
    let there = "compute-002";
    region
        .faults()
        .half_move(server, there, MigrationKind::LiveMigration, true)
        .unwrap();
    region.faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    let _engine = stage.spawn("engine");
    until("the instance to be held", LIMIT, async || {
        moves(&stage).iter().any(|row| row["waits"]["for"] == "record")
    })
    .await;
    let word = ["vmove", "recover", &id, "--success", "--on", there];
    until("an engine to have seen where Nova shows it", LIMIT, async || {
        let (code, _, said) = run(&stage, &word);
        code == 1 && said.contains("nothing was written: Nova showed")
    })
    .await;
    region.operator().correct_host(server, there).unwrap();
    until("the word to be taken", LIMIT, async || run(&stage, &word).0 == 0).await;
    stage.until_finished(notification, LIMIT).await;
    assert!(
        heard(&stage, "success on compute-002 requested for"),
        "the history shows who did it"
    );
    let shown = region.server(server).unwrap();
    assert_eq!(shown.host.as_deref(), Some(there));
    assert!(!shown.locked, "{:?}", shown.locked_reason);
    assert_eq!(region.ledger().double_runs, 0);
    let asked = region.migrations(server).into_iter();
    assert_eq!(
        asked
            .filter(|record| record.kind == MigrationKind::Evacuation)
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_retry_asks_for_an_instance_again_at_once_and_it_comes_back() {
    let stage = Stage::set(quick_region(4)).await;
    let conf = stage.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    // Longer than this test, so that nothing is given up meanwhile.
    std::fs::write(
        &conf,
        text.replace("evacuation_retry_time = 0", "evacuation_retry_time = 3600"),
    )
    .unwrap();
    stage.protect().await;
    let servers = stage.boot(HOST, 1);
    let id = servers[0].to_string();
    let region = stage.sandbox.region();
    region
        .faults()
        .add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost));
    region.faults().power_loss(HOST).unwrap();
    let notification = stage.report(HOST).await;
    let _engine = stage.spawn("engine");
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
        let (code, _, said) = run(&stage, &["vmove", "recover", &id, "--retry"]);
        let over = stage.status(notification).await.0 == NotificationStatus::Finished;
        assert!(
            code == 0 || over || said.contains("may still be working"),
            "{said}"
        );
        code == 0 || over
    })
    .await;
    stage.until_finished(notification, LIMIT).await;
    assert!(heard(&stage, "retry requested for"), "it is in the story");
    stage.assert_each_exactly_once(&servers, HOST);
}

/// Types the host's name at the prompt of an approval, on a terminal.
fn approved_by_hand(stage: &Stage) -> (bool, String) {
    let conf = stage.conf();
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
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    stage.boot(HOST, 1);
    let report = ["host", "report-down", HOST, "--yes", "--reason", "x"];
    let (code, _, note) = run(&stage, &report);
    assert_eq!(code, 0, "{note}");
    let db = sea_orm::Database::connect(&stage.database.url).await.unwrap();
    let change = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    change("ALTER TABLE tachi_monitor RENAME TO monitor_away").await;
    assert_ne!(run(&stage, &["status"]).0, 0, "no view can be read");
    let (done, told) = approved_by_hand(&stage);
    assert!(told.contains("the evidence cannot be read: "), "{told}");
    assert!(told.contains("tachi_monitor"), "the cause: {told}");
    assert!(told.contains(&format!("Type {HOST} to confirm")), "{told}");
    assert!(done && told.contains("requested by"), "{told}");
    change("ALTER TABLE monitor_away RENAME TO tachi_monitor").await;
    let story = json(&stage, &["recovery", "show", HOST]);
    assert_eq!(story["word"]["word"], "approve", "{story}");
}
