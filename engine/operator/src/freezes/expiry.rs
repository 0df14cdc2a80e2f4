//! Events before and at the end of a freeze: operators at a host have to know that it is about to be recovered again.
//! Recoveries do not depend on them: they use the time in the database.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::event::{Cause, Event, Subject, ThawCause};
use tachi_engine::ports::{Clock, Events, FreezeEvent, FreezeLine, Freezes};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::when::duration_text;

/// Time before the end of a freeze at which the event is emitted.
const EXPIRY_NOTICE: Duration = Duration::from_mins(10);

/// Interval at which each engine checks. Only one of them emits each event.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Emits the events before and at the end of a freeze.
pub struct Tender {
    pub freezes: Arc<dyn Freezes>,
    pub events: Arc<dyn Events>,
    pub clock: Arc<dyn Clock>,
}

impl Tender {
    /// Checks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = false;
        loop {
            // Both branches only wait.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.freezes.take_freeze_events(EXPIRY_NOTICE).await {
                Ok(news) => {
                    quiet = false;
                    for one in news {
                        self.emit(one);
                    }
                }
                Err(error) if quiet => {
                    tracing::debug!(%error, "failed to publish freeze expiry events; freezes still expire");
                }
                Err(error) => {
                    quiet = true;
                    let source = error.source.to_string();
                    tracing::warn!(%error, source, "failed to publish freeze expiry events; freezes still expire");
                }
            }
        }
    }

    fn emit(&self, news: FreezeEvent) {
        let (thawing, line): (ThawCause, FreezeLine) = match news {
            FreezeEvent::EndsSoon(line) => {
                tracing::warn!(
                    freeze = %line.freeze.what(),
                    left = %duration_text(line.left),
                    detail = %line.freeze.sentence(),
                    "freeze expires soon; what has failed by then is recovered"
                );
                (ThawCause::EndsSoon, line)
            }
            FreezeEvent::Ended(line) => {
                tracing::warn!(
                    freeze = %line.freeze.what(),
                    "freeze expired; what has failed is recovered now"
                );
                (ThawCause::End, line)
            }
        };
        if self.events.is_enabled() {
            self.events.emit(Event {
                at: self.clock.wall(),
                cause: Arc::new(Cause {
                    request_id: format!("req-{}", uuid::Uuid::new_v4()),
                    ..Cause::default()
                }),
                subject: Subject::Freeze(thawing, line.freeze),
                phase: None,
                failure: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tachi_domain::Timestamp;
    use tachi_domain::freeze::{Freeze, FreezeScope};
    use tachi_engine::SystemClock;
    use tachi_engine::ports::{FreezeOutcome, JournalError, NewFreeze};

    use super::*;

    /// Prepared answers of the table, one for each check.
    struct ListedFreezes(Mutex<Vec<Result<Vec<FreezeEvent>, JournalError>>>);

    #[async_trait]
    impl Freezes for ListedFreezes {
        async fn freeze(&self, _: &NewFreeze) -> Result<FreezeOutcome, JournalError> {
            Err(JournalError::new("freezing", "not here"))
        }
        async fn thaw(&self, _: i64, _: &str) -> Result<Option<FreezeLine>, JournalError> {
            Ok(None)
        }
        async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError> {
            Ok(Vec::new())
        }
        async fn take_freeze_events(&self, soon: Duration) -> Result<Vec<FreezeEvent>, JournalError> {
            assert_eq!(soon, Duration::from_mins(10));
            self.0.lock().unwrap().pop().unwrap_or(Ok(Vec::new()))
        }
    }

    #[derive(Default)]
    struct RecordedEvents(Mutex<Vec<String>>);

    impl Events for RecordedEvents {
        fn is_enabled(&self) -> bool {
            true
        }
        fn emit(&self, event: Event) {
            self.0.lock().unwrap().push(event.name());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_told_also_after_the_database_was_away() {
        let line = FreezeLine {
            freeze: Freeze {
                number: 1,
                scope: FreezeScope::Host,
                name: "cmp1".into(),
                until: Timestamp::from_micros(0),
                by: "alice".into(),
                reason: "firmware".into(),
                unless_worse: false,
            },
            target: "t".into(),
            since: Timestamp::from_micros(0),
            left: Duration::from_mins(9),
            by_drain: false,
        };
        let listings = vec![
            Ok(vec![FreezeEvent::Ended(line.clone())]),
            Err(JournalError::new("tending", "away")),
            Ok(vec![FreezeEvent::EndsSoon(line)]),
        ];
        let recorded = Arc::new(RecordedEvents::default());
        let (tender, stop) = (
            Tender {
                freezes: Arc::new(ListedFreezes(Mutex::new(listings))),
                events: recorded.clone(),
                clock: Arc::new(SystemClock),
            },
            CancellationToken::new(),
        );
        let task = tokio::spawn(tender.run(stop.clone()));
        tokio::time::sleep(CHECK_INTERVAL * 3).await;
        stop.cancel();
        task.await.unwrap();
        assert_eq!(*recorded.0.lock().unwrap(), ["freeze.ends_soon", "freeze.end"]);
    }
}
