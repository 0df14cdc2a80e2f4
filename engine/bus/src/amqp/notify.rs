//! Wake-ups of engines on other machines.

use lapin::BasicProperties;
use tachi_engine::ports::Notifier;

use super::outbox::{Lane, OutboxMessage};
use super::publisher::{Publisher, WAKE_EXCHANGE};

/// Body of a wake-up: only its arrival counts.
const BODY: &[u8] = b"{\"tachi.wake\": 1}";

/// Wakes every host that has an engine.
#[derive(Clone, Debug)]
pub struct AmqpNotifier(Publisher);

impl AmqpNotifier {
    /// Creates the sender on top of a publisher.
    pub fn new(publisher: Publisher) -> Self {
        Self(publisher)
    }
}

impl Notifier for AmqpNotifier {
    fn notify(&self) {
        let mut message = OutboxMessage::json(Lane::WakeUp, WAKE_EXCHANGE, "", BODY.to_vec());
        // An engine that is not connected polls for work when it starts.
        message.properties = BasicProperties::default().with_content_type("application/json".into());
        self.0.publish(message);
    }

    fn is_connected(&self) -> Option<bool> {
        Some(self.0.status().state().is_up())
    }
}
