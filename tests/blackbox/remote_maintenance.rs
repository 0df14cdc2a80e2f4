//! Muted reporters, decommissioned monitors, failed recoveries and paper drills from a laptop, by the real binary.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use tachi_domain::Reporter;
use tachi_domain::entity::notification::NotificationStatus;

use super::remote::{ADMIN, DEMO, assert_same_output, audited, over};
use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Returns phase, operator and text of the last two lines of the audit log.
fn last(harness: &Harness) -> Vec<(String, String, String)> {
    let of = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let all = audited(harness);
    let all = all.iter().rev().take(2).rev();
    all.map(|line| (of(line, "phase"), of(line, "operator"), of(line, "text")))
        .collect()
}

fn assert_actor(harness: &Harness, what: &str) {
    let lines = last(harness);
    assert_eq!(
        (lines[0].0.as_str(), lines[1].0.as_str()),
        ("intent", "outcome"),
        "{lines:?}"
    );
    assert!(
        lines[0].2.contains(what) && lines[0].2.contains("(req-"),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line.1.starts_with("admin, Keystone user ")),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_a_reporter_is_unmuted_and_a_monitor_removed_from_a_laptop() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let _api = harness.spawn("api");
    let api = harness.api().await;
    assert_eq!(api.send_heartbeat(HOST, "host", &[HOST]).await, 204);
    let none = assert_same_output(&harness, &["monitor", "list", "--muted"]);
    assert!(none.contains("no reporter is muted"), "{none}");
    let reporter = Reporter {
        host: Some(HOST.into()),
        user_name: Some("evil\u{1b}[2J".into()),
        ..Reporter::default()
    };
    let reporter = serde_json::to_string(&reporter).unwrap().replace('\'', "''");
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    db.execute_unprepared(&format!(
        "INSERT INTO reporter_aside (voice, reporter, since, why, aside, unheard) VALUES ('v', '{reporter}', 1700000000000000, \
         'Nova has contradicted it', true, 2)"
    ))
    .await
    .unwrap();
    let printed = assert_same_output(&harness, &["monitor", "list", "--muted"]);
    assert!(
        printed.contains("muted") && !printed.contains('\u{1b}'),
        "{printed}"
    );
    assert_same_output(&harness, &["monitor", "list", "--muted", "-f", "json"]);

    for arguments in [
        &["monitor", "unmute", HOST][..],
        &["monitor", "forget", HOST, "host"],
    ] {
        let (code, _, stderr) = over(&harness, DEMO, arguments);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("os_masakari_api:operator:act"), "{stderr}");
    }
    for (arguments, part) in [
        (&["monitor", "unmute", "../x"][..], "no reporter ../x is muted"),
        (
            &["monitor", "forget", "no/where", "host"],
            "no/where has no host monitor",
        ),
        (&["recovery", "retry", "feed"], "feed"),
        (
            &["forecast", "nosuch"],
            "no segment is named \"nosuch\"; available: ",
        ),
        (&["drill", "nowhere", "--paper"], "is in no segment"),
        (
            &["drill", HOST, "--shadow"],
            "the API serves only `tachi show HOST --if-fails`",
        ),
    ] {
        let (code, _, stderr) = over(&harness, ADMIN, arguments);
        assert_ne!(code, 0, "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    assert_eq!(audited(&harness), [] as [Value; 0]);

    let unmute = ["monitor", "unmute", HOST, "--reason", "its clock was wrong"];
    let (code, printed, stderr) = over(&harness, ADMIN, &unmute);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        printed.contains("are accepted again, by admin, Keystone user "),
        "{printed}"
    );
    assert!(
        printed.contains("2 of its reports were stored without starting a recovery"),
        "{printed}"
    );
    assert_actor(&harness, "unmutes it");
    let (code, _, stderr) = over(&harness, ADMIN, &unmute);
    assert_eq!(code, 1);
    assert!(stderr.contains("it was unmuted, or never muted"), "{stderr}");

    until("the monitor to be known", LIMIT, async || {
        json(&harness, &["monitor", "list"]).as_array().unwrap().len() == 1
    })
    .await;
    let delete_arguments = ["monitor", "forget", HOST, "host"];
    let (code, printed, stderr) = over(&harness, ADMIN, &delete_arguments);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        printed.contains("the host monitor of compute-001 is removed, by admin"),
        "{printed}"
    );
    assert_actor(&harness, "removes the host monitor");
    assert_eq!(
        over(&harness, ADMIN, &delete_arguments).0,
        1,
        "it is not there any more"
    );
    assert_eq!(audited(&harness).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_a_failed_recovery_is_tried_again_once_from_a_laptop() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 1);
    let _api = harness.spawn("api");
    harness.api().await;
    let notification = harness.report(HOST).await;
    assert_eq!(
        over(
            &harness,
            ADMIN,
            &["recovery", "abort", HOST, "--yes", "--reason", "wrong rack"]
        )
        .0,
        0
    );
    let _engine = harness.spawn("engine");
    until("the recovery to end", LIMIT, async || {
        harness.status(notification).await.0 == NotificationStatus::Failed
    })
    .await;
    let id = json(&harness, &["recovery", "list", "--all"])[0]["recovery"]
        .as_str()
        .unwrap()
        .to_owned();
    let retry = ["recovery", "retry", &id, "--yes", "--reason", "the right rack"];
    let (code, printed, stderr) = over(&harness, ADMIN, &retry);
    assert_eq!(code, 0, "{stderr}");
    assert!(!printed.contains("nothing was written"), "{printed}");
    let lines: Vec<Value> = audited(&harness);
    let ours: Vec<&Value> = lines
        .iter()
        .filter(|line| {
            line["episode_id"] == id.as_str()
                && line["operator"]
                    .as_str()
                    .is_some_and(|by| by.contains("right rack"))
        })
        .collect();
    assert_eq!(ours.len(), 2, "{lines:?}");
    assert_eq!(
        (&ours[0]["phase"], &ours[1]["phase"]),
        (&"intent".into(), &"outcome".into())
    );
    // The answer was lost, and the same operator repeats the request.
    let (code, again, stderr) = over(&harness, ADMIN, &retry);
    assert_eq!(code, 0, "{stderr}");
    assert!(again.contains("nothing was written"), "{again}");
    assert!(again.ends_with(&printed), "{again}");
    let all = json(&harness, &["recovery", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    let (_, history, _) = run(&harness, &["recovery", "show", &id]);
    assert!(
        history.contains("another attempt requested by admin, Keystone user "),
        "{history}"
    );

    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["down"].is_u64()
    })
    .await;
    let printed = assert_same_output(&harness, &["drill", "compute-002", "--paper"]);
    assert!(
        printed.starts_with("simulated failure of compute-002: no service is called"),
        "{printed}"
    );
}
