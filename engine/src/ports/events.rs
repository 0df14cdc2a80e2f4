//! Where events go.

use tachi_domain::event::Event;

/// Tells whoever listens. Nothing depends on it, so nothing waits for it.
pub trait Events: Send + Sync {
    /// Whether anybody listens; else whatever an event is made of need not be gathered.
    fn wanted(&self) -> bool;

    /// Takes `event` over and returns at once: no IO, no waiting, no failure. When more come than can be sent, the oldest
    /// are dropped.
    fn emit(&self, event: Event);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn wanted(&self) -> bool {
        false
    }

    fn emit(&self, _: Event) {}
}
