//! Makes messages of events: the versioned notifications that Masakari sends, under the same names, versions and
//! envelopes, and our own beside them (`docs/reference/events.md` lists them all).
//!
//! An [`Emitter`] is the engine's and the API's port. It takes an event, renders it, and hands it to each [`Outlet`]; none
//! of that waits for anything, so nothing that recovers instances ever waits for it. What sends to a broker has a bounded
//! buffer of its own, whose oldest go when it is full, behind [`Carrier`], which the binary provides.

mod context;
mod emitter;
mod message;
mod metrics;
mod outlet;
mod payload;
mod time;

pub use emitter::Emitter;
pub use message::{Format, Message};
pub use outlet::{Broker, Carrier, Log, Outlet};
