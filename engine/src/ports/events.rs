//! The outlet for events.

use tachi_domain::event::Event;

/// A receiver of events. Nothing depends on events, so no caller waits for them.
pub trait Events: Send + Sync {
    /// True if a listener exists. Without one, callers need not gather the data of events.
    fn is_enabled(&self) -> bool;

    /// Queues `event`, without IO, waiting or failure. A full queue drops its oldest events.
    fn emit(&self, event: Event);
}

/// An outlet without listeners.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn is_enabled(&self) -> bool {
        false
    }

    fn emit(&self, _: Event) {}
}
