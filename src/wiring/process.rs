//! A process: its tasks, and their shutdown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tachi_api::{Metrics, PolicyFiles, ServeOptions};
use tachi_daemon::{Daemon, Shutdown};
use tachi_engine::Engine;
use tachi_engine::ports::{Events, freezes, operator, plans};
use tachi_engine::watcher::{Sources, Watcher};
use tachi_fence::self_test::{SelfTest, self_test};
use tachi_openstack::Nova;
use tachi_operator::Failure;
use tachi_operator::engine_heartbeat::{self, Health, PartState, Signer};
use tachi_operator::freezes::Tender;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::fencing::{self, Devices};
use super::situation::SituationMetrics;
use super::{Base, health, listen};
use crate::settings::Settings;

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

/// The tasks of a process, and what its engine shows of itself.
#[derive(Default)]
pub(crate) struct Process {
    daemon: Daemon,
    facts: BTreeMap<String, PartState>,
    health: Option<Health>,
}

/// The failure to handle signals.
fn no_signals(error: std::io::Error) -> Failure {
    Failure::new("listening for signals", error)
}

impl Process {
    /// Starts to catch signals: a client of its listeners may send one before the process waits for it.
    pub(crate) fn catching_signals() -> Result<Self, Failure> {
        Ok(Self {
            daemon: Daemon::catching_signals().map_err(no_signals)?,
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
        let liveness = engine.liveness();
        self.daemon.watch(move || liveness.count(), within);
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
        self.daemon.task(|stop| tender.run(stop));
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
            self.daemon.task(|stop| self_test(test, stop));
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
        let watcher = Watcher::new(sources);
        self.daemon.task(|stop| watcher.run(stop, Arc::new(measured)));
        self.daemon.task(|stop| devices.watch(stop));
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
        self.daemon.task(|stop| signer.run(stop));
        self.daemon.status("engine is running");
        self.daemon.task(|stop| async move {
            engine.run(stop.clone()).await;
            stop.cancel();
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
        let liveness = options.liveness.clone();
        self.daemon.watch(move || liveness.count(), ACCEPTING);
        tracing::info!(%address, "API listens for requests");
        self.daemon.status(format!("API listens on {address}"));
        self.daemon.task(|stop| async move {
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
            let maintain = metrics.clone().maintain();
            self.daemon.task(|stop| async move {
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
        tracing::info!(url = format_args!("http://{address}/metrics"), "serving metrics");
        self.daemon.task(|stop| async move {
            tachi_api::serve(listener, router, options, stop).await;
        });
        Ok(())
    }

    /// Runs a task until it is stopped.
    pub(crate) fn task<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.daemon.task(run);
    }

    /// Runs a task that sends the last messages of the others: it is stopped when all of them have ended.
    pub(crate) fn last<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.daemon.last(run);
    }

    /// Watches the policy files.
    pub(crate) fn policy(&self, files: PolicyFiles) {
        self.daemon.task(|stop| files.watch(stop));
    }

    /// Runs until a signal or a task ends the process, and all tasks have ended. SIGHUP reopens the log and calls `reload`.
    pub(crate) async fn run(self, mut reload: impl FnMut()) -> Result<(), Failure> {
        let reload = || {
            tachi_log::reopen();
            reload();
        };
        match self.daemon.run(reload).await.map_err(no_signals)? {
            Shutdown::Finished => Ok(()),
            Shutdown::SecondSignal => Err(Failure::from_text("stopped at once by a second signal")),
        }
    }

    /// Stops everything and waits up to `limit` for the end.
    pub(crate) async fn end(self, limit: Duration) {
        self.daemon.end(limit).await;
    }
}
