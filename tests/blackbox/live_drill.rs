//! `tachi drill --live`, by the real binary: it powers a host off, so most tests are about its safety.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tachi_domain::situation::Severity;
use tachi_engine::ports::{EngineRegistry as _, Jobs as _};
use tachi_sandbox::Boot;
use uuid::Uuid;

use super::support::{Harness, Process, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);

/// Starts a region in which a canary takes this long to build, and an engine; waits for a forecast.
async fn harness(build: Duration) -> (Harness, Process) {
    let mut region = quick_region(4);
    region.build_time = build;
    let harness = Harness::set(region).await;
    harness.protect().await;
    let engine = harness.spawn("engine");
    until("an engine and a forecast", LIMIT, async || {
        let there = !harness
            .store
            .engine_registry()
            .engines()
            .await
            .unwrap()
            .is_empty();
        there && json(&harness, &["forecast"])["segments"][0]["headroom"].as_u64() > Some(0)
    })
    .await;
    (harness, engine)
}

async fn image(harness: &Harness) -> String {
    let url = format!("{}/image/v2/images", harness.sandbox.urls().base);
    let all: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    all["images"][0]["id"].as_str().unwrap().to_owned()
}

async fn arguments(harness: &Harness, notice: &str) -> Vec<String> {
    let image = image(harness).await;
    let arguments = [
        "drill", HOST, "--live", "--canary", "2", "--image", &image, "--flavor", "1", "--notice", notice,
        "--yes",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// Starts the command, while the test continues.
async fn start_drill(harness: &Harness, notice: &str) -> Child {
    start_drill_with(harness, notice, "").await
}

/// As `start_drill`, with additional lines of configuration.
async fn start_drill_with(harness: &Harness, notice: &str, lines: &str) -> Child {
    let more = harness.folder.path().join("drill.conf");
    std::fs::write(&more, lines).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tachi"))
        .args(arguments(harness, notice).await)
        .args(["-f", "json", "--config-file"])
        .arg(harness.conf())
        .arg("--config-file")
        .arg(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns exit code, standard output and standard error.
async fn ended(drill: Child) -> (i32, String, String) {
    let waited = tokio::task::spawn_blocking(move || drill.wait_with_output().unwrap());
    let out = waited.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        out.status.code().unwrap_or(-1),
        text(&out.stdout),
        text(&out.stderr),
    )
}

/// Returns the canaries in Nova.
fn canaries(harness: &Harness) -> Vec<Uuid> {
    let all = harness.sandbox.region().snapshot().into_iter();
    all.filter(|one| one.name.starts_with("tachi-canary-"))
        .map(|one| one.id)
        .collect()
}

/// Counts the power-off orders.
fn orders(harness: &Harness) -> u64 {
    let counts = harness.sandbox.region().requests().counts();
    let off = counts.iter().filter(|(route, _)| route.contains("power_off"));
    off.map(|(_, count)| *count).sum()
}

fn runs(harness: &Harness) -> bool {
    harness.sandbox.region().host(HOST).unwrap().power
}

async fn grade(harness: &Harness) -> (Option<Severity>, String) {
    let lines = harness.store.jobs().jobs().await.unwrap();
    let row = lines
        .into_iter()
        .find(|line| line.name == "live drill compute-001");
    let end = row.unwrap().end;
    end.map_or((None, String::new()), |end| (Some(end.grade), end.details))
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_live_drill_kills_a_host_with_canaries_alone_and_measures_how_they_come_back() {
    let (harness, _engine) = harness(Duration::from_millis(300)).await;
    let others = harness.boot("compute-002", 3);
    let drill = start_drill(&harness, "1m").await;
    until("the host to be switched off", LIMIT, async || !runs(&harness)).await;
    let canaries = canaries(&harness);
    assert_eq!(canaries.len(), 2);
    assert_eq!(orders(&harness), 1);
    harness.report(HOST).await;
    let (code, printed, note) = ended(drill).await;
    assert_eq!(code, 0, "{printed}{note}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["grade"], "ok", "{printed:#}");
    assert_eq!(printed["unnoticed_for_seconds"], Value::Null);
    assert_eq!(printed["status"], "finished");
    for canary in printed["canaries"].as_array().unwrap() {
        assert_ne!(canary["to"], HOST);
        assert!(
            canary["down_seconds"].as_f64() > printed["noticed_seconds"].as_f64(),
            "{canary:#}"
        );
    }
    assert_eq!(printed["others"], serde_json::json!([]));
    assert_eq!(self::canaries(&harness), Vec::<Uuid>::new(), "they are deleted");
    let region = harness.sandbox.region();
    assert_eq!(region.double_runs(), 0);
    assert_eq!(region.lost(&others), Vec::<Uuid>::new());
    assert!(
        others
            .iter()
            .all(|id| region.server(*id).unwrap().host.as_deref() == Some("compute-002"))
    );
    assert_eq!(grade(&harness).await.0, Some(Severity::Ok));
    let shown = region.host(HOST).unwrap();
    assert!(!shown.enabled && !shown.power);
    let reason = shown.disabled_reason.unwrap();
    assert!(reason.starts_with("live drill [tachi drain "), "{reason}");

    // It is returned to service like any other host.
    region.faults().power_on(HOST).unwrap();
    let back = ["host", "return", HOST, "--do", "--reason", "a drill", "--yes"];
    until("the host to be returned to service", LIMIT, async || {
        run(&harness, &back).0 == 0
    })
    .await;
    assert!(region.host(HOST).unwrap().enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_live_drill_reports_a_host_that_no_monitor_has_noticed() {
    let (harness, _engine) = harness(Duration::from_millis(300)).await;
    let (code, printed, note) = ended(start_drill(&harness, "1s").await).await;
    assert_eq!(code, 1, "{printed}{note}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&printed["grade"], &printed["unnoticed_for_seconds"]),
        (&"warn".into(), &1.into())
    );
    assert!(
        printed["sentence"]
            .as_str()
            .unwrap()
            .contains("NO MONITOR reported it within 1 s")
    );
    assert!(note.contains("the drill reports it"), "{note}");
    assert_eq!(canaries(&harness), Vec::<Uuid>::new());
    assert_eq!(harness.sandbox.region().double_runs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_live_drill_touches_nothing_of_a_host_with_somebodys_instance() {
    let (harness, _engine) = harness(Duration::from_millis(300)).await;
    let region = harness.sandbox.region();
    let theirs = harness.boot(HOST, 1);
    region.requests().clear();
    let arguments = arguments(&harness, "1s").await;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, printed, note) = run(&harness, &arguments);
    assert_eq!(code, 1, "{printed}{note}");
    assert!(
        note.contains("cannot be drilled live now") && note.contains("tachi host drain compute-001"),
        "{note}"
    );
    let changed = region.requests().counts().into_keys();
    let changed: Vec<String> = changed
        .filter(|route| !route.starts_with("GET ") && !route.contains("auth/tokens"))
        .collect();
    assert_eq!(changed, Vec::<String>::new());
    assert!(runs(&harness) && region.server(theirs[0]).unwrap().host.as_deref() == Some(HOST));
    // Without a terminal --yes is required, and missing options are named.
    let (code, _, note) = run(&harness, &["drill", HOST, "--live"]);
    assert!(code == 2 && note.contains("--canary"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_live_drill_ends_when_somebody_comes_while_its_canaries_are_built() {
    let (harness, _engine) = harness(Duration::from_secs(4)).await;
    let drill = start_drill(&harness, "1s").await;
    until("canaries to be requested", LIMIT, async || {
        canaries(&harness).len() == 2
    })
    .await;
    let region = harness.sandbox.region();
    let theirs = region.boot(&Boot::on(HOST, 1)).unwrap();
    let (code, printed, note) = ended(drill).await;
    assert_eq!(code, 1, "{printed}{note}");
    assert!(
        note.contains("was not powered off: instance") && note.contains("its service is as it was"),
        "{note}"
    );
    assert_eq!(orders(&harness), 0);
    assert!(runs(&harness) && region.host(HOST).unwrap().enabled);
    assert_eq!(canaries(&harness), Vec::<Uuid>::new());
    assert_eq!(region.server(theirs[0]).unwrap().host.as_deref(), Some(HOST));
    assert_eq!(grade(&harness).await.0, Some(Severity::Err));
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_live_drill_that_is_stopped_or_killed_leaves_nothing_that_cannot_be_cleaned_up() {
    let (harness, _engine) = harness(Duration::from_secs(4)).await;
    let region = harness.sandbox.region();
    let drill = start_drill(&harness, "1s").await;
    until("canaries to be requested", LIMIT, async || {
        canaries(&harness).len() == 2
    })
    .await;
    interrupt(&drill);
    let (code, _, note) = ended(drill).await;
    assert_eq!(code, 1);
    assert!(
        note.contains("stopped by Ctrl-C; the canaries are deleted"),
        "{note}"
    );
    assert_eq!(canaries(&harness), Vec::<Uuid>::new());

    let mut drill = start_drill(&harness, "1s").await;
    until("canaries to be requested", LIMIT, async || {
        canaries(&harness).len() == 2
    })
    .await;
    drill.kill().unwrap();
    drill.wait().unwrap();
    // The next drill resumes nothing, and refuses to start beside leftovers.
    let arguments = arguments(&harness, "1s").await;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, _, note) = run(&harness, &arguments);
    assert_eq!(code, 1);
    assert!(note.contains("tachi drill compute-001 --clean-up"), "{note}");
    // An instance of another project that looks like a canary must not be deleted.
    let alike = region
        .boot(&Boot::on("compute-002", 1).metadata("tachi_drill_host", HOST))
        .unwrap();
    let (code, printed, note) = run(&harness, &["drill", HOST, "--clean-up", "--yes"]);
    assert_eq!(code, 0, "{printed}{note}");
    assert!(printed.contains("2 canaries deleted"), "{printed}");
    assert_eq!(canaries(&harness), Vec::<Uuid>::new());
    assert!(region.server(alike[0]).is_ok());
    assert_eq!(grade(&harness).await.0, Some(Severity::Unknown));
    let (code, printed, _) = run(&harness, &["drill", HOST, "--clean-up", "--yes"]);
    assert!(code == 0 && printed.contains("no canaries"), "{printed}");
    assert!(runs(&harness));
    assert_eq!(orders(&harness), 0);
}

/// Time that a drill waits before its last check, with its canaries built and the host disabled.
const PROXY_HOLD_CONF: &str = "[recovery]\nproxy_hold = 12\n";

/// An operator's reason to disable the host.
const BROKEN: &str = "RAID controller is broken, do not enable";

async fn until_closed(harness: &Harness) {
    until("the host to be closed for the drill", LIMIT, async || {
        let shown = harness.sandbox.region().host(HOST).unwrap();
        shown
            .disabled_reason
            .is_some_and(|reason| reason.starts_with("live drill ["))
    })
    .await;
}

fn interrupt(drill: &Child) {
    let pid = rustix::process::Pid::from_child(drill);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// Covers R30.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_whose_host_fails_by_itself_leaves_its_service_to_the_recovery() {
    let (harness, _engine) = harness(Duration::from_millis(300)).await;
    let region = harness.sandbox.region();
    let drill = start_drill_with(&harness, "1m", PROXY_HOLD_CONF).await;
    until_closed(&harness).await;
    region.faults().power_loss(HOST).unwrap();
    let report = harness.report(HOST).await;
    harness.until_finished(report, LIMIT).await;
    let (code, printed, note) = ended(drill).await;
    assert_eq!(code, 1, "{printed}{note}");
    assert!(
        note.contains("was not powered off") && note.contains("its service is LEFT AS IT IS: its recovery "),
        "{note}"
    );
    assert_eq!(orders(&harness), 0);
    let shown = region.host(HOST).unwrap();
    assert!(!shown.enabled && shown.forced_down, "{shown:?}");

    // Nor when it is back: no operator has checked it yet.
    region.faults().power_on(HOST).unwrap();
    until("forced_down to be cleared", LIMIT, async || {
        !region.host(HOST).unwrap().forced_down
    })
    .await;
    assert!(!region.host(HOST).unwrap().enabled);
    assert_eq!(canaries(&harness), Vec::<Uuid>::new());
    assert_eq!(region.double_runs(), 0);
}

/// Covers R30.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_leaves_a_service_that_an_operator_has_disabled() {
    let (harness, _engine) = harness(Duration::from_secs(3)).await;
    let region = harness.sandbox.region();
    // Right before the drill closes the host, or right after; while it waits; and right before Ctrl-C.
    for (closed, stopped) in [(false, false), (true, false), (true, true)] {
        let drill = start_drill_with(&harness, "1m", PROXY_HOLD_CONF).await;
        if closed {
            until_closed(&harness).await;
        } else {
            until("canaries to be built", LIMIT, async || {
                let host = |id: Uuid| region.server(id).ok().and_then(|server| server.host);
                let built = canaries(&harness).into_iter().filter_map(host);
                built.filter(|host| host == HOST).count() == 2
            })
            .await;
        }
        region.operator().set_service(HOST, false, Some(BROKEN)).unwrap();
        if stopped {
            interrupt(&drill);
        }
        let (code, printed, note) = ended(drill).await;
        assert_eq!(code, 1, "{printed}{note}");
        let shown = region.host(HOST).unwrap();
        assert!(!shown.enabled, "closed {closed}, stopped {stopped}: {note}");
        assert_eq!(shown.disabled_reason.as_deref(), Some(BROKEN), "{note}");
        let expected = "meanwhile: it is disabled (RAID";
        assert!(
            note.contains(expected),
            "closed {closed}, stopped {stopped}: {note}"
        );
        let left = note.contains("its service is LEFT AS IT IS: another actor has changed it");
        assert!(left || !closed, "closed {closed}, stopped {stopped}: {note}");
        assert_eq!(canaries(&harness), Vec::<Uuid>::new());
        region.operator().set_service(HOST, true, None).unwrap();
    }
    assert!(runs(&harness) && orders(&harness) == 0);

    // A host that a person has drained was opened for the canaries, and is closed again for the same reason.
    let drained = "firmware (drained by ada) [tachi drain 1]";
    region.operator().set_service(HOST, false, Some(drained)).unwrap();
    let drill = start_drill(&harness, "1m").await;
    until("canaries to be requested", LIMIT, async || {
        canaries(&harness).len() == 2
    })
    .await;
    interrupt(&drill);
    let (_, _, note) = ended(drill).await;
    assert!(note.contains("its service is as it was"), "{note}");
    let shown = region.host(HOST).unwrap();
    assert_eq!(
        (shown.enabled, shown.disabled_reason.as_deref()),
        (false, Some(drained)),
        "{note}"
    );
}
