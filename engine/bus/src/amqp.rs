//! RabbitMQ: wake-ups between engines on different machines, events, and interoperation with an upstream API.
//!
//! No decision depends on a message. A publisher puts it into a bounded buffer and continues; a separate task keeps one
//! connection to the first broker that answers, and sends the buffer's contents. The consumer uses a second connection,
//! because a broker that is short of memory stops reading from connections that publish.
//!
//! ```text
//! API, engine -> Publisher (bounded buffer) -> PublisherTask -> broker -> Listener -> LocalWake -> engine
//!                                                                 ^
//! upstream API ---------------------------------------------------+  (casts and calls on `ha_engine`)
//! ```

mod answer;
mod backoff;
mod dial;
mod fault;
mod listener;
mod notify;
mod numbers;
mod options;
mod outbox;
mod publisher;
mod request;
mod status;
mod tls;
mod topology;
mod upstream;

pub use fault::AmqpError;
pub use listener::{Listener, ListenerPorts};
pub use notify::AmqpNotifier;
pub use options::{AmqpOptions, Broker, QueueKind, TlsOptions, UpstreamQueues};
pub use outbox::{Lane, OutboxMessage, QueueFirst};
pub use publisher::{Publisher, PublisherTask};
pub use status::{LinkState, LinkStatus};
pub use tls::BrokerTls;
pub use upstream::{Consumers, Upstream};
