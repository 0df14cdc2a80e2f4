//! Options of the broker and its queues.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::tls::BrokerTls;

/// One broker of a cluster.
#[derive(Clone, Debug)]
pub struct Broker {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: SecretString,
}

/// The TLS files for connections to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// `ssl_ca_file`: only these authorities are trusted; without it those of the system.
    pub authorities: Option<PathBuf>,
    /// `ssl_cert_file`: our own certificate.
    pub certificate: Option<PathBuf>,
    /// `ssl_key_file`: the key of the certificate.
    pub key: Option<PathBuf>,
}

/// The type of queue to declare if it does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// A quorum queue: it survives the loss of a broker of a cluster.
    Quorum,
    /// A classic queue that survives a restart of its broker.
    Durable,
    /// A classic queue that is lost with its broker.
    Transient,
}

/// The names by which an upstream API reaches engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamQueues {
    /// `control_exchange`.
    pub exchange: String,
    /// `masakari_topic`.
    pub topic: String,
    /// The queues' type if they must be declared. An upstream API declares its exchange by its own options and fails
    /// on another type, so both must have the same configuration.
    pub kind: QueueKind,
}

#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// The brokers; one of them is sufficient.
    pub brokers: Vec<Broker>,
    pub virtual_host: String,
    pub tls: Option<BrokerTls>,
    /// `heartbeat_timeout_threshold`: longer silence ends the connection; zero disables it.
    pub heartbeat: Duration,
    /// Timeout for establishing a connection.
    pub connect_limit: Duration,
    /// Timeout for a confirmation or any other answer of the broker.
    pub answer_limit: Duration,
    /// Pause after a failure before the next broker is tried; it doubles with each further failure.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
    /// The type of our own queues.
    pub queues: QueueKind,
    /// The queues of an upstream API's casts.
    pub upstream: UpstreamQueues,
    /// `host`: part of the names of queues.
    pub host: String,
}

impl AmqpOptions {
    /// Creates options with defaults for everything but the brokers.
    pub fn new(brokers: Vec<Broker>, host: impl Into<String>) -> Self {
        Self {
            brokers,
            virtual_host: "/".to_owned(),
            tls: None,
            heartbeat: Duration::from_secs(60),
            connect_limit: Duration::from_secs(5),
            answer_limit: Duration::from_secs(10),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
            queues: QueueKind::Quorum,
            upstream: UpstreamQueues {
                exchange: "masakari".to_owned(),
                topic: "ha_engine".to_owned(),
                kind: QueueKind::Transient,
            },
            host: host.into(),
        }
    }
}
