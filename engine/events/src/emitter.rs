//! The implementation of the engine's and the API's port for events.

use std::sync::Arc;

use tachi_domain::event::Event;
use tachi_engine::ports::Events;

use crate::message::Message;
use crate::outlet::Outlet;

/// Emits every event to every outlet.
pub struct Emitter {
    outlets: Vec<Arc<dyn Outlet>>,
    hostname: String,
}

impl Emitter {
    /// Creates an emitter for the machine `hostname`, which is part of the `publisher_id`. Without an outlet it drops
    /// all events.
    pub fn new(hostname: impl Into<String>, outlets: Vec<Arc<dyn Outlet>>) -> Self {
        Self {
            outlets,
            hostname: hostname.into(),
        }
    }
}

impl Events for Emitter {
    fn is_enabled(&self) -> bool {
        !self.outlets.is_empty()
    }

    fn emit(&self, event: Event) {
        if !self.is_enabled() {
            return;
        }
        let message = Message::of(&event, &self.hostname);
        for outlet in &self.outlets {
            outlet.take(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tachi_domain::Timestamp;
    use tachi_domain::event::{Change, EventSnapshot, Phase, Subject};

    use super::*;

    #[derive(Default)]
    struct MemoryOutlet(Mutex<Vec<serde_json::Value>>);

    impl Outlet for MemoryOutlet {
        fn take(&self, message: &Message) {
            self.0.lock().unwrap().push(message.to_json());
        }
    }

    fn event() -> Event {
        Event {
            at: Timestamp::from_micros(0),
            cause: Arc::default(),
            subject: Subject::Segment(Change::Create, EventSnapshot::Id(uuid::Uuid::nil().into())),
            phase: Some(Phase::End),
            failure: None,
        }
    }

    #[test]
    fn without_an_outlet_no_event_is_wanted() {
        let emitter = Emitter::new("here", Vec::new());
        assert!(!emitter.is_enabled());
        emitter.emit(event());
    }

    #[test]
    fn every_outlet_gets_the_same_message() {
        let places = [Arc::<MemoryOutlet>::default(), Arc::<MemoryOutlet>::default()];
        let outlets = places
            .iter()
            .map(|place| Arc::clone(place) as Arc<dyn Outlet>)
            .collect();
        let emitter = Emitter::new("here", outlets);
        assert!(emitter.is_enabled());
        emitter.emit(event());
        let [one, other] = places.map(|place| place.0.lock().unwrap().clone());
        assert_eq!(one, other, "also the same message_id");
        assert_eq!(one[0]["publisher_id"], "masakari-api:here");
    }
}
