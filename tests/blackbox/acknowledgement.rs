//! `tachi ack`: a finding that operators live with is shown, and is no alarm.

use std::time::Duration;

use super::defects::forget;
use super::report_down::audited;
use super::support::{Stage, json, quick_region, run, until};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_host_that_is_meant_to_be_outside_is_acknowledged_and_no_alarm() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    forget(&stage, "compute-003").await;
    stage.boot("compute-003", 1);
    let _engine = stage.spawn("engine");
    let finding = || {
        let told = json(&stage, &["status"]);
        let mut all = told["findings"].as_array().unwrap().iter();
        all.find(|one| one["code"] == "HOST_NOT_IN_SEGMENT").cloned()
    };
    until("the host outside to be found", LIMIT, async || {
        finding().is_some()
    })
    .await;
    assert_eq!(finding().unwrap()["grade"], "err");
    assert_eq!(run(&stage, &["status", "compute-003", "--check"]).0, 2);

    let ack = |words: &[&str]| run(&stage, &[&["ack"], words].concat());
    for (words, part) in [
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
        let (code, _, note) = ack(words);
        assert!(code != 0 && note.contains(part), "{words:?}: {code} {note}");
    }
    let (code, told, note) = ack(&[
        "HOST_NOT_IN_SEGMENT",
        "compute-003",
        "--for",
        "2h",
        "--reason",
        "the test lab",
    ]);
    assert_eq!(code, 0, "{told}{note}");
    let one = finding().unwrap();
    assert_eq!(one["grade"], "info", "{one}");
    assert!(one["acknowledged_until"].is_string(), "{one}");
    assert!(one["text"].as_str().unwrap().contains("the test lab"), "{one}");
    let listed = json(&stage, &["ack", "--list"]);
    assert_eq!(listed[0]["name"], "compute-003", "{listed}");
    let (code, told, note) = ack(&["HOST_NOT_IN_SEGMENT", "compute-003", "--end"]);
    assert_eq!(code, 0, "{told}{note}");
    assert_eq!(finding().unwrap()["grade"], "err");
    assert_eq!(json(&stage, &["ack", "--list"]), serde_json::json!([]));
    let lines = audited(&stage);
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
