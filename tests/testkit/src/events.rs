use std::sync::{Mutex, PoisonError};

use tachi_domain::event::Event;
use tachi_engine::ports::Events;

/// Records the events.
#[derive(Debug, Default)]
pub struct EventRecorder(Mutex<Vec<Event>>);

impl Events for EventRecorder {
    fn is_enabled(&self) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl EventRecorder {
    /// Returns the events since the last call.
    pub fn emitted(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns all events that `emitted` has not removed.
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the names of the events since the last call.
    pub fn names(&self) -> Vec<String> {
        self.emitted().iter().map(Event::name).collect()
    }
}
