//! A look at Nova while nothing fails: whether it answers, and how its compute services are. It keeps the way to Nova ready, so
//! that a recovery does not begin with a login, and lets an operator know what is not protected before a host dies.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::nova::Service;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::ports::{CallError, Clock, Compute};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(15);

/// What was seen last. Clones show the same.
#[derive(Clone)]
pub struct Cloud {
    clock: Arc<dyn Clock>,
    seen: watch::Sender<Seen>,
}

#[derive(Clone, Default)]
struct Seen {
    /// By the boot-time clock, when Nova answered last.
    answered: Option<Duration>,
    /// Why it did not answer since.
    trouble: Option<String>,
    services: Vec<(String, Option<Service>)>,
}

/// What is known of Nova's compute services.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudView {
    /// How long ago Nova answered; `None` if it never has.
    pub age: Option<Duration>,
    /// Why it did not answer the last look.
    pub trouble: Option<String>,
    /// Every `nova-compute` record by its host; `None` for one in a cell that is down.
    pub services: Vec<(String, Option<Service>)>,
}

impl Cloud {
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
            services: seen.services,
        }
    }

    /// Returns after the next look, and after none that was before. May be dropped at any time.
    pub async fn looked(&self) {
        // The sender is here, so waiting for it cannot fail.
        let _ = self.seen.subscribe().changed().await;
    }

    /// Looks until it is dropped. What is wrong is told when it begins and when it is over.
    pub(crate) async fn watch(self, compute: Arc<dyn Compute>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let answer = match compute.make_ready().await {
                Ok(()) => compute.services().await,
                Err(error) => Err(error),
            };
            self.note(answer);
        }
    }

    fn note(&self, answer: Result<Vec<(String, Option<Service>)>, CallError>) {
        self.seen.send_modify(|seen| match answer {
            Ok(services) => {
                if seen.trouble.take().is_some() {
                    tracing::info!("Nova answers again");
                }
                seen.services = services;
                seen.answered = Some(self.clock.boot());
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
        let cloud = Cloud::new(hand.clone());
        assert_eq!(cloud.view().age, None);

        cloud.note(Ok(vec![("compute-001".to_owned(), None)]));
        hand.0.store(50, Ordering::Relaxed);
        cloud.note(Err(CallError::refused("GET /os-services: connection refused")));
        let view = cloud.view();
        assert_eq!(view.age, Some(Duration::from_secs(50)));
        assert_eq!(
            view.trouble.as_deref(),
            Some("GET /os-services: connection refused")
        );
        assert_eq!(view.services.len(), 1, "what was known is still known");

        cloud.note(Ok(Vec::new()));
        let view = cloud.view();
        assert_eq!((view.age, view.trouble), (Some(Duration::ZERO), None));
    }
}
