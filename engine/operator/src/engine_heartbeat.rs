//! Heartbeat of this process's engine, metrics of the queue of the engines, and the engine's health.

mod nova;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::Liveness;
use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat};
use tachi_engine::ports::{Clock, EngineRegistry};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::snapshot::is_alive;

pub use nova::nova;

/// Interval of an engine's heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of the database for one heartbeat.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of a part of the process in a few words, starting with `ok` if there is nothing to worry about.
pub type PartState = Arc<dyn Fn() -> String + Send + Sync>;

/// The health of this process's engine; `None` while it is well.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Describes what is wrong, if anything is.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sender of an engine's heartbeats.
pub struct Signer {
    /// The registry of engines.
    pub engine_registry: Arc<dyn EngineRegistry>,
    pub clock: Arc<dyn Clock>,
    /// The name under which the engine claims recoveries.
    pub name: String,
    /// The version of the program.
    pub version: &'static str,
    /// The engine's loop counter.
    pub liveness: Liveness,
    /// Limit of a round of the engine.
    pub within: Duration,
    pub facts: BTreeMap<String, PartState>,
    pub health: Health,
}

impl Signer {
    /// Sends heartbeats until `stop`, and then removes the engine from the registry. An engine whose loop is stuck sends none.
    pub async fn run(self, stop: CancellationToken) {
        describe();
        let started_at = self.clock.wall();
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turned = (self.liveness.count(), Instant::now());
        let mut quiet = false;
        loop {
            // Both branches only wait.
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let count = self.liveness.count();
            if count != turned.0 {
                turned = (count, Instant::now());
            }
            let problem = if turned.1.elapsed() > self.within {
                Some("the engine's loop is stuck".to_owned())
            } else {
                self.heartbeat(started_at).await.err()
            };
            if let Some(problem) = problem.as_ref().filter(|_| !quiet) {
                tracing::warn!(error = %problem, "failed to update engine heartbeat");
            }
            quiet = problem.is_some();
            self.health.set(problem);
        }
        self.leave().await;
    }

    async fn leave(&self) {
        match timeout(DATABASE_TIMEOUT, self.engine_registry.deregister(&self.name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "failed to deregister the engine; its entry is removed later");
            }
            Err(_) => tracing::debug!(
                error = "the database does not answer",
                "failed to deregister the engine; its entry is removed later"
            ),
        }
    }

    async fn heartbeat(&self, started_at: tachi_domain::Timestamp) -> Result<(), String> {
        let facts = self.facts.iter().map(|(part, how)| (part.clone(), how()));
        let heartbeat = EngineHeartbeat {
            name: self.name.clone(),
            version: self.version.to_owned(),
            started_at,
            facts: facts.collect(),
        };
        let looked = async {
            self.engine_registry.heartbeat(&heartbeat).await?;
            let backlog = self.engine_registry.backlog().await?;
            let engines = self.engine_registry.engines().await?;
            Ok::<_, tachi_engine::ports::JournalError>((backlog, engines))
        };
        let (backlog, engines) = timeout(DATABASE_TIMEOUT, looked)
            .await
            .map_err(|_| "the database does not answer".to_owned())?
            .map_err(|error| format!("{error}: {}", error.source))?;
        let now = self.clock.wall();
        let alive = engines.iter().filter(|line| is_alive(line, now)).count();
        gauge!(ALIVE).set(f64::from(u32::try_from(alive).unwrap_or(u32::MAX)));
        measure(&backlog, now);
        Ok(())
    }
}

const ALIVE: &str = "tachi_engines_alive";
const NEW: &str = "tachi_notifications_new";
const QUEUE_AGE: &str = "tachi_queue_age_seconds";
const RECOVERIES: &str = "tachi_recoveries";

