//! The engine as a whole: one sweeper, one driver per recovery.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::policy::Policy;
use tachi_driver::journal::Claim;
use tachi_driver::{CLAIM_POLL_INTERVAL, DriverEnd, Sweeper, UncertainClaim, Unusable};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::cloud::CloudCache;
use crate::correlation;
use crate::driver::{Driver, EngineContext};
use crate::event_emitter::EventEmitter;
use crate::lease::LeaseRenewer;
use crate::lists::{Services, SharedLists};
use crate::liveness::Liveness;
use crate::numbers;
use crate::ports::journal::{ClaimedRecovery, PeerClaim, WriteOutcome};
use crate::ports::{
    AuditSink, Clock, Events, Fencer, Hooks, Journal, NoEvents, NovaCalls, Wakeups, Witnesses,
};
use crate::rate_controller::{PaceOptions, RateController};
use crate::region_scan::RegionScan;
use crate::watcher::{Moves, Preview};

/// Pause before the next sweep after a driver ends, which may have left work for another driver.
const SWEEP_DELAY: Duration = Duration::from_millis(100);

/// Limit of recoveries claimed in one transaction. A host recovery with a thousand instances is claimed with
/// all their states, and the first driver starts only after the whole batch.
const CLAIM_BATCH: usize = 32;

/// The ports to the outside, as adapters provide them.
#[derive(Clone)]
pub struct Ports {
    pub compute: Arc<dyn NovaCalls>,
    pub fencer: Arc<dyn Fencer>,
    pub audit: Arc<dyn AuditSink>,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<dyn Journal>,
    pub wake: Arc<dyn Wakeups>,
    pub clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The name in its claims, unique among engines, such as `host:pid`.
    pub name: String,
    /// The rules of recoveries it starts. A change applies to recoveries that start after it.
    pub policy: watch::Receiver<Policy>,
    /// The longest delay that a lost wake-up may cause.
    pub sweep_interval: Duration,
    /// The limits on the pace of all its recoveries together.
    pub pace: PaceOptions,
}

/// An engine (see the crate's documentation).
pub struct Engine {
    ports: Ports,
    options: EngineOptions,
    liveness: Liveness,
    sweeper: Sweeper,
    shared: EngineContext,
    /// The task that renews the leases, until it is started.
    renewal_task: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    driven: BTreeSet<RecoveryId>,
    drivers: JoinSet<(DriverEnd, Claim)>,
    /// The recovery and epoch that each task drives.
    tasks: HashMap<task::Id, (RecoveryId, u64)>,
    events: Arc<dyn Events>,
    region_scan: Arc<RegionScan>,
    cloud: CloudCache,
}

