use std::sync::{Mutex, PoisonError};

use tachi_domain::event::Event;
use tachi_engine::ports::Events;

/// Keeps what it is told.
#[derive(Debug, Default)]
pub struct Ear(Mutex<Vec<Event>>);

impl Events for Ear {
    fn wanted(&self) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl Ear {
    /// What it was told since it was asked last.
    pub fn heard(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All that it has been told, as long as nobody has asked what it has heard.
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has heard, by names.
    pub fn names(&self) -> Vec<String> {
        self.heard().iter().map(Event::name).collect()
    }
}
