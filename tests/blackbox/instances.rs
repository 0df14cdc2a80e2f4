//! Failures of single instances and of processes: the engine in this process, the region simulated.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::NotificationId;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::policy::Policy;
use tachi_engine::SystemClock;
use tachi_engine::ports::{
    Clock as _, Hosts as _, Notifications as _, RegistryError, Reports as _, Segments as _,
};
use tachi_sandbox::{ApiEffect, ApiFault, Boot, MoveFault, MoveFaultRule, RegionSettings, VmState};
use uuid::Uuid;

use super::recovery::everything;
use super::support::{Harness, json, quick_policy, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(40);

fn payload(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn accept(
    harness: &Harness,
    kind: NotificationType,
    pairs: &[(&str, &str)],
) -> Result<NotificationId, RegistryError> {
    let now = SystemClock.wall();
    let new = NewNotification {
        kind,
        hostname: HOST.into(),
        generated_time: now,
        payload: payload(pairs),
        evidence: None,
        reporter: None,
    };
    let accepted = harness
        .store
        .registry()
        .accept_notification(&new, 180, now)
        .await?;
    Ok(accepted.id)
}

/// Posts the report of an instance monitor.
async fn failed(
    harness: &Harness,
    server: Uuid,
    event: &str,
    detail: &str,
) -> Result<NotificationId, RegistryError> {
    let id = server.to_string();
    let pairs = [
        ("event", event),
        ("vir_domain_event", detail),
        ("instance_uuid", id.as_str()),
    ];
    accept(harness, NotificationType::Vm, &pairs).await
}

async fn crashed(harness: &Harness, server: Uuid) -> NotificationId {
    harness.sandbox.region().faults().crash_guest(server).unwrap();
    failed(harness, server, "LIFECYCLE", "STOPPED_FAILED")
        .await
        .unwrap()
}

/// Posts the report of a process monitor.
async fn stopped(harness: &Harness, process: &str) -> NotificationId {
    let pairs = [("event", "STOPPED"), ("process_name", process)];
    accept(harness, NotificationType::Process, &pairs).await.unwrap()
}

async fn until_closed(harness: &Harness, id: NotificationId) -> (NotificationStatus, String) {
    let what = format!("notification {id} to end");
    until(&what, LIMIT, async || !harness.status(id).await.0.is_open()).await;
    let (status, message) = harness.status(id).await;
    (status, message.unwrap_or_default())
}

async fn host_is_on_maintenance(harness: &Harness) -> bool {
    let segments = harness
        .store
        .registry()
        .list_segments(&everything())
        .await
        .unwrap();
    let hosts = harness
        .store
        .registry()
        .list_hosts(segments[0].id, &everything())
        .await
        .unwrap();
    hosts.iter().any(|host| host.name == HOST && host.on_maintenance)
}

/// Asserts that the instance was stopped and started once, is active on its host, and never ran elsewhere.
fn assert_restarted(harness: &Harness, server: Uuid, stops: u64) {
    let region = harness.sandbox.region();
    let server_state = region.server(server).unwrap();
    assert_eq!(
        (server_state.vm_state, server_state.task_state),
        (VmState::Active, None)
    );
    assert_eq!(
        (server_state.host.as_deref(), server_state.runs_on),
        (Some(HOST), vec![HOST.to_owned()])
    );
    assert_eq!(
        region.runs(server).len(),
        2,
        "once before and once after the crash"
    );
    assert_eq!(region.double_runs(), 0);
    assert_eq!(calls(harness), (stops, 1));
}

/// Returns the number of stop and of start calls.
fn calls(harness: &Harness) -> (u64, u64) {
    let requests = harness.sandbox.region().requests();
    (requests.count("#os-stop"), requests.count("#os-start"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_instance_runs_again_exactly_once() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let notification = crashed(&harness, server).await;
    assert_eq!(harness.sandbox.region().lost(&[server]), [server]);
    // The monitor repeats its report during the recovery.
    let again = failed(&harness, server, "QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED").await;
    assert!(matches!(again, Err(RegistryError::Duplicate)), "{again:?}");
    harness.until_finished(notification, LIMIT).await;
    assert_restarted(&harness, server, 1);
    let tasks = harness.store.registry().progress(notification).await.unwrap();
    let names: Vec<_> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "StopInstanceTask",
            "StartInstanceTask",
            "ConfirmInstanceActiveTask"
        ]
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_nova_has_found_stopped_is_only_started() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    region.faults().crash_guest(server).unwrap();
    region
        .faults()
        .set_server_state(server, VmState::Stopped, None)
        .unwrap();
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let notification = failed(&harness, server, "LIFECYCLE", "STOPPED_FAILED")
        .await
        .unwrap();
    harness.until_finished(notification, LIMIT).await;
    assert_restarted(&harness, server, 0);
    engine.stop().await;
}

/// Covers R5.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_a_killed_engine_cost_no_second_stop_of_the_started_instance() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let once = |route: &str| ApiFault {
        times: Some(1),
        ..ApiFault::always(route, ApiEffect::BreakAfterAct)
    };
    let faults = harness.sandbox.region().api_faults();
    faults.add(once("#os-stop"));
    faults.add(once("#os-start"));
    let first = harness.engine(harness.journal(), quick_policy()).await;
    let notification = crashed(&harness, server).await;
    until("the stop", LIMIT, async || calls(&harness).0 == 1).await;
    first.kill().await;
    let second = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    assert_restarted(&harness, server, 1);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_restarted_is_left_as_it_is() {
    use NotificationStatus::{Finished, Ignored};
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let failure = ("LIFECYCLE", "STOPPED_FAILED");
    let marked = || Boot::on(HOST, 1).metadata("HA_Enabled", "True");
    let cases = [
        ("not marked", Boot::on(HOST, 1), failure, Finished, "Skipped"),
        (
            "marked off",
            Boot::on(HOST, 1).metadata("HA_Enabled", "no"),
            failure,
            Finished,
            "Skipped",
        ),
        (
            "paused",
            marked().vm_state(VmState::Paused),
            failure,
            Ignored,
            "is paused",
        ),
        (
            "rescued",
            marked().vm_state(VmState::Rescued),
            failure,
            Ignored,
            "is rescued",
        ),
        (
            "noise",
            marked(),
            ("LIFECYCLE", "STOPPED_DESTROYED"),
            Ignored,
            "not a failure",
        ),
        (
            "other noise",
            marked(),
            ("REBOOT", "UNKNOWN"),
            Ignored,
            "not a failure",
        ),
    ];
    for (case, boot, (event, detail), expected, part) in cases {
        let server = region.boot(&boot).unwrap()[0];
        let before = region.server(server).unwrap();
        let notification = failed(&harness, server, event, detail).await.unwrap();
        let (status, message) = until_closed(&harness, notification).await;
        assert_eq!(status, expected, "{case}: {message}");
        assert!(message.contains(part), "{case}: {message}");
        assert_eq!(region.server(server).unwrap(), before, "{case}");
    }
    let gone = failed(&harness, Uuid::from_u128(4), failure.0, failure.1)
        .await
        .unwrap();
    let (status, message) = until_closed(&harness, gone).await;
    assert_eq!(
        (status, message.as_str()),
        (Ignored, "the instance does not exist")
    );
    assert_eq!(calls(&harness), (0, 0));
    engine.stop().await;
}

/// Covers R12.
#[tokio::test(flavor = "multi_thread")]
async fn no_start_goes_to_a_host_that_is_being_recovered() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    // One report just before the host dies, without an engine.
    let before = crashed(&harness, servers[0]).await;
    region.faults().power_loss(HOST).unwrap();
    let host = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let (status, message) = until_closed(&harness, before).await;
    assert_eq!(status, NotificationStatus::Ignored, "{message}");
    // One more while the host is in maintenance for its recovery, or before: neither may cause a call.
    match failed(&harness, servers[1], "LIFECYCLE", "STOPPED_FAILED").await {
        Ok(during) => assert_eq!(
            until_closed(&harness, during).await.0,
            NotificationStatus::Ignored
        ),
        Err(error) => assert!(matches!(error, RegistryError::OnMaintenance { .. }), "{error}"),
    }
    harness.until_finished(host, LIMIT).await;
    assert_eq!(calls(&harness), (0, 0));
    assert_eq!(
        region.host(HOST).unwrap().queued,
        0,
        "nothing waits for the host's return"
    );
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers R12.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_nova_compute_is_down_gets_no_call_until_it_is_back() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    region.faults().agent_stop(HOST).unwrap();
    until("Nova to see it down", LIMIT, async || {
        !region.host(HOST).unwrap().up
    })
    .await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let notification = crashed(&harness, server).await;
    until("it to show why it waits", LIMIT, async || {
        harness
            .status(notification)
            .await
            .1
            .is_some_and(|message| message.contains("is down: waiting"))
    })
    .await;
    assert_eq!(harness.status(notification).await.0, NotificationStatus::Running);
    assert_eq!(calls(&harness), (0, 0));
    assert_eq!(region.host(HOST).unwrap().queued, 0);
    region.faults().agent_start(HOST).unwrap();
    harness.until_finished(notification, LIMIT).await;
    assert_restarted(&harness, server, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_nova_compute_is_disabled_with_our_mark() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let notification = stopped(&harness, "nova-compute").await;
    harness.until_finished(notification, LIMIT).await;
    let host = region.host(HOST).unwrap();
    assert!(!host.enabled && !host.forced_down, "{host:?}");
    let reason = host.disabled_reason.unwrap();
    assert!(
        reason.starts_with("Masakari detected process failed. [tachi "),
        "{reason}"
    );
    assert!(host_is_on_maintenance(&harness).await);
    assert_eq!(region.server(server).unwrap().runs_on, [HOST], "instances run on");
    assert_eq!(calls(&harness), (0, 0));
    engine.stop().await;
}

/// Covers EW5.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lost_a_process_is_recovered_when_it_dies() {
    for (process, touches) in [("snmpd", false), ("libvirtd", true), ("nova-compute", true)] {
        let harness = Harness::set(quick_region(4)).await;
        harness.protect().await;
        let servers = harness.boot(HOST, 2);
        let region = harness.sandbox.region();
        let policy = Policy {
            non_essential_processes: vec!["snmpd".to_owned()],
            ..quick_policy()
        };
        let engine = harness.engine(harness.journal(), policy).await;
        let notification = stopped(&harness, process).await;
        harness.until_finished(notification, LIMIT).await;
        assert_eq!(region.host(HOST).unwrap().enabled, !touches, "{process}");
        assert_eq!(host_is_on_maintenance(&harness).await, touches, "{process}");
        region.faults().power_loss(HOST).unwrap();
        let host = harness.report(HOST).await;
        harness.until_finished(host, LIMIT).await;
        harness.assert_each_exactly_once(&servers, HOST);
        engine.stop().await;
    }
}

/// Covers C15.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_restarted_wherever_nova_shows_it() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let other_host = "compute-002";
    let server = harness.boot(other_host, 1)[0];
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    let region = harness.sandbox.region();
    region.faults().crash_guest(server).unwrap();
    let reported = failed(&harness, server, "LIFECYCLE", "STOPPED_FAILED")
        .await
        .unwrap();
    let (status, message) = until_closed(&harness, reported).await;
    assert_eq!(status, NotificationStatus::Finished, "{message}");
    assert_eq!(region.server(server).unwrap().host.as_deref(), Some(other_host));
    engine.stop().await;
}

