//! A look at Nova while nothing fails: whether it answers, and how its compute services are. It keeps the way to Nova ready, so
//! that a recovery does not begin with a login, and lets an operator know what is not protected before a host dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::cadence::Cadences;
use tachi_domain::nova::Service;
use tachi_domain::policy::Policy;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::numbers;
use crate::ports::{CallError, Clock, CloudLists};

/// Between two looks, in turns: looks in step with the heartbeats would always see them at the same age.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(11),
    Duration::from_secs(15),
    Duration::from_secs(19),
];

/// What was seen last. Clones show the same.
#[derive(Clone)]
pub struct CloudCache {
    clock: Arc<dyn Clock>,
    seen: watch::Sender<Seen>,
}

#[derive(Clone, Default)]
struct Seen {
    /// By the boot-time clock, when Nova answered last.
    answered: Option<Duration>,
    /// Why it did not answer since.
    trouble: Option<String>,
    services: BTreeMap<String, Option<Service>>,
    cadences: Cadences,
}

/// What is known of Nova's compute services.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudView {
    /// How long ago Nova answered; `None` if it never has.
    pub age: Option<Duration>,
    /// Why it did not answer the last look.
    pub trouble: Option<String>,
    /// Every `nova-compute` record by its host; `None` for one in a cell that is down.
    pub services: BTreeMap<String, Option<Service>>,
    /// How old the heartbeats of living hosts get, if that has been learnt.
    pub heartbeat_age: Option<Duration>,
}

impl CloudCache {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            seen: watch::Sender::default(),
        }
    }

    /// What is known now.
    pub fn view(&self) -> CloudView {
        let seen = self.seen.borrow().clone();
        CloudView {
            age: seen
                .answered
                .map(|answered| self.clock.boot().saturating_sub(answered)),
            trouble: seen.trouble,
            heartbeat_age: seen.cadences.usual(),
            services: seen.services,
        }
    }

    /// The rules for a recovery of `host`, with what was learnt of heartbeats.
    pub(crate) fn rules_for(&self, host: &str, policy: Policy) -> Policy {
        let seen = self.seen.borrow();
        Policy {
            watched: seen.cadences.watched(host, self.clock.boot()),
            ..policy.hearing(&seen.cadences, host)
        }
    }

    /// Returns after the next look, and after none that was before. May be dropped at any time.
    pub async fn looked(&self) {
        // The sender is here, so waiting for it cannot fail.
        let _ = self.seen.subscribe().changed().await;
    }

    /// Looks until it is dropped. What is wrong is told when it begins and when it is over.
    pub(crate) async fn watch(self, compute: Arc<dyn CloudLists>) {
        for pause in PAUSES.into_iter().cycle() {
            let answer = match compute.make_ready().await {
                Ok(()) => compute.services().await.map(|services| services.computes),
                Err(error) => Err(error),
            };
            self.note(answer);
            sleep(pause).await;
        }
    }

    pub(crate) fn note(&self, answer: Result<BTreeMap<String, Option<Service>>, CallError>) {
        self.seen.send_modify(|seen| match answer {
            Ok(services) => {
                if seen.trouble.take().is_some() {
                    tracing::info!("Nova answers again");
                }
                let now = self.clock.boot();
                seen.cadences.look(&services, now);
                numbers::heartbeat_age(seen.cadences.usual());
                seen.services = services;
                seen.answered = Some(now);
            }
            Err(error) => {
                let why = error.fault.text;
                if seen.trouble.is_none() {
                    tracing::warn!(
                        why,
                        "Nova does not answer: while that is so, a host that dies is not recovered"
                    );
                }
                seen.trouble = Some(why);
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
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        fn boot(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn what_was_seen_grows_old_and_stays_while_nova_is_away() {
        let hand = Arc::new(Hand::default());
        let cloud = CloudCache::new(hand.clone());
        assert_eq!(cloud.view().age, None);

        cloud.note(Ok([("compute-001".to_owned(), None)].into()));
        hand.0.store(50, Ordering::Relaxed);
        cloud.note(Err(CallError::refused("GET /os-services: connection refused")));
        let view = cloud.view();
        assert_eq!(view.age, Some(Duration::from_secs(50)));
        assert_eq!(
            view.trouble.as_deref(),
            Some("GET /os-services: connection refused")
        );
        assert_eq!(view.services.len(), 1, "what was known is still known");

        assert_eq!(view.heartbeat_age, None, "nothing was learnt");

        cloud.note(Ok(BTreeMap::new()));
        let view = cloud.view();
        assert_eq!((view.age, view.trouble), (Some(Duration::ZERO), None));
    }
}