fn describe() {
    describe_gauge!(ALIVE, "Engines on this database with a recent heartbeat");
    describe_gauge!(NEW, "Notifications without a recovery yet");
    describe_gauge!(
        QUEUE_AGE,
        "Age of the oldest notification without a recovery, in seconds"
    );
    describe_gauge!(
        RECOVERIES,
        "Recoveries of all engines that are open or watching, by kind and life"
    );
}

fn measure(backlog: &Backlog, now: tachi_domain::Timestamp) {
    let waited = backlog
        .oldest_new
        .map_or(0, |oldest| (now.micros() - oldest.micros()).max(0) / 1_000_000);
    let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    gauge!(NEW).set(number(backlog.new));
    gauge!(QUEUE_AGE).set(number(waited.unsigned_abs()));
    for kind in RecoveryKind::ALL {
        for life in [Life::Open, Life::Watching] {
            let count = backlog.unsettled.get(&(*kind, life)).copied().unwrap_or(0);
            gauge!(RECOVERIES, "kind" => kind.as_str(), "life" => life.as_str()).set(number(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tachi_engine::ports::JournalError;
    use tachi_engine::ports::engine_registry::EngineRow;
    use tachi_testkit::ManualClock;

    use super::*;

    #[derive(Default)]
    struct MemoryRegistry {
        signed: Mutex<Vec<EngineHeartbeat>>,
        deregistered: Mutex<Vec<String>>,
        broken: Mutex<bool>,
    }

    #[async_trait]
    impl EngineRegistry for MemoryRegistry {
        async fn heartbeat(&self, heartbeat: &EngineHeartbeat) -> Result<(), JournalError> {
            if *self.broken.lock().unwrap() {
                return Err(JournalError::new("signing", "no route to host"));
            }
            self.signed.lock().unwrap().push(heartbeat.clone());
            Ok(())
        }
        async fn deregister(&self, name: &str) -> Result<(), JournalError> {
            self.deregistered.lock().unwrap().push(name.to_owned());
            Ok(())
        }
        async fn engines(&self) -> Result<Vec<EngineRow>, JournalError> {
            Ok(Vec::new())
        }
        async fn backlog(&self) -> Result<Backlog, JournalError> {
            Ok(Backlog::default())
        }
    }

    /// Lets this time pass.
    async fn pass(time: Duration) {
        let until = Instant::now() + time;
        tokio::time::sleep_until(until).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_signs_while_it_turns_and_is_struck_off_when_it_ends() {
        let (paper, liveness) = (Arc::new(MemoryRegistry::default()), Liveness::default());
        let (health, stop) = (Health::default(), CancellationToken::new());
        let fact: PartState = Arc::new(|| "ok: connected".to_owned());
        let signer = Signer {
            engine_registry: paper.clone(),
            clock: Arc::<ManualClock>::default(),
            name: "one".to_owned(),
            version: "1",
            liveness: liveness.clone(),
            within: Duration::from_secs(12),
            facts: BTreeMap::from([("broker".to_owned(), fact)]),
            health: health.clone(),
        };
        let task = tokio::spawn(signer.run(stop.clone()));
        pass(Duration::from_secs(11)).await;
        let written = paper.signed.lock().unwrap().clone();
        assert_eq!(written.len(), 3);
        assert_eq!(written[0].facts["broker"], "ok: connected");
        assert_eq!(health.problem(), None);

        pass(Duration::from_secs(10)).await;
        assert_eq!(health.problem().as_deref(), Some("the engine's loop is stuck"));
        let before = paper.signed.lock().unwrap().len();
        liveness.beat();
        pass(Duration::from_secs(5)).await;
        assert_eq!(health.problem(), None, "it turns again");
        assert_eq!(paper.signed.lock().unwrap().len(), before + 1);

        *paper.broken.lock().unwrap() = true;
        pass(Duration::from_secs(5)).await;
        assert_eq!(health.problem().as_deref(), Some("signing: no route to host"));

        stop.cancel();
        task.await.unwrap();
        assert_eq!(*paper.deregistered.lock().unwrap(), ["one"]);
    }
}
