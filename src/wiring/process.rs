//! A process: its tasks, and their shutdown.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tachi_api::{Metrics, ServeOptions};
use tachi_engine::Engine;
use tachi_engine::ports::{Events, freezes, operator, plans};
use tachi_engine::watcher::{Sources, Watcher};
use tachi_fence::self_test::{SelfTest, self_test};
use tachi_openstack::Nova;
use tachi_operator::Failure;
use tachi_operator::engine_heartbeat::{self, Health, PartState, Signer};
use tachi_operator::freezes::Tender;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fencing::{self, Devices};
use super::manager::Manager;
use super::situation::SituationMetrics;
use super::{Base, health, listen};
use crate::settings::Settings;
use crate::wiring::policy::PolicyFiles;

/// Limit of a round of the loop that accepts connections; it takes a second.
const ACCEPTING: Duration = Duration::from_secs(15);

/// Limit of one sweep of the database by the engine, besides its interval.
const SWEEPING: Duration = Duration::from_secs(30);

/// The role of a process, for its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// The API alone.
    Api,
    /// An engine, perhaps with the API beside it.
    Engine,
}

/// The tasks of a process and the signal to stop.
#[derive(Default)]
pub(crate) struct Process {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Tasks that serve the others, and are stopped after these have ended.
    last: TaskTracker,
    over: CancellationToken,
    manager: Manager,
    status: Vec<String>,
    facts: BTreeMap<String, PartState>,
    health: Option<Health>,
    signals: Option<Signals>,
}

struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let wrong = |error| Failure::new("listening for signals", error);
        Ok(Self {
            term: signal(SignalKind::terminate()).map_err(wrong)?,
            int: signal(SignalKind::interrupt()).map_err(wrong)?,
            hup: signal(SignalKind::hangup()).map_err(wrong)?,
        })
    }
}

impl Process {
    /// Starts to catch signals: a client of its listeners may send one before the process waits for it.
    pub(crate) fn catching_signals() -> Result<Self, Failure> {
        Ok(Self {
            signals: Some(Signals::catch()?),
            ..Self::default()
        })
    }

    /// Adds a fact to the heartbeat of this process's engine: the state of a part. Must be called before the engine runs.
    pub(crate) fn fact(&mut self, part: &str, how: PartState) {
        self.facts.insert(part.to_owned(), how);
    }

    /// Runs an engine. If it ends by itself, the process ends.
    pub(crate) fn engine(
        &mut self,
        (engine, nova): (Engine, Arc<Nova>),
        settings: &Settings,
        base: &Base,
        devices: Devices,
        events: Arc<dyn Events>,
    ) {
        let within = settings.sweep_interval.saturating_add(SWEEPING);
        self.manager.watch(engine.liveness(), within);
        self.fact("nova", engine_heartbeat::nova(engine.cloud()));
        self.fact(freezes::FREEZES_FACT, Arc::new(|| "ok: kept".to_owned()));
        self.fact(operator::READS_ACTIONS, Arc::new(|| "ok: read".to_owned()));
        self.fact(plans::PLANS_FACT, Arc::new(|| "ok: running".to_owned()));
        let how = devices.how();
        let fact = fencing::fact(how.clone(), &settings.fencing, settings.policy.fencing);
        self.fact("fencing", fact);
        let tender = Tender {
            freezes: Arc::new(base.store.freezes().clone()),
            events,
            clock: base.clock.clone(),
        };
        self.tasks.spawn(tender.run(self.stop.clone()));
        if let Some(pauses) = settings
            .fencing
            .self_test
            .filter(|_| settings.policy.fencing.queries_devices())
        {
            how.tests_every(pauses);
            let test = SelfTest {
                fencers: devices.fencers(),
                identified: devices.identified(base),
                how: how.clone(),
                operator_journal: Arc::new(base.store.operator_journal().clone()),
                machines: Arc::new(base.store.machines().clone()),
                cloud: engine.cloud(),
                clock: base.clock.clone(),
                pauses,
            };
            self.tasks.spawn(self_test(test, self.stop.clone()));
        }
        let sources = Sources {
            facts: Arc::new(base.store.facts().clone()),
            engine_registry: Arc::new(base.store.engine_registry().clone()),
            inventory: nova.clone(),
            failed: Arc::new(base.store.journal().clone()),
            rooms: nova,
            cloud: engine.cloud(),
            clock: base.clock.clone(),
            policy: engine.policy(),
            tests: Arc::new(how.clone()),
            moves: engine.moves(),
            preview: engine.preview(),
            name: engine.name().to_owned(),
        };
        let measured = SituationMetrics::new(settings, base, engine.policy(), how);
        let watcher = Watcher::new(sources).run(self.stop.clone(), Arc::new(measured));
        self.tasks.spawn(watcher);
        self.tasks.spawn(devices.watch(self.stop.clone()));
        let signer = Signer {
            engine_registry: Arc::new(base.store.engine_registry().clone()),
            clock: base.clock.clone(),
            name: engine.name().to_owned(),
            version: crate::VERSION,
            liveness: engine.liveness(),
            within,
            facts: self.facts.clone(),
            health: self.health.get_or_insert_default().clone(),
        };
        self.tasks.spawn(signer.run(self.stop.clone()));
        self.status.push("engine is running".to_owned());
        let stop = self.stop.clone();
        let whole = self.stop.clone();
        self.tasks.spawn(async move {
            engine.run(stop).await;
            whole.cancel();
        });
    }

