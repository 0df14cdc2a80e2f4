//! A message in the format of oslo.messaging's notifications.

use serde_json::{Map, Value, json};
use tachi_domain::event::{Event, Priority};
use uuid::Uuid;

use crate::{context, payload, time};

/// The envelope of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// No envelope: driver `messaging`.
    Bare,
    /// The version 2.0 envelope: driver `messagingv2`.
    Enveloped,
}

/// An event, ready to be sent to any outlet.
#[derive(Clone, Debug)]
pub struct Message {
    event_type: String,
    priority: Priority,
    publisher_id: String,
    id: Uuid,
    timestamp: String,
    payload: Value,
    context: Map<String, Value>,
}

impl Message {
    /// Renders `event` for the machine `hostname`.
    pub fn of(event: &Event, hostname: &str) -> Self {
        Self {
            event_type: event.name(),
            priority: event.priority(),
            publisher_id: format!("{}:{hostname}", event.publisher()),
            id: Uuid::new_v4(),
            timestamp: time::of_message(event.at),
            payload: payload::of(event),
            context: context::context(&event.cause, event.at),
        }
    }

    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Returns the message without the fields for a broker, as the log shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "message_id": self.id.hyphenated().to_string(),
            "publisher_id": self.publisher_id,
            "event_type": self.event_type,
            "priority": self.priority.as_str(),
            "payload": self.payload,
            "timestamp": self.timestamp,
        })
    }

    /// Returns the bytes for a broker. Each call creates a unique id, by which listeners recognise a duplicate.
    pub fn body(&self, format: Format) -> Vec<u8> {
        let mut inner = self.to_json();
        if let Value::Object(fields) = &mut inner {
            let unique = Uuid::new_v4().simple().to_string();
            fields.insert("_unique_id".to_owned(), Value::String(unique));
            fields.extend(self.context.clone());
        }
        match format {
            Format::Bare => inner.to_string().into_bytes(),
            Format::Enveloped => json!({ "oslo.version": "2.0", "oslo.message": inner.to_string() })
                .to_string()
                .into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
