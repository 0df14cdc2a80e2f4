//! `tachi ack`: a finding that operators live with is shown, and is no alarm.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;

use super::defects::delete_host;
use super::report_down::audited;
use super::support::{Harness, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_host_that_is_meant_to_be_outside_is_acknowledged_and_no_alarm() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    delete_host(&harness, "compute-003").await;
    harness.boot("compute-003", 1);
    let _engine = harness.spawn("engine");
    let finding = || {
        let printed = json(&harness, &["status"]);
        let mut all = printed["findings"].as_array().unwrap().iter();
        all.find(|one| one["code"] == "HOST_NOT_IN_SEGMENT").cloned()
    };
    until("the host outside to be found", LIMIT, async || {
        finding().is_some()
    })
    .await;
    assert_eq!(finding().unwrap()["grade"], "err");
    assert_eq!(run(&harness, &["status", "compute-003", "--check"]).0, 2);

    let ack = |arguments: &[&str]| run(&harness, &[&["ack"], arguments].concat());
    for (arguments, part) in [
        (
            &["INSTANCE_DOWN", "--for", "1h", "--reason", "x"][..],
            "cannot be acknowledged",
        ),
        (
            &["HOST_NOT_IN_SEGMENT", "--for", "91d", "--reason", "x"],
            "not between 1m and 90d",
        ),
        (&["HOST_NOT_IN_SEGMENT", "--for", "1h"], "--reason"),
        (
            &["NONSENSE", "--for", "1h", "--reason", "x"],
            "not the code of a finding",
        ),
        (
            &[
                "HOST_NOT_IN_SEGMENT",
                "compute-009",
                "--for",
                "1h",
                "--reason",
                "x",
            ],
            "there is one about compute-003",
        ),
        (
            &["HOST_NOT_IN_SEGMENT", "compute-003", "--end"],
            "is not acknowledged",
        ),
    ] {
        let (code, _, note) = ack(arguments);
        assert!(code != 0 && note.contains(part), "{arguments:?}: {code} {note}");
    }
    let (code, printed, note) = ack(&[
        "HOST_NOT_IN_SEGMENT",
        "compute-003",
        "--for",
        "2h",
        "--reason",
        "the test lab",
    ]);
    assert_eq!(code, 0, "{printed}{note}");
    let one = finding().unwrap();
    assert_eq!(one["grade"], "info", "{one}");
    assert!(one["acknowledged_until"].is_string(), "{one}");
    assert!(one["text"].as_str().unwrap().contains("the test lab"), "{one}");
    let listed = json(&harness, &["ack", "--list"]);
    assert_eq!(listed[0]["name"], "compute-003", "{listed}");
    let (code, printed, note) = ack(&["HOST_NOT_IN_SEGMENT", "compute-003", "--end"]);
    assert_eq!(code, 0, "{printed}{note}");
    assert_eq!(finding().unwrap()["grade"], "err");
    assert_eq!(json(&harness, &["ack", "--list"]), serde_json::json!([]));
    let lines = audited(&harness);
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(
        texts,
        [
            "acknowledges HOST_NOT_IN_SEGMENT compute-003 for 2 h: the test lab",
            "HOST_NOT_IN_SEGMENT compute-003 is acknowledged for 2 h",
            "ends the acknowledgement of HOST_NOT_IN_SEGMENT compute-003",
            "the acknowledgement of HOST_NOT_IN_SEGMENT compute-003 has ended",
        ],
        "{lines:?}"
    );
}

/// Breaks each step of the database: no change is partial, and the error names the step and the fix.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_the_database_refuses_is_an_error_that_names_the_next_step() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    delete_host(&harness, "compute-003").await;
    harness.boot("compute-003", 1);
    let engine = harness.spawn("engine");
    let grade = || {
        let printed = json(&harness, &["status"]);
        let mut all = printed["findings"].as_array().unwrap().iter();
        let one = all.find(|one| one["code"] == "HOST_NOT_IN_SEGMENT")?;
        Some(one["grade"].clone())
    };
    until("the host outside to be found", LIMIT, async || grade().is_some()).await;
    // The engine would need the table, too.
    drop(engine);
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    let change = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    let subject = "HOST_NOT_IN_SEGMENT";
    let begin = [
        "ack",
        subject,
        "compute-003",
        "--for",
        "2h",
        "--reason",
        "the lab",
    ];
    let end = ["ack", subject, "compute-003", "--end"];
    let listed = || json(&harness, &["ack", "--list"]).as_array().unwrap().len();

    change("ALTER TABLE fact RENAME TO fact_away").await;
    for arguments in [&begin[..], &end, &["ack", "--list"]] {
        let (code, printed, note) = run(&harness, arguments);
        assert_eq!((code, printed.as_str()), (1, ""), "{arguments:?}: {note}");
        assert!(note.contains("reading the acknowledgements"), "{note}");
        assert!(note.contains("fact"), "{note}");
    }
    assert_eq!(audited(&harness).len(), 0, "nothing was started");
    change("ALTER TABLE fact_away RENAME TO fact").await;

    // A read-only copy of the table: what is stored is read, and nothing is written.
    for (arguments, before) in [(&begin[..], 0), (&end, 1)] {
        change("ALTER TABLE fact RENAME TO fact_kept").await;
        change("CREATE VIEW fact AS SELECT DISTINCT * FROM fact_kept").await;
        let (code, printed, note) = run(&harness, arguments);
        assert_eq!((code, printed.as_str()), (1, ""), "{arguments:?}: {note}");
        assert!(
            note.contains("may not be written, see `tachi ack --list`: writing it"),
            "{note}"
        );
        change("DROP VIEW fact").await;
        change("ALTER TABLE fact_kept RENAME TO fact").await;
        assert_eq!(listed(), before, "{arguments:?}");
        assert_eq!(audited(&harness).last().unwrap()["result"], "transient");
        let (code, _, note) = run(&harness, arguments);
        assert_eq!(code, 0, "{arguments:?}: {note}");
    }
    assert_eq!(listed(), 0);
}
