//! The engine as a whole: one sweeper, one driver per recovery.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::policy::Policy;
use tachi_driver::journal::Claim;
use tachi_driver::{Ended, Sweeper, Unsure, Unusable, WATCH};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::around::Around;
use crate::cloud::CloudCache;
use crate::correlation;
use crate::driver::{Driver, Shared};
use crate::governor::{Governor, PaceOptions};
use crate::heart::Heart;
use crate::lists::{Services, SharedLists};
use crate::liveness::Liveness;
use crate::numbers;
use crate::ports::journal::{ClaimView, Claimed, Committed};
use crate::ports::{
    AuditSink, Clock, Events, Fencer, Hooks, Journal, NoEvents, NovaCalls, Surroundings, Wake,
};
use crate::telling::Teller;
use crate::watcher::{Moves, Preview};

/// After a driver's end the next sweep is not long in coming: what it has left may be somebody else's to begin.
const SOON: Duration = Duration::from_millis(100);

/// So many are claimed in one transaction. A host that has failed with a thousand instances is claimed with all that is known of
/// them, and what is driven first waits for what is claimed with it.
const TOGETHER: usize = 32;

/// The outside, as adapters provide it.
#[derive(Clone)]
pub struct Ports {
    /// Nova.
    pub compute: Arc<dyn NovaCalls>,
    /// Power controllers.
    pub fencer: Arc<dyn Fencer>,
    /// The audit log of power commands.
    pub audit: Arc<dyn AuditSink>,
    /// The operator's hooks.
    pub hooks: Arc<dyn Hooks>,
    /// The database.
    pub journal: Arc<dyn Journal>,
    /// Wake-ups.
    pub wake: Arc<dyn Wake>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Under which name it claims; unique among engines, such as `host:pid`.
    pub name: String,
    /// The rules of recoveries it begins; a change counts for those that begin after it.
    pub policy: watch::Receiver<Policy>,
    /// How long a lost wake-up may cost.
    pub sweep_interval: Duration,
    /// How fast it may be, over all its recoveries.
    pub pace: PaceOptions,
}

/// See the crate's documentation.
pub struct Engine {
    ports: Ports,
    options: EngineOptions,
    pulse: Liveness,
    sweeper: Sweeper,
    shared: Shared,
    /// The heart's work, until it is begun.
    beating: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    driven: BTreeSet<RecoveryId>,
    drivers: JoinSet<(Ended, Claim)>,
    /// Which recovery, at which epoch, a task drives.
    tasks: HashMap<task::Id, (RecoveryId, u64)>,
    events: Arc<dyn Events>,
    around: Arc<Around>,
    cloud: CloudCache,
}

impl Engine {
    /// An engine that has not begun to work.
    pub fn new(ports: Ports, options: EngineOptions) -> Self {
        let (heart, beating) = Heart::new(ports.journal.clone(), ports.clock.clone());
        let services = Arc::new(Services::new(ports.clone()));
        let around = Arc::new(Around::new(
            ports.clone(),
            services.clone(),
            options.policy.clone(),
        ));
        let shared = Shared {
            governor: Governor::new(&options.pace),
            lists: SharedLists::new(ports.clone(), services, around.clone()),
            heart,
            rules: options.policy.clone(),
        };
        Self {
            cloud: CloudCache::new(ports.clock.clone()),
            ports,
            shared,
            beating: Some(Box::pin(beating)),
            options,
            pulse: Liveness::default(),
            sweeper: Sweeper::default(),
            driven: BTreeSet::new(),
            drivers: JoinSet::new(),
            tasks: HashMap::new(),
            events: Arc::new(NoEvents),
            around,
        }
    }

    /// The name it claims under.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The same, telling `events` of what it does.
    #[must_use]
    pub fn telling(self, events: Arc<dyn Events>) -> Self {
        Self { events, ..self }
    }

    /// The same, with `surroundings` for its guards to look at.
    #[must_use]
    pub fn amid(self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.around.set_surroundings(surroundings);
        self
    }

    /// What it sees of Nova while it runs.
    pub fn cloud(&self) -> CloudCache {
        self.cloud.clone()
    }

    /// What it moves.
    pub fn moves(&self) -> Arc<dyn Moves> {
        Arc::new(self.shared.governor.clone())
    }

    /// What the guards would say beforehand.
    pub fn preview(&self) -> Arc<dyn Preview> {
        self.around.clone()
    }

    /// The rules it goes by.
    pub fn policy(&self) -> watch::Receiver<Policy> {
        self.options.policy.clone()
    }

    /// Beats once a sweep: at least every [`EngineOptions::sweep_interval`], unless the database does not answer.
    pub fn pulse(&self) -> Liveness {
        self.pulse.clone()
    }