/// Compared with the machines' ledger: exactly the instances that should run and do not are counted as down and named.
/// Covers R36.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_restart_failed_is_down_in_every_view_until_it_runs() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 4);
    let region = harness.sandbox.region();
    let resting = region
        .boot(&Boot::on(HOST, 1).vm_state(VmState::Stopped))
        .unwrap();
    let refused = ApiEffect::Status {
        status: 400,
        retry_after: None,
    };
    region.api_faults().add(ApiFault::always("#os-start", refused));
    let _engine = harness.spawn("engine");
    let limit = Duration::from_secs(90);
    let counted = || json(&harness, &["status"])["instances"].clone();
    until("all to be protected", limit, async || counted()["protected"] == 5).await;
    crashed(&harness, servers[0]).await;
    // A tenant's own stop is no outage.
    assert_eq!(
        harness
            .act(servers[1], &serde_json::json!({"os-stop": null}))
            .await,
        202
    );
    let found = |status_view: &serde_json::Value| {
        let findings = status_view["findings"].as_array().unwrap().iter();
        let down = findings.filter(|finding| finding["code"] == "INSTANCE_DOWN" && finding["grade"] == "err");
        down.cloned().collect::<Vec<_>>()
    };
    until("it to be down", limit, async || {
        let status_view = json(&harness, &["status"]);
        let stopped = region.server(servers[1]).unwrap().vm_state == VmState::Stopped;
        // Before Nova is listed again, it is shown as running, and a reboot is proposed.
        let cure = format!("openstack server start {}", servers[0]);
        let is_shown_stopped = found(&status_view).iter().any(|one| one["fix"] == cure.as_str());
        stopped && is_shown_stopped && status_view["instances"]["unknown"] == 0
    })
    .await;
    let status_view = json(&harness, &["status"]);
    let down = region.lost(&[servers[0], servers[2], servers[3]]);
    assert_eq!(down, [servers[0]]);
    let names: Vec<String> = down.iter().map(|id| region.server(*id).unwrap().name).collect();
    assert_eq!(found(&status_view)[0]["subjects"], serde_json::json!(names));
    assert_eq!(
        (
            &status_view["instances"]["down"],
            &status_view["instances"]["protected"]
        ),
        (&serde_json::json!(1), &serde_json::json!(4)),
        "{resting:?}: {status_view}"
    );
    let (code, text, _) = run(&harness, &["status", "--check"]);
    assert_eq!(code, 2, "{text}");
    let (_, text, _) = run(&harness, &["explain", &names[0]]);
    assert!(text.contains("INSTANCE_DOWN"), "{text}");
    // The printed command fixes it.
    let typed = found(&status_view)[0]["fix"].as_str().unwrap().to_owned();
    assert_eq!(typed, format!("openstack server start {}", servers[0]));
    region.api_faults().clear();
    assert_eq!(
        harness
            .act(servers[0], &serde_json::json!({"os-start": null}))
            .await,
        202
    );
    until("it to be protected", limit, async || counted()["protected"] == 5).await;
}

