//! Polls the state of Nova's compute services between failures. The polls keep the session with Nova ready, so that a
//! recovery does not start with a login, and show operators what is unprotected before a host fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::cadence::Cadences;
use tachi_domain::nova::Service;
use tachi_domain::policy::Policy;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::numbers;
use crate::ports::{CallError, Clock, CloudLists, Services};

/// Pauses between polls, used in rotation: with a fixed pause, polls in step with the heartbeats would always see them
/// at the same age.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(11),
    Duration::from_secs(15),
    Duration::from_secs(19),
];

/// The result of the last poll. Clones share it.
#[derive(Clone)]
pub struct CloudCache {
    clock: Arc<dyn Clock>,
    reading: watch::Sender<CloudReading>,
}

#[derive(Clone, Default)]
struct CloudReading {
    /// Boot time at which Nova last answered.
    answered_at: Option<Duration>,
    /// The error since then.
    problem: Option<String>,
    /// Nova's last answer.
    services: Services,
    cadences: Cadences,
}

/// A snapshot of Nova's compute services.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudView {
    /// Time since Nova last answered; `None` if it never has.
    pub age: Option<Duration>,
    /// The error of the last poll.
    pub problem: Option<String>,
    /// Every `nova-compute` record by its host; `None` for a record in a cell that is down, and for a host that has several.
    pub services: BTreeMap<String, Option<Service>>,
    /// The hosts that have several records.
    pub ambiguous: BTreeSet<String>,
    /// True if a scheduler is up.
    pub scheduler_up: bool,
    /// The maximum age of heartbeats of running hosts; `None` until it is learnt.
    pub heartbeat_age: Option<Duration>,
}

impl CloudCache {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            reading: watch::Sender::default(),
        }
    }

    pub fn view(&self) -> CloudView {
        let reading = self.reading.borrow().clone();
        CloudView {
            age: reading
                .answered_at
                .map(|answered_at| self.clock.boot().saturating_sub(answered_at)),
            problem: reading.problem,
            heartbeat_age: reading.cadences.usual(),
            services: reading.services.computes,
            ambiguous: reading.services.ambiguous.into_keys().collect(),
            scheduler_up: reading.services.scheduler_up,
        }
    }

    /// Returns the rules for a recovery of `host`, including the learnt heartbeat cadence.
    pub(crate) fn rules_for(&self, host: &str, policy: Policy) -> Policy {
        let reading = self.reading.borrow();
        Policy {
            watched: reading.cadences.watched(host, self.clock.boot()),
            ..policy.with_heartbeat_ages(&reading.cadences, host)
        }
    }

    /// Waits for the end of the next poll. May be dropped at any time.
    pub async fn polled(&self) {
        // `self` holds the sender, so waiting cannot fail.
        let _ = self.reading.subscribe().changed().await;
    }

    /// Polls until it is dropped. Logs the start and the end of a problem.
    pub(crate) async fn watch(self, compute: Arc<dyn CloudLists>) {
        for pause in PAUSES.into_iter().cycle() {
            let answer = match compute.make_ready().await {
                Ok(()) => compute.services().await,
                Err(error) => Err(error),
            };
            self.note(answer);
            sleep(pause).await;
        }
    }

    pub(crate) fn note(&self, answer: Result<Services, CallError>) {
        self.reading.send_modify(|reading| match answer {
            Ok(services) => {
                if reading.problem.take().is_some() {
                    tracing::info!("Nova answers again");
                }
                let now = self.clock.boot();
                reading.cadences.observe(&services.computes, now);
                numbers::heartbeat_age(reading.cadences.usual());
                reading.services = services;
                reading.answered_at = Some(now);
            }
            Err(error) => {
                let why = error.fault.text;
                if reading.problem.is_none() {
                    tracing::warn!(
                        why,
                        "Nova does not answer; no host can be recovered until it does"
                    );
                }
                reading.problem = Some(why);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tachi_domain::Timestamp;

    use super::*;

    #[derive(Default)]
    struct JournalHandle(AtomicU64);

    impl Clock for JournalHandle {
        fn wall(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        fn boot(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn the_snapshot_stays_and_becomes_stale_while_nova_is_down() {
        let hand = Arc::new(JournalHandle::default());
        let cloud = CloudCache::new(hand.clone());
        assert_eq!(cloud.view().age, None);

        cloud.note(Ok(Services {
            computes: [("compute-001".to_owned(), None)].into(),
            ..Services::default()
        }));
        hand.0.store(50, Ordering::Relaxed);
        cloud.note(Err(CallError::refused("GET /os-services: connection refused")));
        let view = cloud.view();
        assert_eq!(view.age, Some(Duration::from_secs(50)));
        assert_eq!(
            view.problem.as_deref(),
            Some("GET /os-services: connection refused")
        );
        assert_eq!(view.services.len(), 1, "the last snapshot is kept");

        assert_eq!(view.heartbeat_age, None, "no cadence is learnt");

        cloud.note(Ok(Services::default()));
        let view = cloud.view();
        assert_eq!((view.age, view.problem), (Some(Duration::ZERO), None));
    }
}
