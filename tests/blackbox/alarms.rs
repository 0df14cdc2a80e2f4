//! A loss of protection is reported within a minute, by the real binary, in real time, with the default timeouts; no row is aged. The cases
//! run concurrently, each in its own region.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::Value;
use tachi_engine::ports::FactStore as _;
use tachi_sandbox::{ApiEffect, ApiFault, Fleet, PowerQuery, RegionSettings};

use super::support::{Api, Harness, Process, json, until};

/// Maximum time from the event to the alarm.
const ALARM_TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout for the initial healthy state.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Heartbeat interval of the monitors.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// The default timeouts; those of the stage are short.
const SHIPPED: &str = "[recovery]\ncall_deadline = 20\nproxy_hold = 60\nsweep_interval = 2\nheartbeat_poll_interval = 5\n\
                       tick_interval = 0.5\n[fencing]\nstorm_cliff_interval = 10\n";

/// Findings until an engine has read the region.
const INITIAL_CODES: [&str; 6] = [
    "NO_ENGINE",
    "NOVA_AWAY",
    "FACTS_OLD",
    "INSTANCES_NOT_LISTED",
    "FENCE_NOT_TESTED",
    "ROOM_UNKNOWN",
];

/// A region with default timeouts and additional lines of configuration.
struct Scene {
    harness: Harness,
    files: Vec<PathBuf>,
    engines: Vec<Process>,
}

impl Scene {
    async fn set(more: &str, engines: usize) -> Self {
        let region = RegionSettings {
            fleet: Fleet {
                hosts: 4,
                ..Fleet::default()
            },
            ..RegionSettings::default()
        };
        let harness = Harness::set(region).await;
        harness.protect().await;
        let file = harness.folder.path().join("more.conf");
        std::fs::write(&file, format!("{SHIPPED}{more}")).unwrap();
        let files = vec![file];
        // Each engine has its own host name: an engine with the same name would replace it.
        let engines = (1..=engines).map(|number| {
            let own = harness.folder.path().join(format!("ctl-{number}.conf"));
            std::fs::write(&own, format!("[DEFAULT]\nhost = ctl-{number}\n")).unwrap();
            harness.spawn_with("engine", &[files.as_slice(), &[own]].concat())
        });
        let engines = engines.collect();
        let scene = Self {
            harness,
            files,
            engines,
        };
        until("everything to be known", READY_TIMEOUT, async || {
            let (_, found) = scene.check();
            !found.iter().any(|code| INITIAL_CODES.contains(&code.as_str()))
        })
        .await;
        scene
    }

    /// Runs a command with the engines' configuration.
    fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let conf = self.harness.conf();
        let mut all = arguments.to_vec();
        for file in std::iter::once(&conf).chain(&self.files) {
            all.extend(["--config-file", file.to_str().unwrap()]);
        }
        Harness::command(&all)
    }

    /// Returns the exit code of `status --check`, and the codes of its findings.
    fn check(&self) -> (i32, Vec<String>) {
        let (code, printed, note) = self.command(&["status", "--check", "-f", "json"]);
        let printed: Value =
            serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{code}: {printed}{note}"));
        let findings = printed["findings"].as_array().unwrap().iter();
        let codes = findings.map(|finding| finding["code"].as_str().unwrap().to_owned());
        (code, codes.collect())
    }

    /// Waits until `status --check` fails with each of these alarms.
    async fn alarmed(&self, event: Instant, alarms: &[Alarm<'_>]) {
        let mut open: Vec<&Alarm<'_>> = alarms.iter().collect();
        while !open.is_empty() {
            let (exit, found) = self.check();
            let after = event.elapsed();
            open.retain(|alarm| {
                let printed =
                    exit >= alarm.exit && found.iter().any(|code| alarm.codes.contains(&code.as_str()));
                if printed {
                    println!(
                        "{}: reported after {:.0} s: {found:?}",
                        alarm.name,
                        after.as_secs_f64()
                    );
                }
                !printed
            });
            let silent: Vec<&str> = open.iter().map(|alarm| alarm.name).collect();
            assert!(
                open.is_empty() || after < ALARM_TIMEOUT,
                "not reported within {ALARM_TIMEOUT:?}: {silent:?}; exit {exit}, found {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// An expected alarm.
struct Alarm<'a> {
    name: &'a str,
    /// One of these findings is required.
    codes: &'a [&'a str],
    /// The minimum exit code of `status --check`.
    exit: i32,
}

impl<'a> Alarm<'a> {
    const fn new(name: &'a str, codes: &'a [&'a str], exit: i32) -> Self {
        Self { name, codes, exit }
    }
}

/// Sends heartbeats like a monitor until it is dropped, which looks like a killed or frozen monitor.
fn spawn_heartbeats(api: Api, host: &'static str, kind: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            assert_eq!(
                api.send_heartbeat(host, kind, &["compute-002", "compute-003"])
                    .await,
                204
            );
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    })
}

