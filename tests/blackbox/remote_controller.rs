//! Data of a controller from a laptop: its audit logs, the return of a host, and Nova's hosts, by the real binary.

use std::time::Duration;

use serde_json::Value;
use tachi_domain::situation::FindingCode;

use super::remote::{ADMIN, DEMO, assert_same_ignoring_time, assert_same_output, audited, over};
use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

fn assert_refused(harness: &Harness, cloud: &str, arguments: &[&str], code: i32, part: &str) {
    let (ended, printed, stderr) = over(harness, cloud, arguments);
    assert_eq!((ended, printed.as_str()), (code, ""), "{arguments:?}: {stderr}");
    assert!(stderr.contains(part), "{arguments:?}: {part}: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_what_nova_has_and_a_hosts_way_back_are_told_from_a_laptop_and_done_on_a_controller() {
    let harness = Harness::set(quick_region(3)).await;
    let _api = harness.spawn("api");
    harness.api().await;
    for arguments in [
        &["setup", "import"][..],
        &["setup", "import", "--by", "zone", "--default-zone", "az 9/%"],
    ] {
        let (code, local, stderr) = run(&harness, arguments);
        assert_eq!(code, 0, "{stderr}");
        let (code, remote, stderr) = over(&harness, ADMIN, arguments);
        assert_eq!((code, stderr.as_str()), (0, ""), "{remote}");
        let (lines, last) = remote.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(lines, local.trim_end().rsplit_once('\n').unwrap().0);
        assert!(lines.contains("  compute-003  + add"), "{lines}");
        assert!(last.contains("--apply` on a controller"), "{last}");
    }
    let racks = ["setup", "import", "--by", "rack"];
    assert_refused(&harness, ADMIN, &racks, 1, "storm_failure_domains_file");
    let apply = ["setup", "import", "--apply"];
    assert_refused(
        &harness,
        ADMIN,
        &apply,
        2,
        "without --apply the API shows the plan",
    );
    let segments = &json(&harness, &["status"])["segments"];
    assert_eq!(segments.as_array().unwrap().len(), 0, "nothing was created");

    harness.protect().await;
    assert_same_output(&harness, &["setup", "import"]);
    for arguments in [
        &["host", "return", HOST][..],
        &["host", "return", HOST, "--check"],
        &["host", "return", HOST, "-f", "json"],
    ] {
        assert_same_output(&harness, arguments);
    }
    harness.sandbox.region().faults().agent_stop(HOST).unwrap();
    let check = ["host", "return", HOST, "--check"];
    until("Nova to miss the host", LIMIT, async || {
        over(&harness, ADMIN, &check).0 == 1
    })
    .await;
    let (code, printed, _) = over(&harness, ADMIN, &check);
    assert_eq!((code, printed.as_str()), (1, run(&harness, &check).1.as_str()));
    assert!(printed.contains("not ready to return to service"), "{printed}");

    assert_refused(&harness, ADMIN, &["host", "return", "no/where"], 1, "no/where");
    let back = ["host", "return", HOST, "--do", "--reason", "looked", "--yes"];
    assert_refused(&harness, ADMIN, &back, 2, "without --do");
    for arguments in [&check[..], &["setup", "import"], &["audit", "show"], &["doctor"]] {
        assert_refused(&harness, DEMO, arguments, 1, "os_masakari_api:operator:read");
    }
    assert_eq!(audited(&harness), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_the_audit_log_of_the_machine_that_answers_is_shown_page_by_page() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    let api = harness.api().await;
    for host in [HOST, "compute-002"] {
        let arguments = ["freeze", "host", host, "--for", "1h", "--reason", "é ' \"$(x)"];
        assert_eq!(over(&harness, ADMIN, &arguments).0, 0, "{host}");
    }
    for more in [
        &[][..],
        &["--last", "1"],
        &["--last", "0"],
        &["--host", HOST],
        &["--host", "nobody"],
        &["--recovery", "feed"],
        &["-f", "json"],
    ] {
        let arguments = [&["audit", "show"], more].concat();
        let (_, [_, answered]) = assert_same_ignoring_time(&harness, &arguments, 0);
        assert!(answered.contains("whose API has answered"), "{answered}");
    }
    let all = audited(&harness);
    assert_eq!(all.len(), 4);
    let mut lines: Vec<Value> = Vec::new();
    let mut path = "/operator/v1/audit?limit=1".to_owned();
    loop {
        let (status, page) = api.ask(&path).await;
        assert_eq!(status, 200, "{page}");
        let page = &page["audit"];
        lines.extend(page["lines"].as_array().unwrap().iter().cloned());
        let Some(marker) = page["marker"].as_str() else {
            break;
        };
        path = format!("/operator/v1/audit?limit=1&marker={marker}");
    }
    lines.reverse();
    assert_eq!(lines, all);
    assert_eq!(api.ask("/operator/v1/audit?marker=x").await.0, 400);

    // A line that cannot be read hides no other.
    let log = std::fs::read_dir(harness.folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, format!("no line\u{1b}[2J\n{text}")).unwrap();
    let arguments = ["audit", "show"];
    let (printed, both) = assert_same_ignoring_time(&harness, &arguments, 1);
    assert!(printed.contains(HOST), "{printed}");
    for stderr in both {
        assert!(stderr.contains("line 1 is not a line"), "{stderr}");
        assert!(!stderr.contains('\u{1b}'), "{stderr}");
    }
    let log = log.to_str().unwrap();
    assert_refused(&harness, ADMIN, &["audit", "show", log], 2, "--os-cloud");
    assert_refused(&harness, ADMIN, &["audit", "verify"], 2, "only on a controller");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_a_doctor_from_a_laptop_calls_nothing_good_that_it_cannot_see() {
    let harness = Harness::set(quick_region(2)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    harness.api().await;
    let _engine = harness.spawn("engine");
    until("an engine to have read the region", LIMIT, async || {
        !json(&harness, &["status"])["looked_at"].is_null()
    })
    .await;
    let checks = |cloud: bool| -> Vec<(String, String, String)> {
        let arguments = ["doctor", "--all", "-f", "json"];
        let (code, printed, stderr) = if cloud {
            over(&harness, ADMIN, &arguments)
        } else {
            run(&harness, &arguments)
        };
        assert_eq!(code, 0, "{stderr}");
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = printed["checks"].as_array().unwrap().iter();
        rows.map(|row| (text(row, "check"), text(row, "grade"), text(row, "details")))
            .collect()
    };
    // An instance that is being moved is never a finding of its own.
    let mut codes: Vec<String> = FindingCode::ALL
        .iter()
        .filter(|code| **code != FindingCode::InstanceMoving)
        .map(|code| code.as_str().to_ascii_lowercase().replace('_', "-"))
        .collect();
    // No finding, but read from the region as well.
    codes.push("monitor-heartbeats".to_owned());
    // An engine may have polled between two calls.
    until("both to return the same about the region", LIMIT, async || {
        let of_region = |cloud: bool| -> Vec<(String, String)> {
            let all = checks(cloud).into_iter().map(|(name, grade, _)| (name, grade));
            all.filter(|(name, _)| codes.contains(name)).collect()
        };
        let (local, remote) = (of_region(false), of_region(true));
        local == remote && local.len() == codes.len()
    })
    .await;
    let others: Vec<_> = checks(true)
        .into_iter()
        .filter(|(name, ..)| !codes.contains(name))
        .collect();
    assert!(others.len() > 3, "{others:?}");
    for (name, grade, details) in &others {
        assert_eq!(grade, "unknown", "{name}: {details}");
        let expected = if name == "doctor-by-the-clock" {
            "scheduled"
        } else {
            "not checkable from here"
        };
        assert!(details.contains(expected), "{name}: {details}");
    }
    let (code, printed, _) = over(&harness, ADMIN, &["doctor", "configuration", "--check"]);
    assert_eq!(code, 3);
    assert!(
        printed.starts_with("UNKNOWN configuration") && printed.contains("run `tachi doctor` there"),
        "{printed}"
    );
    assert_refused(&harness, ADMIN, &["doctor", "--fix"], 2, "without --fix");
    // Scheduled jobs are listed; the API may cache for a second.
    run(&harness, &["jobs", "run", "doctor"]);
    until("the scheduled doctor run to be listed", LIMIT, async || {
        let (_, printed, _) = over(&harness, ADMIN, &["doctor", "doctor-by-the-clock"]);
        printed.contains(" ago, ") && printed.contains("not checkable")
    })
    .await;
}
