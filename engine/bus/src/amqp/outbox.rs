//! The bounded buffer of messages to publish. It never blocks its callers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::BasicProperties;
use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::numbers::{MESSAGES, WAITING};

/// The purpose of a message, which decides its timeout and what is dropped if the buffer is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The answer to a waiting caller.
    Reply,
    /// A wake-up. One has the effect of many, so the buffer holds at most one.
    WakeUp,
    /// An event for others, kept for a long time and in order. When the buffer is full, the oldest events are dropped.
    Event,
}

impl Lane {
    /// All lanes, in the order in which they are served.
    const ALL: [Self; 3] = [Self::Reply, Self::WakeUp, Self::Event];

    /// Returns the limit of messages in the lane.
    const fn capacity(self) -> usize {
        match self {
            Self::Reply => 256,
            Self::WakeUp => 1,
            Self::Event => 10_000,
        }
    }

    /// Returns the lane as a metric label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::WakeUp => "wake",
            Self::Event => "event",
        }
    }
}

/// A queue that must exist before a message is published, so that the message is kept until it is consumed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueFirst {
    /// The name, which is also the routing key.
    pub name: String,
}

/// A message to publish.
#[derive(Clone, Debug)]
pub struct OutboxMessage {
    pub lane: Lane,
    /// The exchange; it is declared as a durable or transient topic exchange if it is missing. Empty for the default
    /// one.
    pub exchange: String,
    pub key: String,
    pub body: Vec<u8>,
    /// The properties; see [`OutboxMessage::json`].
    pub properties: BasicProperties,
    /// The queue to declare and bind to the exchange before the first such message of a connection.
    pub queue_first: Option<QueueFirst>,
    /// The time after which sending is no longer useful.
    pub until: Option<Instant>,
    /// The number of connections on which sending was tried.
    pub(crate) tries: u8,
}

impl OutboxMessage {
    /// Creates a message in oslo.messaging's form: JSON, persistent.
    pub fn json(lane: Lane, exchange: impl Into<String>, key: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            lane,
            exchange: exchange.into(),
            key: key.into(),
            body,
            properties: BasicProperties::default()
                .with_content_type("application/json".into())
                .with_content_encoding("utf-8".into())
                .with_delivery_mode(2),
            queue_first: None,
            until: None,
            tries: 0,
        }
    }
}

/// Counts the outcome of a message, or an intermediate one such as a retry.
pub(crate) fn count(lane: Lane, result: &'static str) {
    counter!(MESSAGES, "kind" => lane.label(), "result" => result).increment(1);
}

#[derive(Debug, Default)]
struct Lanes {
    reply: VecDeque<OutboxMessage>,
    wake: VecDeque<OutboxMessage>,
    event: VecDeque<OutboxMessage>,
}

impl Lanes {
    fn of(&mut self, lane: Lane) -> &mut VecDeque<OutboxMessage> {
        match lane {
            Lane::Reply => &mut self.reply,
            Lane::WakeUp => &mut self.wake,
            Lane::Event => &mut self.event,
        }
    }
}

/// The buffer. Adding a message never blocks.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: Mutex<Lanes>,
    filled: Notify,
}

impl Outbox {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message. Returns true if no other was dropped for it.
    pub(crate) fn put(&self, message: OutboxMessage) -> bool {
        let lane = message.lane;
        let dropped = {
            let mut lanes = self.lanes();
            let queue = lanes.of(lane);
            let dropped = queue.len() >= lane.capacity();
            if dropped {
                queue.pop_front();
            }
            queue.push_back(message);
            waiting(lane, queue.len());
            dropped
        };
        if dropped {
            // A merged wake-up does all that the replaced one would have done.
            count(lane, if lane == Lane::WakeUp { "merged" } else { "dropped" });
        }
        self.filled.notify_one();
        !dropped
    }

    /// Returns unsent messages to the front, in their order, as far as the buffer's limit allows.
    pub(crate) fn put_back(&self, messages: Vec<OutboxMessage>) {
        for message in messages.into_iter().rev() {
            let lane = message.lane;
            let mut lanes = self.lanes();
            let queue = lanes.of(lane);
            if queue.len() < lane.capacity() {
                queue.push_front(message);
                waiting(lane, queue.len());
            } else {
                drop(lanes);
                count(lane, if lane == Lane::WakeUp { "merged" } else { "dropped" });
            }
        }
        self.filled.notify_one();
    }

    fn take(&self) -> Option<OutboxMessage> {
        let mut lanes = self.lanes();
        Lane::ALL.into_iter().find_map(|lane| {
            let queue = lanes.of(lane);
            let message = queue.pop_front()?;
            waiting(lane, queue.len());
            Some(message)
        })
    }

    /// Returns the next message that is still worth sending.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message.
    pub(crate) async fn next(&self) -> OutboxMessage {
        loop {
            while let Some(message) = self.take() {
                if message.until.is_none_or(|until| Instant::now() < until) {
                    return message;
                }
                count(message.lane, "late");
            }
            self.filled.notified().await;
        }
    }

    pub(crate) fn len(&self) -> usize {
        let mut lanes = self.lanes();
        Lane::ALL.into_iter().map(|lane| lanes.of(lane).len()).sum()
    }
}

fn waiting(lane: Lane, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    gauge!(WAITING, "kind" => lane.label()).set(f64::from(number));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(lane: Lane, key: &str) -> OutboxMessage {
        OutboxMessage::json(lane, "", key, Vec::new())
    }

    async fn keys(outbox: &Outbox) -> Vec<String> {
        let mut keys = Vec::new();
        while outbox.len() > 0 {
            keys.push(outbox.next().await.key);
        }
        keys
    }

    #[tokio::test]
    async fn replies_first_then_wake_ups_then_events_in_their_order() {
        let outbox = Outbox::default();
        for (lane, key) in [
            (Lane::Event, "e1"),
            (Lane::Event, "e2"),
            (Lane::WakeUp, "w"),
            (Lane::Reply, "r"),
        ] {
            assert!(outbox.put(message(lane, key)));
        }
        assert_eq!(keys(&outbox).await, ["r", "w", "e1", "e2"]);
    }

    /// Covers EW10.
    #[tokio::test]
    async fn a_full_buffer_drops_the_oldest_message_and_never_blocks() {
        for (lane, capacity) in [(Lane::WakeUp, 1), (Lane::Reply, 256), (Lane::Event, 10_000)] {
            let outbox = Outbox::default();
            for number in 0..capacity + 3 {
                assert_eq!(
                    outbox.put(message(lane, &number.to_string())),
                    number < capacity,
                    "{lane:?}"
                );
            }
            let kept = keys(&outbox).await;
            assert_eq!(kept.len(), capacity, "{lane:?}");
            assert_eq!(kept.first().unwrap(), "3", "{lane:?}");
        }
    }

    #[tokio::test]
    async fn unsent_messages_return_to_the_front_within_the_limit() {
        let outbox = Outbox::default();
        outbox.put(message(Lane::Event, "c"));
        outbox.put_back(vec![message(Lane::Event, "a"), message(Lane::Event, "b")]);
        outbox.put(message(Lane::WakeUp, "new"));
        outbox.put_back(vec![message(Lane::WakeUp, "old")]);
        assert_eq!(keys(&outbox).await, ["new", "a", "b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_message_is_not_sent() {
        let outbox = Outbox::default();
        let mut late = message(Lane::Reply, "late");
        late.until = Some(Instant::now() + Duration::from_secs(1));
        outbox.put(late);
        outbox.put(message(Lane::Reply, "open"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outbox.next().await.key, "open");
        assert_eq!(outbox.len(), 0);
    }
}
