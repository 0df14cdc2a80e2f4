//! Destinations of messages.

mod broker;
mod log;

pub use broker::{Broker, Carrier};
pub use log::Log;

use crate::message::Message;

/// One place where messages go.
pub trait Outlet: Send + Sync {
    /// Takes a message over and returns at once.
    fn take(&self, message: &Message);
}