/// Nova records a stop of its own of a guest that it finds shut down, and its record of actions shows no cause.
/// Covers R36.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_recovery_gave_up_is_down_although_nova_has_stopped_it() {
    let settings = RegionSettings {
        power_sync_interval: Duration::from_millis(100),
        ..quick_region(3)
    };
    let harness = Harness::set(settings).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    let extra = harness.folder.path().join("budget.conf");
    let budget = "[instance_failure]\nmax_restarts = 1\nmax_moves = 0\n";
    std::fs::write(&extra, budget).unwrap();
    let _engine = harness.spawn_with("engine", &[extra]);
    let limit = Duration::from_secs(90);
    let counted = |kind: &str| json(&harness, &["status"])["instances"][kind].clone();
    until("it to be protected", limit, async || counted("protected") == 1).await;
    for expected in [NotificationStatus::Finished, NotificationStatus::Failed] {
        let notification = crashed(&harness, server).await;
        let (status, message) = until_closed(&harness, notification).await;
        assert_eq!(status, expected, "{message}");
    }
    // Nova has not noticed yet.
    assert_eq!(region.server(server).unwrap().vm_state, VmState::Active);
    let reason = "max_restarts allows 1";
    assert_given_up(&harness, server, "reboot --hard", reason);
    // Its nova-compute compares the power states a moment after it has started.
    region.faults().agent_stop(HOST).unwrap();
    region.faults().agent_start(HOST).unwrap();
    until("Nova to stop it", limit, async || {
        region.server(server).unwrap().vm_state == VmState::Stopped
    })
    .await;
    until("the start to be proposed", limit, async || {
        let status_view = json(&harness, &["status"]).to_string();
        status_view.contains(&format!("openstack server start {server}"))
    })
    .await;
    assert_given_up(&harness, server, "start", reason);
    let answer = harness.act(server, &serde_json::json!({"os-start": null})).await;
    assert_eq!(answer, 202);
    until("it to be protected", limit, async || counted("protected") == 1).await;
}

