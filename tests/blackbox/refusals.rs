//! Reports that the API refuses, as `tachi show --at` shows them afterwards.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json as value};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::when::time;

use super::remote::assert_same_output;
use super::support::{Api, Harness, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

async fn report(api: &Api, host: &str) -> u16 {
    let now = time(SystemClock.wall());
    let report = value!({"notification": {
        "type": "COMPUTE_HOST", "hostname": host, "generated_time": now.trim_end_matches('Z'),
        "payload": {"event": "STOPPED", "host_status": "UNKNOWN", "cluster_status": "OFFLINE"},
    }});
    api.post("/notifications", &report).await.0
}

/// Returns the number of refusals by reason.
fn refused(harness: &Harness, host: &str, at: &str) -> Vec<(String, u64)> {
    let (code, printed, stderr) = run(
        harness,
        &["show", host, "--at", at, "--within", "10m", "-f", "json"],
    );
    if code != 0 {
        assert!(stderr.contains("there are no records of a host"), "{stderr}");
        return Vec::new();
    }
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let all = printed["refused"].as_array().unwrap().iter();
    all.map(|one| {
        let reason = one["reason"].as_str().unwrap().to_owned();
        (reason, one["times"].as_u64().unwrap())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_explain_at_shows_the_refused_and_the_last_reports() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let mut process = harness.spawn("api");
    let api = harness.api().await;
    let at = time(SystemClock.wall());
    assert_eq!(report(&api, HOST).await, 202);
    for _ in 0..3 {
        assert_eq!(report(&api, HOST).await, 409);
    }
    assert_eq!(report(&api, "stranger").await, 400);
    until("the refusals to be counted", LIMIT, async || {
        !refused(&harness, HOST, &at).is_empty() && !refused(&harness, "stranger", &at).is_empty()
    })
    .await;
    assert_eq!(refused(&harness, HOST, &at), [("duplicate".to_owned(), 3)]);
    // A span that ends now would end later in a later call.
    let then = time(SystemClock.wall().minus_seconds(50).whole_seconds());
    let printed = assert_same_output(&harness, &["show", HOST, "--at", &then, "--within", "50s"]);
    for expected in [
        "1 report accepted, 3 refused, 1 recovery, no freeze",
        " report of ",
        "    not accepted 3 times until ",
        "it only repeats an earlier one (409)",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let printed = assert_same_output(&harness, &["show", "stranger", "--at", &then, "--within", "50s"]);
    assert!(
        printed.contains("not accepted: no host was registered under this name (400)"),
        "{printed}"
    );

    // One more, and the API is stopped at once: its last count is not lost.
    assert_eq!(report(&api, HOST).await, 409);
    process.signal(Signal::TERM);
    assert_eq!(process.ended(LIMIT).await, Some(0));
    assert_eq!(refused(&harness, HOST, &at), [("duplicate".to_owned(), 4)]);
}
