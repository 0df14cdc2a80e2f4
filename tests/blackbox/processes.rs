//! Engines as separate processes: killed, stopped and continued, terminated.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tachi_domain::{Elapsed, RecoveryId};
use tachi_engine::SystemClock;
use tachi_engine::ports::journal::Claim;
use tachi_engine::ports::{Journal as _, Notifications as _};
use tachi_store::Store;

use super::support::{Harness, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 6;
const LIMIT: Duration = Duration::from_secs(60);

/// Creates a reported host without an engine.
async fn dead_host() -> (Harness, Vec<uuid::Uuid>, tachi_domain::NotificationId) {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, INSTANCES);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    (harness, servers, notification)
}

/// Waits for this number of evacuation requests.
async fn until_requested(harness: &Harness, count: u64) {
    let requests = harness.sandbox.region().requests();
    until("evacuations to be requested", LIMIT, async || {
        requests.count("#evacuate") >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_in_the_middle_is_taken_over_by_the_one_beside_it() {
    let (harness, servers, notification) = dead_host().await;
    let first = harness.spawn("engine");
    until_requested(&harness, 1).await;
    let second = harness.spawn("engine");
    first.kill();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_again_and_again_still_moves_each_instance_once() {
    let (harness, servers, notification) = dead_host().await;
    let recovery = harness.store.journal().unsettled().await.unwrap()[0].id;
    let epoch = async || {
        let views = harness.store.journal().unsettled().await.unwrap();
        views
            .iter()
            .find(|view| view.id == recovery)
            .map_or(u64::MAX, |view| view.epoch)
    };
    for round in 1..=3 {
        let engine = harness.spawn("engine");
        until("the engine to claim", LIMIT, async || epoch().await >= round).await;
        engine.kill();
    }
    let last = harness.spawn("engine");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    drop(last);
}

/// Covers R2.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_was_stopped_and_wakes_up_does_nothing_any_more() {
    let (harness, servers, notification) = dead_host().await;
    harness
        .sandbox
        .region()
        .tune(|settings| settings.rebuild_time = Duration::from_secs(8));
    let first = harness.spawn("engine");
    until_requested(&harness, 1).await;
    let before = harness.store.journal().unsettled().await.unwrap()[0].clone();
    stop_between_transactions(&harness, &first).await;
    let second = harness.spawn("engine");
    until("the second engine to claim", LIMIT, async || {
        let views = harness.store.journal().unsettled().await.unwrap();
        views
            .iter()
            .all(|view| view.id != before.id || view.epoch > before.epoch)
    })
    .await;
    first.signal(Signal::CONT);
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    let evacuations = harness.sandbox.region().requests().count("#evacuate");
    assert_eq!(
        evacuations, INSTANCES as u64,
        "each was requested once, by one of the two"
    );
    drop((first, second));
}

/// A process that is stopped while it writes holds `SQLite`'s lock, and blocks all other writers until it continues or dies. That would
/// test no take-over, so it is stopped again until it holds no lock.
pub(crate) async fn stop_between_transactions(harness: &Harness, process: &super::support::Process) {
    let mut options = harness.database.options.clone();
    options.busy_timeout = Duration::from_millis(200);
    let probe = Store::connect(&options, Arc::new(SystemClock)).await.unwrap();
    let nobody = Claim {
        id: RecoveryId(uuid::Uuid::nil()),
        epoch: 0,
        owner: String::new(),
        seq: 0,
        beat: 0,
    };
    until(
        "the engine to be stopped outside a transaction",
        LIMIT,
        async || {
            process.stop();
            // A lease renewal of an unknown recovery takes the lock and changes nothing.
            let free = probe.journal().beat(&nobody, Elapsed::ZERO).await.is_ok();
            if !free {
                process.signal(Signal::CONT);
            }
            free
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_gives_the_claim_free_so_that_the_next_engine_need_not_wait() {
    let (harness, servers, notification) = dead_host().await;
    let mut first = harness.spawn("engine");
    until_requested(&harness, 1).await;
    first.signal(Signal::TERM);
    assert_eq!(first.ended(Duration::from_secs(10)).await, Some(0));
    let views = harness.store.journal().unsettled().await.unwrap();
    assert!(views.iter().all(|view| view.owner.is_none()), "{views:?}");
    let second = harness.spawn("engine");
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_accepts_a_report_and_wakes_the_engine_in_the_other_process() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    let _api = harness.spawn("api");
    let api = harness.api().await;
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let body = json!({ "notification": {
        "type": "COMPUTE_HOST", "hostname": HOST, "generated_time": "2026-11-20T08:00:00",
        "payload": { "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN" },
    }});
    let (status, made) = api.post("/notifications", &body).await;
    assert_eq!(status, 202, "{made}");
    let (status, refused) = api.post("/notifications", &body).await;
    assert_eq!(status, 409, "{refused}");
    let id = made["notification"]["notification_uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    until("the notification to finish", LIMIT, async || {
        let now = api.get(&format!("/notifications/{id}")).await;
        now["notification"]["status"] == "finished"
    })
    .await;
    let now = api.get(&format!("/notifications/{id}")).await;
    let tasks: Vec<&str> = now["notification"]["recovery_workflow_details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        tasks,
        [
            "FenceHostTask",
            "DisableComputeServiceTask",
            "PrepareHAEnabledInstancesTask",
            "EvacuateInstancesTask"
        ]
    );
    let vmoves = api.get(&format!("/notifications/{id}/vmoves")).await;
    assert_eq!(vmoves["vmoves"].as_array().unwrap().len(), 2);
    harness.assert_each_exactly_once(&servers, HOST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_with_file_line_and_option() {
    let harness = Harness::set(quick_region(2)).await;
    let wrong = harness.folder.path().join("wrong.conf");
    std::fs::write(
        &wrong,
        "[DEFAULT]\nmasakari_api_listen_port = many\n[fencing]\nmode = maybe\n",
    )
    .unwrap();
    let (code, _, stderr) = Harness::command(&["engine", "--config-file", wrong.to_str().unwrap()]);
    assert_eq!(code, 2, "{stderr}");
    for part in ["wrong.conf:2", "masakari_api_listen_port", "wrong.conf:4", "mode"] {
        assert!(stderr.contains(part), "{part} is missing in: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_log_and_in_no_shown_configuration() {
    let (harness, _, notification) = dead_host().await;
    let engine = harness.spawn("engine");
    harness.until_finished(notification, LIMIT).await;
    drop(engine);
    let conf = harness.conf();
    let (code, shown, _) = Harness::command(&["config", "show", "--config-file", conf.to_str().unwrap()]);
    assert_eq!(code, 0);
    let log = std::fs::read_to_string(harness.folder.path().join("engine.log")).unwrap();
    let maas = harness.sandbox.maas_api_key();
    let password = harness.sandbox.credentials().password;
    let parts = maas.split(':').chain([password.as_str()]);
    for secret in parts.filter(|secret| secret.len() > 5) {
        assert!(!log.contains(secret), "a secret is in the log");
        assert!(!shown.contains(secret), "a secret is shown");
    }
    assert!(shown.contains("os_privileged_user_password = ***"), "{shown}");
    let host = harness
        .store
        .registry()
        .list_notifications(&super::recovery::everything())
        .await
        .unwrap();
    assert_eq!(host.len(), 1);
}

#[test]
fn a_clouds_yaml_of_somebody_else_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let clouds = folder.path().join("clouds.yaml");
    std::fs::write(&clouds, "clouds: {production: {}}\n").unwrap();
    for arguments in [
        ["sandbox", "--clouds"].as_slice(),
        &["serve", "--sandbox", "--clouds"],
    ] {
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain([clouds.to_str().unwrap()])
            .collect();
        let (code, _, stderr) = Harness::command(&arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("--clouds"), "{stderr}");
    }
    assert_eq!(
        std::fs::read_to_string(&clouds).unwrap(),
        "clouds: {production: {}}\n"
    );
}

/// Root may write in a folder without write permission, but no file can be created in `/proc`.
#[test]
fn a_folder_that_cannot_be_written_is_reported_before_anything_is_started() {
    for arguments in [&["sandbox"][..], &["serve", "--sandbox"]] {
        let arguments = [arguments, &["--clouds", "/proc/clouds.yaml"]].concat();
        let (code, printed, stderr) = Harness::command(&arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{stderr}");
        assert!(
            stderr.contains("/proc/clouds.yaml")
                && stderr.contains("name a file in another folder with --clouds"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "nothing was started: {stderr}");
    }
}

#[test]
fn a_command_that_only_asks_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("tachi.conf");
    let state = folder.path().join("state");
    std::fs::write(&conf, format!("[DEFAULT]\nstate_path = {}\n", state.display())).unwrap();
    for arguments in [["recovery", "list"].as_slice(), &["status"]] {
        let conf = ["--config-file", conf.to_str().unwrap()];
        let arguments: Vec<&str> = arguments.iter().copied().chain(conf).collect();
        let (code, _, stderr) = Harness::command(&arguments);
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.starts_with("tachi: there is no database yet at "),
            "{stderr}"
        );
    }
    assert!(!state.exists());
}
