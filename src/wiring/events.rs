//! Who is told of events.

use std::sync::Arc;

use tachi_engine::ports::Events;
use tachi_events::{Broker, Carrier, Emitter, Format, Log, Outlet};

use crate::settings::{Driver, Settings, hostname};

/// The port of engine and API. `carrier` is the way to a broker, if there is one.
pub(crate) fn events(settings: &Settings, carrier: Option<&Arc<dyn Carrier>>) -> Arc<dyn Events> {
    let wanted = &settings.events;
    for driver in &wanted.silent {
        tracing::warn!(
            "[oslo_messaging_notifications] driver = {driver} tells nobody here: events go to the others only"
        );
    }
    if wanted.needs_a_broker() && carrier.is_none() {
        tracing::warn!(
            "[oslo_messaging_notifications] driver wants events at a broker, and there is no transport_url: none are sent"
        );
    }
    let mut outlets: Vec<Arc<dyn Outlet>> = Vec::new();
    for driver in &wanted.drivers {
        let format = match driver {
            Driver::Log => {
                outlets.push(Arc::new(Log));
                continue;
            }
            Driver::Messaging => Format::Bare,
            Driver::MessagingV2 => Format::Enveloped,
        };
        if let Some(carrier) = carrier {
            outlets.push(Arc::new(Broker::new(
                Arc::clone(carrier),
                wanted.exchange.clone(),
                wanted.topics.clone(),
                format,
            )));
        }
    }
    Arc::new(Emitter::new(hostname(), outlets))
}
