//! A broker as an outlet for events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tachi_domain::event::Priority;
use tokio::time::Instant;

use super::Outlet;
use crate::message::{Format, Message};
use crate::metrics;

/// Interval of log messages about losses.
const LOSS_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A bounded buffer in front of a broker.
pub trait Carrier: Send + Sync {
    /// Queues `body` for publication to `exchange` under `key`, and to a queue of that name, which is declared and
    /// bound first, so that messages are kept before there is a consumer. Never blocks. Returns true if no older
    /// message was dropped.
    fn publish(&self, exchange: &str, key: &str, body: Vec<u8>) -> bool;
}

/// The number of lost messages, and the time of the last log message about them.
#[derive(Debug, Default)]
struct Losses {
    unlogged: u64,
    logged_at: Option<Instant>,
}

/// Drivers `messaging` and `messagingv2`.
pub struct Broker {
    carrier: Arc<dyn Carrier>,
    exchange: String,
    topics: Vec<String>,
    format: Format,
    losses: Mutex<Losses>,
}

impl Broker {
    /// Creates an outlet that sends to `exchange`, once for each of `topics`.
    pub fn new(
        carrier: Arc<dyn Carrier>,
        exchange: impl Into<String>,
        topics: Vec<String>,
        format: Format,
    ) -> Self {
        Self {
            carrier,
            exchange: exchange.into(),
            topics,
            format,
            losses: Mutex::default(),
        }
    }

    const fn driver(&self) -> &'static str {
        match self.format {
            Format::Bare => "messaging",
            Format::Enveloped => "messagingv2",
        }
    }

    /// Counts a loss. Returns the number of losses to log, if a log message is due.
    fn count_loss(&self) -> Option<u64> {
        // The two numbers have no common invariant, so a poisoned lock is harmless.
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses.unlogged = losses.unlogged.saturating_add(1);
        let now = Instant::now();
        if losses
            .logged_at
            .is_some_and(|logged_at| now.duration_since(logged_at) < LOSS_LOG_INTERVAL)
        {
            return None;
        }
        losses.logged_at = Some(now);
        Some(std::mem::take(&mut losses.unlogged))
    }
}

impl Outlet for Broker {
    fn take(&self, message: &Message) {
        for topic in &self.topics {
            let key = format!("{topic}.{}", key_of(message.priority()));
            let is_queued = self
                .carrier
                .publish(&self.exchange, &key, message.body(self.format));
            metrics::count(self.driver(), is_queued);
            if !is_queued && let Some(lost) = self.count_loss() {
                tracing::warn!(
                    driver = self.driver(),
                    lost,
                    "dropped the oldest events because the broker is too slow or down; recoveries are not affected"
                );
            }
        }
    }
}

const fn key_of(priority: Priority) -> &'static str {
    match priority {
        Priority::Info => "info",
        Priority::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tachi_domain::Timestamp;
    use tachi_domain::event::{Change, Event, EventSnapshot, FailureCause, Phase, Subject};

    use super::*;

    #[derive(Default)]
    struct Keeps {
        full: AtomicBool,
        got: Mutex<Vec<(String, String, Vec<u8>)>>,
    }

    impl Carrier for Keeps {
        fn publish(&self, exchange: &str, key: &str, body: Vec<u8>) -> bool {
            self.got
                .lock()
                .unwrap()
                .push((exchange.to_owned(), key.to_owned(), body));
            !self.full.load(Ordering::SeqCst)
        }
    }

    fn message(failure: Option<FailureCause>) -> Message {
        let event = Event {
            at: Timestamp::from_micros(0),
            cause: Arc::default(),
            subject: Subject::Segment(Change::Create, EventSnapshot::Id(uuid::Uuid::nil().into())),
            phase: Some(Phase::End),
            failure,
        };
        Message::of(&event, "here")
    }

    fn broker(keeps: &Arc<Keeps>, topics: &[&str], format: Format) -> Broker {
        let topics = topics.iter().map(ToString::to_string).collect();
        Broker::new(keeps.clone(), "masakari", topics, format)
    }

    #[tokio::test(start_paused = true)]
    async fn the_key_is_the_topic_and_the_priority() {
        let keeps = Arc::<Keeps>::default();
        let broker = broker(&keeps, &["versioned_notifications", "more"], Format::Enveloped);
        broker.take(&message(None));
        broker.take(&message(Some(FailureCause {
            exception: "DBError".into(),
            message: String::new(),
            module: String::new(),
            function: String::new(),
            trace: String::new(),
        })));
        let got = keeps.got.lock().unwrap();
        let keys: Vec<_> = got
            .iter()
            .map(|(exchange, key, _)| (exchange.as_str(), key.as_str()))
            .collect();
        assert_eq!(
            keys,
            [
                ("masakari", "versioned_notifications.info"),
                ("masakari", "more.info"),
                ("masakari", "versioned_notifications.error"),
                ("masakari", "more.error"),
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_driver_decides_the_envelope() {
        for (format, enveloped) in [(Format::Bare, false), (Format::Enveloped, true)] {
            let keeps = Arc::<Keeps>::default();
            broker(&keeps, &["t"], format).take(&message(None));
            let got = keeps.got.lock().unwrap();
            let body: serde_json::Value = serde_json::from_slice(&got[0].2).unwrap();
            assert_eq!(body.get("oslo.version").is_some(), enveloped);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_logged_once_a_minute_with_their_number() {
        let keeps = Arc::<Keeps>::default();
        let broker = broker(&keeps, &["t"], Format::Enveloped);
        broker.take(&message(None));
        assert_eq!(broker.losses.lock().unwrap().logged_at, None, "nothing was lost");
        keeps.full.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            broker.take(&message(None));
        }
        assert_eq!(
            broker.losses.lock().unwrap().unlogged,
            4,
            "the first was sent at once"
        );
        tokio::time::advance(LOSS_LOG_INTERVAL).await;
        broker.take(&message(None));
        assert_eq!(broker.losses.lock().unwrap().unlogged, 0);
    }
}
