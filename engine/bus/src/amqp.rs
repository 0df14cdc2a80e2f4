//! RabbitMQ: what makes wake-ups reach engines on other machines, what carries events out, and what lets an API of
//! upstream stand beside our engines.
//!
//! Nothing depends on a message. Whoever publishes puts it into a bounded buffer and goes on; a task of its own keeps one
//! connection to whichever broker answers, and empties the buffer through it. Who consumes does so on a second connection,
//! because a broker that is short of memory stops reading from connections that publish.
//!
//! ```text
//! API, engine -> Publisher (bounded buffer) -> PublisherTask -> broker -> Listener -> LocalWake -> engine
//!                                                                 ^
//! API of upstream ------------------------------------------------+  (casts and calls on `ha_engine`)
//! ```

mod answer;
mod backoff;
mod dial;
mod fault;
mod listener;
mod numbers;
mod options;
mod outbox;
mod poke;
mod publisher;
mod request;
mod status;
mod tls;
mod topology;
mod upstream;

pub use fault::AmqpError;
pub use listener::{Ends, Listener};
pub use options::{AmqpOptions, Broker, QueueKind, TlsOptions, UpstreamQueues};
pub use outbox::{Lane, Outgoing, QueueFirst};
pub use poke::AmqpPoke;
pub use publisher::{Publisher, PublisherTask};
pub use status::{LinkState, LinkStatus};
pub use tls::BrokerTls;
pub use upstream::{Consumers, Upstream};