impl Engine {
    /// Creates an engine; [`Engine::run`] starts it.
    pub fn new(ports: Ports, options: EngineOptions) -> Self {
        let (renewals, renewal_task) = LeaseRenewer::new(ports.journal.clone(), ports.clock.clone());
        let services = Arc::new(Services::new(ports.clone()));
        let region_scan = Arc::new(RegionScan::new(
            ports.clone(),
            services.clone(),
            options.policy.clone(),
        ));
        let shared = EngineContext {
            rate_controller: RateController::new(&options.pace),
            lists: SharedLists::new(ports.clone(), services, region_scan.clone()),
            renewals,
            rules: options.policy.clone(),
        };
        Self {
            cloud: CloudCache::new(ports.clock.clone()),
            ports,
            shared,
            renewal_task: Some(Box::pin(renewal_task)),
            options,
            liveness: Liveness::default(),
            sweeper: Sweeper::default(),
            driven: BTreeSet::new(),
            drivers: JoinSet::new(),
            tasks: HashMap::new(),
            events: Arc::new(NoEvents),
            region_scan,
        }
    }

    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the engine with this receiver of its events.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn Events>) -> Self {
        Self { events, ..self }
    }

    /// Returns the engine with these witnesses for its guards.
    #[must_use]
    pub fn with_witnesses(self, witness_source: Arc<dyn Witnesses>) -> Self {
        self.region_scan.set_witnesses(witness_source);
        self
    }

    /// Returns its view of Nova, which is updated while it runs.
    pub fn cloud(&self) -> CloudCache {
        self.cloud.clone()
    }

    /// Returns a handle that shows if this engine's recoveries are moving instances.
    pub fn moves(&self) -> Arc<dyn Moves> {
        Arc::new(self.shared.rate_controller.clone())
    }

    /// Returns a handle that evaluates the guards before a failure.
    pub fn preview(&self) -> Arc<dyn Preview> {
        self.region_scan.clone()
    }

    pub fn policy(&self) -> watch::Receiver<Policy> {
        self.options.policy.clone()
    }

    /// Returns the liveness counter. Each sweep advances it: at least once per [`EngineOptions::sweep_interval`] while
    /// the database answers.
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    /// Runs until `stop`. Then releases the claims once running calls are answered, after five seconds at the latest.
    pub async fn run(mut self, stop: CancellationToken) {
        numbers::describe();
        tracing::info!(
            engine = self.options.name,
            fencing = self.options.policy.borrow().fencing.as_str(),
            "engine starts"
        );
        // Both tasks are aborted when the set is dropped: they have no work once the drivers have ended.
        let mut renewals = JoinSet::new();
        if let Some(renewal_task) = self.renewal_task.take() {
            renewals.spawn(renewal_task);
        }
        renewals.spawn(self.cloud.clone().watch(self.ports.compute.clone()));
        while !stop.is_cancelled() {
            self.sweep(&stop).await;
            self.liveness.beat();
            let pause = if self.sweeper.is_watching() {
                self.options.sweep_interval.min(CLAIM_POLL_INTERVAL)
            } else {
                self.options.sweep_interval
            };
            // Work that Nova's push-back has paused resumes when the pause ends.
            self.shared.rate_controller.resume();
            let pause = self
                .shared
                .rate_controller
                .pause_left()
                .map_or(pause, |quiet| pause.min(quiet));
            self.wait_for_sweep(pause, &stop).await;
        }
        while let Some(ended) = self.drivers.join_next_with_id().await {
            self.ended(ended);
        }
        tracing::info!(engine = self.options.name, "engine has stopped");
    }

    /// Waits until the next sweep is due: after `pause`, after a wake-up, or shortly after the end of a driver.
    async fn wait_for_sweep(&mut self, pause: Duration, stop: &CancellationToken) {
        let soon = Instant::now() + SWEEP_DELAY;
        let mut until = Instant::now() + pause;
        let wake = self.ports.wake.clone();
        loop {
            let driven = &self.driven;
            let now = self.ports.clock.boot();
            if self.sweeper.has_more(now, |id| driven.contains(&id)) {
                return;
            }
            // Every branch is cancel-safe.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timeout_at(until, wake.woken()) => return,
                Some(ended) = self.drivers.join_next_with_id() => {
                    if self.ended(ended) {
                        return;
                    }
                    until = until.min(soon);
                }
            }
        }
    }

    /// Handles the end of a driver. Returns true if its recovery has to be claimed again.
    fn ended(&mut self, ended: Result<(task::Id, (DriverEnd, Claim)), task::JoinError>) -> bool {
        let (task, how) = match ended {
            Ok((task, (how, claim))) => {
                self.sweeper.left(&claim, self.ports.clock.boot());
                (task, how)
            }
            Err(error) => {
                tracing::error!(%error, "driver failed; claiming its recovery again");
                (error.id(), DriverEnd::Uncertain(UncertainClaim::Failed))
            }
        };
        let Some((id, epoch)) = self.tasks.remove(&task) else {
            return false;
        };
        self.driven.remove(&id);
        let unsure = matches!(how, DriverEnd::Uncertain(_));
        if unsure {
            self.sweeper.uncertain(id, epoch);
        }
        tracing::debug!(recovery = %id, ?how, "driver ended");
        unsure
    }

    async fn sweep(&mut self, stop: &CancellationToken) {
        // First, because the guards need the time of the first start.
        self.region_scan.note_start().await;
        let views = match self.ports.journal.unsettled().await {
            Ok(views) => views,
            Err(error) => {
                numbers::sweep_failed();
                let source = error.source.to_string();
                tracing::warn!(%error, source, "failed to read the database; retrying");
                return self.sweeper.claimed_nothing();
            }
        };
        let driven = &self.driven;
        let now = self.ports.clock.boot();
        for (view, known) in self.sweeper.rewound(&views, now, |id| driven.contains(&id)) {
            // A replica that lags behind returns old rows too.
            match self.ports.journal.mark_rewound(&view, known).await {
                Ok(true) => tracing::error!(
                    recovery = %view.id,
                    epoch = view.epoch,
                    known_epoch = known.epoch,
                    "database has lost writes of the recovery, probably in a failover"
                ),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(recovery = %view.id, %error, "failed to mark a recovery whose writes the database has lost");
                }
            }
        }
        let mut claimed = false;
        let claimable = self.sweeper.claimable(&views, now, |id| driven.contains(&id));
        for views in claimable.chunks(CLAIM_BATCH) {
            if stop.is_cancelled() {
                return;
            }
            claimed |= self.claim(views, stop).await;
        }
        if !claimed {
            self.sweeper.claimed_nothing();
        }
    }

    /// Claims recoveries. Returns true if at least one claim succeeded.
    async fn claim(&mut self, views: &[PeerClaim], stop: &CancellationToken) -> bool {
        let sent = self.ports.clock.boot();
        let outcomes = self.ports.journal.claim_all(views, &self.options.name).await;
        let mut any = false;
        for (view, outcome) in views.iter().zip(outcomes) {
            match outcome {
                Ok(Some(claimed)) => {
                    self.drive(view, claimed, sent, stop).await;
                    any = true;
                }
                Ok(None) => {}
                Err(error) => {
                    let source = error.source.to_string();
                    tracing::warn!(recovery = %view.id, %error, source, "failed to claim recovery; retrying");
                }
            }
        }
        any
    }

    /// Starts a driver. `sent` is when its claim was sent.
    async fn drive(
        &mut self,
        view: &PeerClaim,
        claimed: ClaimedRecovery,
        sent: Duration,
        stop: &CancellationToken,
    ) {
        let (id, epoch) = (claimed.id, claimed.epoch);
        numbers::claimed(view, &self.options.name);
        tracing::info!(
            recovery = %id,
            notification = %claimed.notification.id,
            epoch,
            after = view.owner,
            request_id = %correlation::of_recovery(id),
            "recovery claimed"
        );
        let host = claimed.host.as_ref().map_or("", |host| host.name.as_str());
        let policy = self.cloud.rules_for(host, self.options.policy.borrow().clone());
        match tachi_driver::open(&claimed, &policy) {
            Ok(state) => {
                let emitter = EventEmitter::new(&self.events, &self.options.name, &claimed, Some(&*state));
                let driver =
                    Driver::new(self.ports.clone(), claimed, state, sent, &self.shared).with_emitter(emitter);
                let stop = stop.child_token();
                self.driven.insert(id);
                let task = self.drivers.spawn(driver.run(stop)).id();
                self.tasks.insert(task, (id, epoch));
            }
            Err(why) => self.close_unusable(&claimed, &why).await,
        }
    }

    /// Closes a recovery that cannot be driven, with the reason. If this version cannot read its state, leaves it for a
    /// newer version.
    async fn close_unusable(&mut self, claimed: &ClaimedRecovery, why: &Unusable) {
        let source = std::error::Error::source(why)
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = format!("{why} {source}").trim().to_owned();
        tracing::error!(recovery = %claimed.id, why = %message, "failed to open the recovery");
        let now = self.ports.clock.wall();
        let write = why.write(claimed, message.clone(), now);
        match self.ports.journal.commit(&claimed.claim(), &write).await {
            Ok(WriteOutcome::Written(_)) => {
                if let Some(mut emitter) = EventEmitter::new(&self.events, &self.options.name, claimed, None)
                {
                    let hold = write.life.is_none().then_some(message.as_str());
                    emitter.committed(&write, hold, now);
                }
            }
            Ok(other) => {
                tracing::warn!(recovery = %claimed.id, ?other, "failed to write the reason why the recovery cannot be opened");
            }
            Err(error) => {
                tracing::warn!(recovery = %claimed.id, %error, "failed to write the reason why the recovery cannot be opened");
            }
        }
        if write.life.is_none() {
            tracing::error!(recovery = %claimed.id, "recovery is on hold; another version of tachi may have written its state");
            numbers::unreadable();
        }
        // Excludes it from the sweep until this engine restarts.
        self.driven.insert(claimed.id);
    }
}
