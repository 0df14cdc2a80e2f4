//! The log as an outlet for events.

use tachi_domain::event::Priority;

use super::Outlet;
use crate::message::Message;
use crate::metrics;

/// Driver `log`: a line of JSON under oslo.messaging's logger name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl Outlet for Log {
    fn take(&self, message: &Message) {
        const TARGET: &str = "oslo.messaging.notification";
        let event = message.event_type();
        match message.priority() {
            Priority::Info => tracing::info!(target: TARGET, event, "{}", message.to_json()),
            Priority::Error => tracing::error!(target: TARGET, event, "{}", message.to_json()),
        }
        metrics::count("log", true);
    }
}