/// Asserts that every view names the instance, the reason for which its recovery gave up, and the remedy.
fn assert_given_up(harness: &Harness, server: Uuid, command: &str, reason: &str) {
    let status_view = json(harness, &["status"]);
    let mut found = status_view["findings"].as_array().unwrap().iter();
    let down = found.find(|one| one["code"] == "INSTANCE_DOWN").unwrap();
    let name = harness.sandbox.region().server(server).unwrap().name;
    assert_eq!(down["grade"], "err", "{status_view}");
    assert_eq!(down["subjects"], serde_json::json!([name]), "{status_view}");
    assert!(down["text"].as_str().unwrap().contains(reason), "{status_view}");
    assert_eq!(down["fix"], format!("openstack server {command} {server}"));
    assert_eq!(status_view["instances"]["down"], 1, "{status_view}");
    assert_eq!(run(harness, &["status", "--check"]).0, 2);
    let (_, text, _) = run(harness, &["explain", &name]);
    assert!(text.contains("INSTANCE_DOWN") && text.contains(reason), "{text}");
}

/// Nova still shows such an instance as active.
/// Covers C3, R36.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_could_not_be_stopped_in_time_is_down_in_every_view() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    let policy = Policy {
        stop_limit: Duration::from_secs(2),
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    let refused = ApiEffect::Status {
        status: 409,
        retry_after: None,
    };
    region.api_faults().add(ApiFault::always("#os-stop", refused));
    let notification = crashed(&harness, server).await;
    let (status, message) = until_closed(&harness, notification).await;
    assert_eq!(status, NotificationStatus::Failed, "{message}");
    engine.stop().await;
    let _engine = harness.spawn("engine");
    let limit = Duration::from_secs(90);
    let counted = |kind: &str| json(&harness, &["status"])["instances"][kind].clone();
    until("it to be listed", limit, async || counted("down") == 1).await;
    assert_given_up(&harness, server, "reboot --hard", &message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_start_on_its_host_runs_on_another_one_afterwards() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let server = harness.boot(HOST, 1)[0];
    let region = harness.sandbox.region();
    let fails = MoveFaultRule::always(MoveFault::StartFails).dest(HOST);
    region.faults().add_move_fault(fails);
    let policy = Policy {
        start_limit: Duration::from_secs(2),
        ..quick_policy()
    };
    let engine = harness.engine(harness.journal(), policy).await;
    let notification = crashed(&harness, server).await;
    harness.until_finished(notification, LIMIT).await;
    let server_state = region.server(server).unwrap();
    assert_eq!(
        (server_state.vm_state, server_state.task_state),
        (VmState::Active, None)
    );
    let host = server_state.host.unwrap();
    assert_ne!(host, HOST);
    assert_eq!(server_state.runs_on, std::slice::from_ref(&host));
    assert_eq!(region.double_runs(), 0);
    let requests = region.requests();
    let counts = ["#migrate", "#confirmResize", "#evacuate"].map(|action| requests.count(action));
    assert_eq!(counts, [1, 1, 0]);
    let (_, message) = harness.status(notification).await;
    let message = message.unwrap();
    assert!(message.contains(&format!("was moved to {host}")), "{message}");
    engine.stop().await;
}
