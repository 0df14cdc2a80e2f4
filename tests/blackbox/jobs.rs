//! `[schedule]` and `tachi jobs`, by the real binary.

use std::time::Duration;

use serde_json::Value;
use tachi_engine::ports::Jobs as _;

use super::remote::{ADMIN, assert_same_output, over};
use super::support::{Harness, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

fn row(harness: &Harness, job: &str) -> Option<Value> {
    let printed = json(harness, &["jobs", "list"]);
    let found = printed.as_array().unwrap().iter().find(|row| row["job"] == job);
    found.cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_of_two_engines_one_does_a_job_and_everybody_is_told_what_came_of_it() {
    let harness = Harness::set(quick_region(3)).await;
    let (code, printed, _) = run(&harness, &["jobs", "list"]);
    assert_eq!(code, 0);
    assert!(printed.contains("nothing is scheduled"), "{printed}");
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(
        &conf,
        format!("{text}\n[schedule]\ndoctor = every 6h\npurge = daily 03:30\n"),
    )
    .unwrap();
    assert_eq!(row(&harness, "doctor").unwrap()["result"], "not yet");

    let engines = [harness.spawn("engine"), harness.spawn("engine")];
    until("the doctor to have been", LIMIT, async || {
        row(&harness, "doctor").is_some_and(|row| row["took_seconds"].is_number())
    })
    .await;
    let doctor = row(&harness, "doctor").unwrap();
    assert_eq!(doctor["grade"], "err", "{doctor}");
    assert!(
        doctor["result"].as_str().unwrap().contains(" 1 error, "),
        "{doctor}"
    );
    let lines = harness.store.jobs().jobs().await.unwrap();
    assert_eq!(lines.len(), 1, "the time of the purge has not come: {lines:?}");
    assert_eq!(lines[0].run, 1);
    assert!(row(&harness, "purge").unwrap()["next_at"].is_string());

    let (code, printed, note) = run(&harness, &["jobs", "run", "purge"]);
    assert_eq!((code, printed.as_str()), (0, "purge: ok: 0 rows\n"), "{note}");
    assert_eq!(row(&harness, "purge").unwrap()["result"], "0 rows");
    for engine in engines {
        engine.kill();
    }

    // A laptop shows the same list, and cannot run a job.
    let _api = harness.spawn("api");
    harness.api().await;
    for arguments in [
        &["jobs", "list"][..],
        &["jobs", "list", "-f", "json"],
        &["jobs", "list", "-f", "value"],
    ] {
        let printed = assert_same_output(&harness, arguments);
        assert!(
            printed.contains("purge") && printed.contains(" not checkable"),
            "{printed}"
        );
    }
    let (code, _, note) = over(&harness, ADMIN, &["jobs", "run", "purge"]);
    assert!(code != 0 && note.contains("controller"), "{note}");

    // Another run is in progress.
    let begun = harness
        .store
        .jobs()
        .begin_job("doctor", 1, None, "ctl-9:1:a")
        .await;
    assert!(begun.unwrap());
    let (code, _, note) = run(&harness, &["jobs", "run", "doctor"]);
    assert_eq!(code, 1);
    assert!(
        note.contains("nothing was done") && note.contains("ctl-9:1:a"),
        "{note}"
    );
}
