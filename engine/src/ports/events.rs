//! The outlet for events.

use tachi_domain::event::Event;

/// A receiver of events. Nothing depends on events, so no caller waits for them.
pub trait Events: Send + Sync {
    /// True if a listener exists; otherwise the data of events need not be gathered.
    fn wanted(&self) -> bool;

    /// Takes `event` and returns at once: no IO, no waiting, no failure. When more come than can be sent, the oldest
    /// are dropped.
    fn emit(&self, event: Event);
}

/// An outlet without listeners.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn wanted(&self) -> bool {
        false
    }

    fn emit(&self, _: Event) {}
}