    /// Serves the API on `listener`, which has this address.
    pub(crate) fn api(
        &mut self,
        (listener, address): (TcpListener, String),
        router: axum::Router,
        settings: &Settings,
    ) {
        let options = settings.http.serve_options(settings.drain);
        self.manager.watch(options.liveness.clone(), ACCEPTING);
        tracing::info!(%address, "API listens for requests");
        self.status.push(format!("API listens on {address}"));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if !tachi_api::serve(listener, router, options, stop).await {
                tracing::warn!("requests were still in flight when the API stopped");
            }
        });
    }

    /// Starts metrics, and serves them on a separate address if one is set; with an engine, its health too.
    pub(crate) async fn metrics(&mut self, settings: &Settings, runs: Runs) -> Result<(), Failure> {
        let metrics_settings = settings.http.metrics.as_ref();
        let own = metrics_settings.and_then(|metrics_settings| metrics_settings.listen);
        let (address, option) = match runs {
            Runs::Engine if settings.engine_listen.is_some() => {
                (settings.engine_listen, "[engine] metrics_listen")
            }
            Runs::Api | Runs::Engine => (own, "[metrics] listen"),
        };
        let mut router = Router::new();
        if let Some(metrics_settings) = metrics_settings {
            let metrics =
                Metrics::start(crate::VERSION).map_err(|error| Failure::new("setting up metrics", error))?;
            let (stop, maintain) = (self.stop.clone(), metrics.clone().maintain());
            self.tasks.spawn(async move {
                // The upkeep only cleans up, so it may be dropped at any time.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = maintain => {}
                }
            });
            router = router.merge(tachi_api::metrics_router(metrics_settings.access(metrics)));
        }
        if runs == Runs::Engine {
            router = router.merge(health::router(self.health.get_or_insert_default().clone()));
        }
        let Some(address) = address else {
            return Ok(());
        };
        self.side_door(address, option, router).await
    }

    async fn side_door(&self, address: SocketAddr, option: &str, router: Router) -> Result<(), Failure> {
        let listener = listen::bind(address, option).await?;
        let options = ServeOptions {
            drain_timeout: Duration::from_secs(1),
            max_connections: 16,
            ..ServeOptions::default()
        };
        let stop = self.stop.clone();
        tracing::info!(url = format_args!("http://{address}/metrics"), "serving metrics");
        self.tasks.spawn(async move {
            tachi_api::serve(listener, router, options, stop).await;
        });
        Ok(())
    }

    /// Runs a task until it is stopped.
    pub(crate) fn task<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(run(self.stop.clone()));
    }

    /// Runs a task that sends the last messages of the others: it is stopped when all of them have ended.
    pub(crate) fn last<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.last.spawn(run(self.over.clone()));
    }

    /// Waits until all tasks have ended, the last ones after the others.
    async fn all_ended(&self) {
        self.tasks.wait().await;
        self.over.cancel();
        self.last.close();
        self.last.wait().await;
    }

    /// Watches the policy files.
    pub(crate) fn policy(&self, files: PolicyFiles) {
        self.tasks.spawn(files.watch(self.stop.clone()));
    }

    /// Waits for SIGTERM or SIGINT, or for the end of a task that ends the process, and then until all tasks have ended. A second signal
    /// ends the waiting. SIGHUP calls `reload`.
    pub(crate) async fn run(mut self, mut reload: impl FnMut()) -> Result<(), Failure> {
        let Signals {
            mut term,
            mut int,
            mut hup,
        } = self.signals.take().map_or_else(Signals::catch, Ok)?;
        let mut watchdog = Manager::interval().map(|every| {
            let mut watchdog = interval(every);
            watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
            watchdog
        });
        let status = self.status.join(", ");
        Manager::ready(&status);
        loop {
            // Every branch only waits, so dropped branches lose nothing.
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                () = self.stop.cancelled() => break,
                _ = hup.recv() => {
                    Manager::reloading();
                    tachi_log::reopen();
                    reload();
                    Manager::ready(&status);
                }
                () = async {
                    match &mut watchdog {
                        Some(watchdog) => { watchdog.tick().await; }
                        None => pending().await,
                    }
                } => self.manager.alive(),
            }
        }
        tracing::info!("process is stopping; requests and calls in progress may finish");
        Manager::stopping();
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.all_ended() => Ok(()),
            _ = term.recv() => Err(Failure::from_text("stopped at once by a second signal")),
            _ = int.recv() => Err(Failure::from_text("stopped at once by a second signal")),
        }
    }

    /// Stops everything and waits up to `limit` for the end.
    pub(crate) async fn end(self, limit: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(limit, self.all_ended()).await.is_err() {
            tracing::warn!("tasks of the process did not stop in time");
        }
    }
}
