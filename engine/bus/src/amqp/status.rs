//! The status of a connection, for `/healthcheck`, metrics and the log.

use std::sync::{Arc, Mutex, PoisonError};

use metrics::{counter, gauge};
use tokio::time::Instant;

use super::fault::AmqpError;
use super::numbers::{CONNECTED, CONNECTIONS};

/// The state of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The first attempt has not finished yet.
    Starting,
    /// Connected.
    Up { broker: String },
    /// Connected, but the broker accepts no messages: it is short of memory or of disk.
    Blocked { broker: String },
    /// Not connected; the next attempt is running or about to start.
    Down {
        /// The reason of the last failure.
        why: String,
    },
}

impl LinkState {
    /// True if messages can be sent.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

#[derive(Debug)]
struct SharedLink {
    /// Name of the connection in metrics and the log.
    link: &'static str,
    state: Mutex<(LinkState, Option<Instant>)>,
}

/// One connection's state, shared between clones.
#[derive(Clone, Debug)]
pub struct LinkStatus(Arc<SharedLink>);

impl LinkStatus {
    pub(crate) fn new(link: &'static str) -> Self {
        gauge!(CONNECTED, "link" => link).set(0.0);
        Self(Arc::new(SharedLink {
            link,
            state: Mutex::new((LinkState::Starting, None)),
        }))
    }

    pub fn state(&self) -> LinkState {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Stores a state. Returns true if it differs from the previous one.
    fn set(&self, state: LinkState) -> bool {
        gauge!(CONNECTED, "link" => self.0.link).set(if state.is_up() { 1.0 } else { 0.0 });
        let mut current = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::discriminant(&current.0) != std::mem::discriminant(&state);
        *current = (state, changed.then(Instant::now).or(current.1));
        changed
    }

    pub(crate) fn up(&self, broker: &str) {
        counter!(CONNECTIONS, "link" => self.0.link, "result" => "connected").increment(1);
        let broker = broker.to_owned();
        if self.set(LinkState::Up {
            broker: broker.clone(),
        }) {
            tracing::info!(broker, link = self.0.link, "connected to the broker");
        }
    }

    /// Records that the broker accepts messages again.
    pub(crate) fn unblocked(&self, broker: &str) {
        let broker = broker.to_owned();
        if self.set(LinkState::Up {
            broker: broker.clone(),
        }) {
            tracing::info!(broker, link = self.0.link, "broker accepts messages again");
        }
    }

    pub(crate) fn blocked(&self, broker: &str, why: &str) {
        let broker = broker.to_owned();
        if self.set(LinkState::Blocked {
            broker: broker.clone(),
        }) {
            tracing::warn!(
                broker,
                link = self.0.link,
                why,
                "broker blocks publishing: wake-ups take up to a sweep interval until it accepts messages"
            );
        }
    }

    /// Records a failed attempt or a lost connection. Only the first failure in a row is logged as a warning.
    pub(crate) fn down(&self, error: &AmqpError) {
        counter!(CONNECTIONS, "link" => self.0.link, "result" => "failed").increment(1);
        let why = error.chain();
        if self.set(LinkState::Down { why: why.clone() }) {
            tracing::warn!(
                link = self.0.link,
                why,
                "broker is not connected: wake-ups take up to a sweep interval until it is"
            );
        } else {
            tracing::debug!(link = self.0.link, why, "broker is still not connected");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_accepts_messages_is_up() {
        let status = LinkStatus::new("test");
        assert_eq!(status.state(), LinkState::Starting);
        status.up("a:1");
        assert!(status.state().is_up());
        status.blocked("a:1", "low on memory");
        assert!(!status.state().is_up());
        status.unblocked("a:1");
        assert!(status.state().is_up());
        status.down(&AmqpError::NoBroker);
        let why = AmqpError::NoBroker.to_string();
        assert_eq!(status.state(), LinkState::Down { why });
    }
}
