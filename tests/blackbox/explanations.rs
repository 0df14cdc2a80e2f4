//! `tachi show --if-fails`, by the real binary: from the database and over HTTP, before and after a host has died.

use std::time::Duration;

use serde_json::{Value, json as value};
use tachi_sandbox::Boot;

use super::remote::assert_same_output;
use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn names(of: &Value) -> Vec<&str> {
    let all = of.as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_explain_if_dies_tells_what_would_come_of_a_host_and_of_an_instance() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    region.boot(&Boot::on(HOST, 1).exact_name("plain")).unwrap();
    let marked = Boot::on(HOST, 1)
        .exact_name("zeta")
        .metadata("HA_Enabled", "True");
    region.boot(&marked).unwrap();
    let _api = harness.spawn("api");
    harness.api().await;

    // No data was read yet, so no recovery is promised.
    let printed = json(&harness, &["show", HOST, "--if-fails"]);
    assert_ne!(printed[0]["recovered"], true, "{printed}");
    let _engine = harness.spawn("engine");
    until("where instances may land to be known", LIMIT, async || {
        let printed = json(&harness, &["show", HOST, "--if-fails"]);
        let proven = printed[0]["proven_off"].as_str().unwrap_or_default();
        printed[0]["moved"][0]["landing"]["fits"] == 3 && proven.starts_with("by level 1, ")
    })
    .await;

    let printed = assert_same_output(&harness, &["show", HOST, "--if-fails"]);
    assert!(
        printed.starts_with("if compute-001 failed now, 2 instances would be recovered\n"),
        "{printed}"
    );
    // Marked instances come first, whatever their names.
    for line in [
        "  first      zeta (marked): 3 of 3 hosts have room: compute-002, compute-003, compute-004\n",
        "  then       plain: 3 of 3 hosts have room",
        "  room       all 2 instances fit (an estimate; Placement seen ",
        "  duration   unknown (no previous recovery)",
    ] {
        assert!(printed.contains(line), "{line:?} is not in {printed}");
    }
    let object = json(&harness, &["show", HOST, "--if-fails"]);
    assert_eq!(names(&object[0]["moved"]), ["zeta", "plain"], "{object}");
    assert_eq!(object[0]["predicted"], value!(null));
    let one = assert_same_output(&harness, &["show", "plain", "--if-fails"]);
    assert!(
        one.contains("if that failed now it would be recovered; its duration is unknown"),
        "{one}"
    );
    assert!(one.contains("  order      after 1 marked instance\n"), "{one}");

    // A host in maintenance.
    let (code, _, stderr) = run(
        &harness,
        &["freeze", "host", "compute-003", "--for", "1h", "--reason", "test"],
    );
    assert_eq!(code, 0, "{stderr}");
    let (_, kept, _) = run(&harness, &["show", "compute-003", "--if-fails"]);
    assert!(
        kept.starts_with("if compute-003 failed now, nothing of it would be recovered\n"),
        "{kept}"
    );
    assert!(
        kept.contains("FROZEN") && !kept.contains("confirmed off"),
        "{kept}"
    );

    // A host dies. The recovery of the next one would be on hold: two of four hosts would be out of service.
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    let home = region.server(
        region
            .boot(&Boot::on("compute-002", 1).exact_name("late"))
            .unwrap()[0],
    );
    assert_eq!(home.unwrap().host.as_deref(), Some("compute-002"));
    until("the new one to be seen", LIMIT, async || {
        let (_, printed, _) = run(&harness, &["show", "late", "--if-fails"]);
        printed.contains("if that failed now it would wait for an operator")
    })
    .await;
    let (_, late, _) = run(&harness, &["show", "late", "--if-fails"]);
    assert!(
        late.contains("  duration   unknown: until an operator approves it"),
        "{late}"
    );

    let (code, _, stderr) = run(&harness, &["show", "nobody", "--if-fails"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("no host or instance named \"nobody\""),
        "{stderr}"
    );
    let (code, ..) = run(&harness, &["show", HOST, "--if-fails", "--at", "03:05"]);
    assert_eq!(code, 2);
    let (code, _, stderr) = run(&harness, &["show", "nobody"]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(
        stderr.trim_end(),
        "tachi: no host, instance or recovery named \"nobody\": see `tachi host list`, `tachi instance list` and `tachi recovery list --all`"
    );
}
