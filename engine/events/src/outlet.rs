//! Destinations of messages.

mod broker;
mod log;

pub use broker::{Broker, Carrier};
pub use log::Log;

use crate::message::Message;

/// A destination of messages.
pub trait Outlet: Send + Sync {
    /// Accepts a message and returns at once.
    fn take(&self, message: &Message);
}
