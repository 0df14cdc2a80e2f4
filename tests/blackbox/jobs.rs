//! `[schedule]` and `tachi jobs`, by the real binary.

use std::time::Duration;

use serde_json::Value;
use tachi_engine::ports::Jobs as _;

use super::remote::{ADMIN, assert_told_the_same, over};
use super::support::{Stage, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

fn row(stage: &Stage, job: &str) -> Option<Value> {
    let told = json(stage, &["jobs", "list"]);
    let found = told.as_array().unwrap().iter().find(|row| row["job"] == job);
    found.cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_of_two_engines_one_does_a_job_and_everybody_is_told_what_came_of_it() {
    let stage = Stage::set(quick_region(3)).await;
    let (code, told, _) = run(&stage, &["jobs", "list"]);
    assert_eq!(code, 0);
    assert!(told.contains("nothing is scheduled"), "{told}");
    let conf = stage.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(
        &conf,
        format!("{text}\n[schedule]\ndoctor = every 6h\npurge = daily 03:30\n"),
    )
    .unwrap();
    assert_eq!(row(&stage, "doctor").unwrap()["result"], "not yet");

    let engines = [stage.spawn("engine"), stage.spawn("engine")];
    until("the doctor to have been", LIMIT, async || {
        row(&stage, "doctor").is_some_and(|row| row["took_seconds"].is_number())
    })
    .await;
    let doctor = row(&stage, "doctor").unwrap();
    assert_eq!(doctor["grade"], "err", "{doctor}");
    assert!(
        doctor["result"].as_str().unwrap().contains(" 1 error, "),
        "{doctor}"
    );
    let lines = stage.store.jobs().jobs().await.unwrap();
    assert_eq!(lines.len(), 1, "the time of the purge has not come: {lines:?}");
    assert_eq!(lines[0].run, 1);
    assert!(row(&stage, "purge").unwrap()["next_at"].is_string());

    let (code, told, note) = run(&stage, &["jobs", "run", "purge"]);
    assert_eq!((code, told.as_str()), (0, "purge: ok: 0 rows\n"), "{note}");
    assert_eq!(row(&stage, "purge").unwrap()["result"], "0 rows");
    for engine in engines {
        engine.kill();
    }

    // A laptop shows the same list, and cannot run a job.
    let _api = stage.spawn("api");
    stage.api().await;
    for words in [
        &["jobs", "list"][..],
        &["jobs", "list", "-f", "json"],
        &["jobs", "list", "-f", "value"],
    ] {
        let told = assert_told_the_same(&stage, words);
        assert!(
            told.contains("purge") && told.contains(" not checkable"),
            "{told}"
        );
    }
    let (code, _, note) = over(&stage, ADMIN, &["jobs", "run", "purge"]);
    assert!(code != 0 && note.contains("controller"), "{note}");

    // Another run is in progress.
    let begun = stage.store.jobs().begin_job("doctor", 1, None, "ctl-9:1:a").await;
    assert!(begun.unwrap());
    let (code, _, note) = run(&stage, &["jobs", "run", "doctor"]);
    assert_eq!(code, 1);
    assert!(
        note.contains("nothing was done") && note.contains("ctl-9:1:a"),
        "{note}"
    );
}