    /// Works until `stop`. Then claims are given free, once the calls under way have been answered or five seconds have
    /// passed.
    pub async fn run(mut self, stop: CancellationToken) {
        numbers::describe();
        tracing::info!(
            engine = self.options.name,
            fencing = self.options.policy.borrow().fencing.as_str(),
            "engine starts"
        );
        // Aborted when they are dropped: they have no work once the drivers have ended.
        let mut heart = JoinSet::new();
        if let Some(beating) = self.beating.take() {
            heart.spawn(beating);
        }
        heart.spawn(self.cloud.clone().watch(self.ports.compute.clone()));
        while !stop.is_cancelled() {
            self.sweep(&stop).await;
            self.pulse.beat();
            let pause = if self.sweeper.is_watching() {
                self.options.sweep_interval.min(WATCH)
            } else {
                self.options.sweep_interval
            };
            // What Nova has asked for patience about goes on when the time is over.
            self.shared.governor.resume();
            let pause = self
                .shared
                .governor
                .quiet_for()
                .map_or(pause, |quiet| pause.min(quiet));
            self.rest(pause, &stop).await;
        }
        while let Some(ended) = self.drivers.join_next_with_id().await {
            self.ended(ended);
        }
        tracing::info!(engine = self.options.name, "engine has stopped");
    }

    /// Until the next sweep is due: after `pause`, when work is announced, or when a driver's end makes one worth while.
    async fn rest(&mut self, pause: Duration, stop: &CancellationToken) {
        let soon = Instant::now() + SOON;
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

    /// Whether its recovery has to be claimed anew.
    fn ended(&mut self, ended: Result<(task::Id, (Ended, Claim)), task::JoinError>) -> bool {
        let (task, how) = match ended {
            Ok((task, (how, claim))) => {
                self.sweeper.left(&claim, self.ports.clock.boot());
                (task, how)
            }
            Err(error) => {
                tracing::error!(%error, "a driver has failed: its recovery is claimed anew");
                (error.id(), Ended::Unsure(Unsure::Failed))
            }
        };
        let Some((id, epoch)) = self.tasks.remove(&task) else {
            return false;
        };
        self.driven.remove(&id);
        let unsure = matches!(how, Ended::Unsure(_));
        if unsure {
            self.sweeper.not_sure(id, epoch);
        }
        tracing::debug!(recovery = %id, ?how, "driver ended");
        unsure
    }

    async fn sweep(&mut self, stop: &CancellationToken) {
        // Before there is anything to be guarded against.
        self.around.note_start().await;
        let views = match self.ports.journal.unsettled().await {
            Ok(views) => views,
            Err(error) => {
                numbers::sweep_failed();
                let source = error.source.to_string();
                tracing::warn!(%error, source, "the database cannot be read: trying again");
                return self.sweeper.came_to_nothing();
            }
        };
        let driven = &self.driven;
        let now = self.ports.clock.boot();
        for (view, known) in self.sweeper.rewound(&views, now, |id| driven.contains(&id)) {
            // A copy that lags behind shows old rows too.
            match self.ports.journal.mark_rewound(&view, known).await {
                Ok(true) => tracing::error!(
                    recovery = %view.id,
                    epoch = view.epoch,
                    known_epoch = known.epoch,
                    "the database has lost writes of the recovery (a failover?)"
                ),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(recovery = %view.id, %error, "failed to mark a recovery whose writes were lost");
                }
            }
        }
        let mut claimed = false;
        let claimable = self.sweeper.claimable(&views, now, |id| driven.contains(&id));
        for views in claimable.chunks(TOGETHER) {
            if stop.is_cancelled() {
                return;
            }
            claimed |= self.claim(views, stop).await;
        }
        if !claimed {
            self.sweeper.came_to_nothing();
        }
    }

    /// Whether any of them is ours now.
    async fn claim(&mut self, views: &[ClaimView], stop: &CancellationToken) -> bool {
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
                    tracing::warn!(recovery = %view.id, %error, source, "not claimed: trying again");
                }
            }
        }
        any
    }

    /// `sent` is when its claim went out.
    async fn drive(&mut self, view: &ClaimView, claimed: Claimed, sent: Duration, stop: &CancellationToken) {
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
                let teller = Teller::new(&self.events, &self.options.name, &claimed, Some(&*state));
                let driver =
                    Driver::new(self.ports.clone(), claimed, state, sent, &self.shared).telling(teller);
                let stop = stop.child_token();
                self.driven.insert(id);
                let task = self.drivers.spawn(driver.run(stop)).id();
                self.tasks.insert(task, (id, epoch));
            }
            Err(why) => self.give_up(&claimed, &why).await,
        }
    }

    /// A recovery that cannot be driven ends with its reason, or stays for a newer version if only its state is strange.
    async fn give_up(&mut self, claimed: &Claimed, why: &Unusable) {
        let source = std::error::Error::source(why)
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = format!("{why} {source}").trim().to_owned();
        tracing::error!(recovery = %claimed.id, "{message}");
        let now = self.ports.clock.wall();
        let write = why.write(claimed, message.clone(), now);
        match self.ports.journal.commit(&claimed.claim(), &write).await {
            Ok(Committed::Written(_)) => {
                if let Some(mut teller) = Teller::new(&self.events, &self.options.name, claimed, None) {
                    let held = write.life.is_none().then_some(message.as_str());
                    teller.committed(&write, held, now);
                }
            }
            Ok(other) => tracing::warn!(recovery = %claimed.id, ?other, "not written"),
            Err(error) => tracing::warn!(recovery = %claimed.id, %error, "not written"),
        }
        if write.life.is_none() {
            tracing::error!(recovery = %claimed.id, "held: another version of tachi may have written this state");
            numbers::unreadable();
        }
        // Kept out of the sweep until this engine restarts.
        self.driven.insert(claimed.id);
    }
}
