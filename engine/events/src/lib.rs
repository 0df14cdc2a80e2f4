//! Turns events into messages: the versioned notifications that Masakari sends, under the same names, versions and
//! envelopes, and our own (`docs/reference/events.md` lists them all).
//!
//! An [`Emitter`] is the engine's and the API's port. It renders an event and passes it to each [`Outlet`] without
//! blocking, so that no recovery ever waits for it. The outlet to a broker sends through a [`Carrier`], which the binary
//! provides: a bounded buffer that drops the oldest messages when it is full.

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
