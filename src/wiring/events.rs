//! Receivers of events.

use std::sync::Arc;

use tachi_bus::amqp::{Lane, OutboxMessage, Publisher, PublisherTask, QueueFirst};
use tachi_engine::ports::Events;
use tachi_events::{Broker, Carrier, Emitter, Format, Log, Outlet};

use super::{Bus, Process};
use crate::settings::{Driver, Settings, hostname};

/// The events port of engine and API, and its implementation.
pub(crate) struct EventSetup {
    port: Arc<dyn Events>,
    /// Publisher to a separate broker, if events have one.
    task: Option<PublisherTask>,
}

impl EventSetup {
    /// Creates the port without connecting.
    pub(crate) fn open(settings: &Settings, bus: &Bus) -> Self {
        let event_settings = &settings.events;
        for driver in &event_settings.silent {
            tracing::warn!(
                %driver,
                "unsupported [oslo_messaging_notifications] driver; ignoring it"
            );
        }
        let (own, task) = match event_settings
            .broker
            .as_ref()
            .filter(|_| event_settings.needs_a_broker())
        {
            Some(broker) => {
                let (publisher, task) = Publisher::new(broker.options.clone());
                (Some(publisher), Some(task))
            }
            None => (None, None),
        };
        let carrier = own.or_else(|| bus.publisher()).map(ToBroker).map(Arc::new);
        let exchange = event_settings
            .broker
            .as_ref()
            .or(settings.messaging.as_ref())
            .map(|broker| broker.options.upstream.exchange.clone());
        let mut outlets: Vec<Arc<dyn Outlet>> = Vec::new();
        for driver in &event_settings.drivers {
            let format = match driver {
                Driver::Log => {
                    outlets.push(Arc::new(Log));
                    continue;
                }
                Driver::Messaging => Format::Bare,
                Driver::MessagingV2 => Format::Enveloped,
            };
            if let (Some(carrier), Some(exchange)) = (&carrier, &exchange) {
                let topics = event_settings.topics.clone();
                outlets.push(Arc::new(Broker::new(carrier.clone(), exchange, topics, format)));
            } else {
                tracing::warn!(
                    "[oslo_messaging_notifications] driver needs a broker and no transport_url is set; sending no events"
                );
            }
        }
        Self {
            port: Arc::new(Emitter::new(hostname(), outlets)),
            task,
        }
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> Arc<dyn Events> {
        Arc::clone(&self.port)
    }

    /// Sends what is queued.
    pub(crate) fn run(self, process: &Process) {
        if let Some(task) = self.task {
            process.last(|stop| task.run(stop));
        }
    }
}

/// The buffer in front of a broker.
struct ToBroker(Publisher);

impl Carrier for ToBroker {
    fn publish(&self, exchange: &str, key: &str, body: Vec<u8>) -> bool {
        let mut message = OutboxMessage::json(Lane::Event, exchange, key, body);
        message.queue_first = Some(QueueFirst { name: key.to_owned() });
        self.0.publish(message)
    }
}