async fn monitors_and_a_bmc_and_one_of_two_engines() {
    let mut scene = Scene::set("", 2).await;
    let _api = scene.harness.spawn_with("api", &scene.files);
    let mut monitors = Vec::new();
    for kind in ["host", "process"] {
        monitors.push(spawn_heartbeats(scene.harness.api().await, "compute-001", kind));
    }
    until("the monitors to have signed", READY_TIMEOUT, async || {
        json(&scene.harness, &["monitor", "list"])
            .as_array()
            .unwrap()
            .len()
            == 2
    })
    .await;
    let event = Instant::now();
    for monitor in monitors {
        monitor.abort();
    }
    let region = scene.harness.sandbox.region();
    region
        .faults()
        .maas_query("compute-003", PowerQuery::Hangs)
        .unwrap();
    // The engine that does not watch: the watcher is replaced after half a minute, and tests the devices with the oldest results first.
    let watcher = scene.harness.store.facts().facts(Some("watcher")).await.unwrap();
    let first_watches = watcher[0].value.contains("ctl-1:");
    scene.engines.remove(usize::from(first_watches)).kill();
    let alarms = [
        Alarm::new("monitors killed", &["MONITOR_SILENT"], 1),
        Alarm::new("no monitor watches a host any more", &["HOST_NOT_WATCHED"], 2),
        Alarm::new("BMC hung", &["FENCE_LEVEL_FAILING"], 1),
        Alarm::new("an engine killed beside another", &["ENGINE_SILENT"], 1),
    ];
    scene.alarmed(event, &alarms).await;
}

async fn backend_is_unreachable(name: &str, more: &str, route: &str, effect: ApiEffect) {
    let scene = Scene::set(more, 1).await;
    let event = Instant::now();
    let region = scene.harness.sandbox.region();
    region.api_faults().add(ApiFault::always(route, effect));
    if route.contains("identity") {
        scene.harness.sandbox.revoke_tokens();
    }
    let alarm = Alarm::new(name, &["NOVA_AWAY", "FACTS_OLD"], 2);
    scene.alarmed(event, &[alarm]).await;
}

async fn all_engines_killed() {
    let mut scene = Scene::set("", 2).await;
    let event = Instant::now();
    for engine in scene.engines.drain(..) {
        engine.kill();
    }
    let alarm = Alarm::new("all engines killed", &["NO_ENGINE"], 2);
    scene.alarmed(event, &[alarm]).await;
}

async fn a_host_that_dies_is_seen_at_once() {
    let scene = Scene::set("", 1).await;
    let region = scene.harness.sandbox.region();
    region.faults().power_loss("compute-001").unwrap();
    let event = Instant::now();
    scene.harness.report("compute-001").await;
    until("the death to be seen", Duration::from_secs(5), async || {
        scene.check().1.iter().any(|code| code == "HOST_UNDER_RECOVERY")
    })
    .await;
    println!(
        "a host's death: reported after {:.1} s",
        event.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_an_alarm_is_raised_within_a_minute() {
    const EXTERNAL: &str = "[fencing]\nmode = external\n";
    const NOVA: &str = "/compute/";
    const KEYSTONE: &str = "/identity";
    let cases: [LocalBoxFuture<'_, ()>; 7] = [
        Box::pin(monitors_and_a_bmc_and_one_of_two_engines()),
        Box::pin(backend_is_unreachable("Nova away", "", NOVA, ApiEffect::Break)),
        Box::pin(backend_is_unreachable("Nova frozen", "", NOVA, ApiEffect::Hang)),
        Box::pin(backend_is_unreachable(
            "Nova away, mode external",
            EXTERNAL,
            NOVA,
            ApiEffect::Break,
        )),
        Box::pin(backend_is_unreachable(
            "Keystone away",
            "",
            KEYSTONE,
            ApiEffect::Break,
        )),
        Box::pin(all_engines_killed()),
        Box::pin(a_host_that_dies_is_seen_at_once()),
    ];
    join_all(cases).await;
}
