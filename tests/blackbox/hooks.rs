//! The operator's hooks in a real engine: programs before, during and after a recovery, and an engine killed in one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::hooks::{Defaults, Hook};
use tachi_domain::policy::Policy;
use tachi_engine::ports::{Journal, OperatorJournal as _};

use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 3;
const LIMIT: Duration = Duration::from_secs(60);

/// Writes a script into the stage's folder; returns its entry for a workflow.
fn script(harness: &Harness, name: &str, text: &str) -> String {
    let path = harness.folder.path().join(name);
    std::fs::write(
        &path,
        format!("#!/bin/sh\ncd '{}'\n{text}\n", harness.folder.path().display()),
    )
    .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("exec:{}", path.display())
}

/// Writes the second `--config-file` of Masakari's deployments.
fn workflow(harness: &Harness, pre: &str, main: &str, post: &str) -> PathBuf {
    let path = harness
        .folder
        .path()
        .join("masakari-custom-recovery-methods.conf");
    let text = format!(
        "[taskflow_driver_recovery_flows]\nhost_auto_failure_recovery_tasks = \
         pre:['disable_compute_service_task',{pre}],\n  \
         main:['prepare_HA_enabled_instances_task',{main}],\n  post:['evacuate_instances_task',{post}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns a hook's input.
fn printed(harness: &Harness, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(harness.folder.path().join(file)).unwrap()).unwrap()
}

fn statuses(document: &Value) -> Vec<&str> {
    document["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one recovery from its beginning to its end")]
async fn hooks_before_during_and_after_a_recovery_are_waited_for_told_and_shown() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, INSTANCES);
    let pre = script(&harness, "pre.sh", "cat > pre.json");
    let main = script(
        &harness,
        "main.sh",
        "cat > main.part; mv main.part main.json; until [ -e go ]; do sleep 0.05; done; echo the network is ready",
    );
    let post = script(
        &harness,
        "post.sh",
        "cat > post.json; echo no such ticket >&2; exit 3",
    );
    let extra = workflow(
        &harness,
        &format!("'{pre}'"),
        &format!("'{main} a,b #timeout=50'"),
        &format!("'{post} #on_failure=continue'"),
    );
    let _engine = harness.spawn_with("engine", &[extra]);
    let _api = harness.spawn("api");
    let api = harness.api().await;
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let waits = harness.folder.path().join("main.json");
    until("the hook before the moves", LIMIT, async || waits.exists()).await;
    let before = printed(&harness, "pre.json");
    assert_eq!(
        (&before["instances"], &before["proof"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        before["notification"]["notification_uuid"],
        notification.to_string()
    );
    let during = printed(&harness, "main.json");
    assert_eq!(statuses(&during), ["pending"; INSTANCES]);
    assert!(during["proof"].as_str().unwrap().contains(HOST), "{during}");
    let region = harness.sandbox.region();
    let host = region.hosts().into_iter().find(|host| host.name == HOST).unwrap();
    assert!(
        host.forced_down,
        "the hook before the moves runs after forced_down"
    );
    assert_eq!(
        region.requests().count("#evacuate"),
        0,
        "and before the first evacuation"
    );
    let now = api.get(&format!("/notifications/{notification}")).await;
    let task = |now: &Value, name: &str| -> Value {
        let tasks = now["notification"]["recovery_workflow_details"]
            .as_array()
            .unwrap();
        tasks
            .iter()
            .find(|task| task["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(task(&now, "MainHook1Task")["state"], "RUNNING");
    std::fs::write(harness.folder.path().join("go"), "").unwrap();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    assert_eq!(
        statuses(&printed(&harness, "post.json")),
        ["succeeded"; INSTANCES]
    );
    let now = api.get(&format!("/notifications/{notification}")).await;
    let names: Vec<&str> = now["notification"]["recovery_workflow_details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "PreHook1Task",
            "FenceHostTask",
            "DisableComputeServiceTask",
            "PrepareHAEnabledInstancesTask",
            "MainHook1Task",
            "EvacuateInstancesTask",
            "PostHook1Task",
        ]
    );
    let main = task(&now, "MainHook1Task");
    assert_eq!(
        (&main["state"], main["progress"].as_f64()),
        (&"SUCCESS".into(), Some(1.0))
    );
    let last = main["progress_details"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["progress"], "1.0");
    assert!(
        last["message"]
            .as_str()
            .unwrap()
            .ends_with("main.sh: exit 0: the network is ready"),
        "{last}"
    );
    assert_eq!(task(&now, "PostHook1Task")["state"], "FAILURE");
    let message = now["notification"]["message"].as_str().unwrap();
    assert!(message.ends_with("post.sh: exit 3: no such ticket"), "{message}");
    let recovery = harness.store.operator_journal().recoveries(true).await.unwrap()[0]
        .id
        .to_string();
    let conf = harness.conf().display().to_string();
    let (code, shown, wrong) = Harness::command(&["recovery", "show", &recovery, "--config-file", &conf]);
    assert_eq!(code, 0, "{wrong}");
    assert!(shown.contains("running hook exec:"), "{shown}");
}

/// Covers R4.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_inside_a_hook_is_followed_by_one_that_does_not_run_it_again() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, INSTANCES);
    let main = script(&harness, "main.sh", "echo $$ >> runs; exec sleep 1000");
    let extra = workflow(
        &harness,
        "'no_op'",
        &format!("'{main} #timeout=3&on_failure=continue'"),
        "'no_op'",
    );
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let first = harness.spawn_with("engine", std::slice::from_ref(&extra));
    let runs = || std::fs::read_to_string(harness.folder.path().join("runs")).unwrap_or_default();
    until("the hook to run", LIMIT, async || runs().ends_with('\n')).await;
    first.kill();
    let pid = runs().trim().to_owned();
    let lives = || std::path::Path::new("/proc").join(&pid).exists();
    let second = harness.spawn_with("engine", &[extra]);
    until("the hook to end without its engine", LIMIT, async || !lives()).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    assert_eq!(runs().lines().count(), 1, "it ran once");
    let (_, message) = harness.status(notification).await;
    let message = message.unwrap();
    assert!(message.contains("its result is unknown"), "{message}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_before_the_fence_that_skips_the_recovery_leaves_everything_as_it_is() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    harness.boot(HOST, INSTANCES);
    let pre = script(&harness, "pre.sh", "echo this rack is being moved; exit 10");
    let mut policy: Policy = quick_policy();
    policy.flows.host_auto.pre = vec![Hook::parse(&pre, Defaults::default()).unwrap()];
    let journal: Arc<dyn Journal> = harness.journal();
    let engine = harness.engine(journal, policy).await;
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    let (status, message) = harness.status(notification).await;
    assert_eq!(status, NotificationStatus::Finished);
    assert!(message.unwrap().ends_with("exit 10: this rack is being moved"));
    let requests = harness.sandbox.region().requests().counts();
    let touched: Vec<_> = requests
        .keys()
        .filter(|request| {
            request.contains("#evacuate") || request.starts_with("PUT") || request.contains("power_off")
        })
        .collect();
    assert!(touched.is_empty(), "{touched:?}");
    engine.stop().await;
}
