//! The number of protected instances, compared with the region's ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock as _, Reports as _};
use tachi_sandbox::{ApiEffect, ApiFault, RegionSettings, VmState};
use uuid::Uuid;

use super::support::{Harness, Process, json, quick_region, until};

const LIMIT: Duration = Duration::from_secs(90);
const INSTANCES: usize = 5;
const STEPS: usize = 5;
const SEEDS: [u64; 2] = [1, 2];

/// A seeded random number generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// An event of an instance or a host.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The guest crashes, is reported, and is restarted.
    Crash,
    /// The guest crashes, is reported, and Nova refuses its start.
    FailedRestart,
    /// The guest crashes unseen, and Nova's power synchronisation stops it.
    PowerSync,
    /// A user stops the instance.
    UserStop,
    /// A user starts the instance.
    UserStart,
    /// The host of the instance dies, and is recovered.
    HostDeath,
}

const EVENTS: [Event; 5] = [
    Event::Crash,
    Event::FailedRestart,
    Event::PowerSync,
    Event::UserStop,
    Event::UserStart,
];

struct Scenario {
    harness: Harness,
    servers: Vec<Uuid>,
    /// The instances that a user has stopped.
    stopped: BTreeSet<Uuid>,
    _engine: Process,
}

impl Scenario {
    async fn set() -> Self {
        let settings = RegionSettings {
            power_sync_interval: Duration::from_millis(100),
            ..quick_region(4)
        };
        let harness = Harness::set(settings).await;
        harness.protect().await;
        let mut servers = harness.boot("compute-001", 2);
        servers.extend(harness.boot("compute-002", INSTANCES - 2));
        let extra = harness.folder.path().join("restarts.conf");
        std::fs::write(&extra, "[instance_failure]\nmax_restarts = 0\nmax_moves = 0\n").unwrap();
        let engine = harness.spawn_with("engine", &[extra]);
        Self {
            harness,
            servers,
            stopped: BTreeSet::new(),
            _engine: engine,
        }
    }

    async fn crash(&self, server: Uuid) {
        let region = self.harness.sandbox.region();
        region.faults().crash_guest(server).unwrap();
        let payload = [
            ("event", "LIFECYCLE"),
            ("vir_domain_event", "STOPPED_FAILED"),
            ("instance_uuid", &server.to_string()),
        ];
        let now = SystemClock.wall();
        let new = NewNotification {
            kind: NotificationType::Vm,
            hostname: region.server(server).unwrap().host.unwrap(),
            generated_time: now,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            evidence: None,
            reporter: None,
        };
        let registry = self.harness.store.registry();
        // No repetition of the report before: it ended in the past.
        let accepted = registry.accept_notification(&new, 0, now).await.unwrap();
        until("the recovery to end", LIMIT, async || {
            !self.harness.status(accepted.id).await.0.is_open()
        })
        .await;
    }

    async fn happen(&mut self, event: Event, server: Uuid) {
        let region = self.harness.sandbox.region().clone();
        let is_running = region.lost(&[server]).is_empty();
        match event {
            Event::Crash if is_running => self.crash(server).await,
            Event::FailedRestart if is_running => {
                let effect = ApiEffect::Status {
                    status: 400,
                    retry_after: None,
                };
                region.api_faults().add(ApiFault::always("#os-start", effect));
                self.crash(server).await;
                region.api_faults().clear();
            }
            Event::PowerSync if is_running => {
                region.faults().crash_guest(server).unwrap();
                let host = region.server(server).unwrap().host.unwrap();
                region.faults().agent_stop(&host).unwrap();
                region.faults().agent_start(&host).unwrap();
                until("Nova to stop it", LIMIT, async || {
                    region.server(server).unwrap().vm_state == VmState::Stopped
                })
                .await;
            }
            Event::UserStop if is_running => {
                assert_eq!(
                    self.harness
                        .act(server, &serde_json::json!({"os-stop": null}))
                        .await,
                    202
                );
                until("it to stop", LIMIT, async || {
                    region.server(server).unwrap().vm_state == VmState::Stopped
                })
                .await;
                self.stopped.insert(server);
            }
            Event::UserStart if !is_running => {
                let is_stopped = region.server(server).unwrap().vm_state == VmState::Stopped;
                let action = if is_stopped {
                    serde_json::json!({"os-start": null})
                } else {
                    serde_json::json!({"reboot": {"type": "HARD"}})
                };
                assert_eq!(self.harness.act(server, &action).await, 202);
                until("it to run", LIMIT, async || region.lost(&[server]).is_empty()).await;
                self.stopped.remove(&server);
            }
            Event::HostDeath => {
                let host = region.server(server).unwrap().host.unwrap();
                region.faults().power_loss(&host).unwrap();
                let report = self.harness.report(&host).await;
                self.harness.until_finished(report, LIMIT).await;
            }
            Event::Crash | Event::FailedRestart | Event::PowerSync | Event::UserStop | Event::UserStart => {}
        }
    }

    /// Waits until the counts and the findings agree with the ledger: an instance that should run and does not is down or unknown, and named.
    async fn assert_agrees(&self, case: &str) {
        let region = self.harness.sandbox.region();
        let should_run: Vec<Uuid> = self
            .servers
            .iter()
            .copied()
            .filter(|server| !self.stopped.contains(server))
            .collect();
        let lost = region.lost(&should_run);
        let should_be_named: BTreeSet<String> =
            lost.iter().map(|one| region.server(*one).unwrap().name).collect();
        let mut printed = String::new();
        until(
            &format!("{case}: the counts to be those of {should_be_named:?}"),
            LIMIT,
            async || {
                let status_view = json(&self.harness, &["status"]);
                let counted = |kind: &str| status_view["instances"][kind].as_u64().unwrap_or(u64::MAX);
                let found = status_view["findings"].as_array().into_iter().flatten();
                let found_down: BTreeSet<String> = found
                    .filter(|one| one["code"] == "INSTANCE_DOWN")
                    .flat_map(|one| one["subjects"].as_array().into_iter().flatten())
                    .filter_map(|one| one.as_str().map(str::to_owned))
                    .collect();
                let is_so = counted("down").saturating_add(counted("unknown")) == lost.len() as u64
                    && counted("protected").saturating_add(counted("degraded"))
                        == (INSTANCES - lost.len()) as u64
                    && found_down == should_be_named;
                let counts = format!("{} {found_down:?}", status_view["instances"]);
                if counts != printed {
                    println!("{case}: {counts}");
                    printed = counts;
                }
                is_so
            },
        )
        .await;
    }
}

/// Covers R36.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_what_does_not_run_by_the_ledger_is_never_counted_as_protected() {
    for seed in SEEDS {
        let mut scenario = Scenario::set().await;
        scenario.assert_agrees("at the start").await;
        let mut numbers = Numbers(seed);
        for step in 0..STEPS {
            let event = EVENTS[numbers.below(EVENTS.len())];
            let server = scenario.servers[numbers.below(INSTANCES)];
            scenario.happen(event, server).await;
            scenario
                .assert_agrees(&format!("seed {seed}, step {step}, {event:?} of {server}"))
                .await;
        }
        // Nova evacuates what its record shows as running or stopped, so everything runs or rests before.
        for server in scenario.servers.clone() {
            scenario.happen(Event::UserStart, server).await;
        }
        let server = scenario.servers[numbers.below(INSTANCES)];
        scenario.happen(Event::HostDeath, server).await;
        scenario
            .assert_agrees(&format!("seed {seed}, after the death of a host"))
            .await;
    }
}
