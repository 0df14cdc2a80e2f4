//! Errors of the broker.

use std::path::PathBuf;
use std::time::Duration;

/// An error of a broker or of its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpError {
    /// The name of a broker cannot be resolved.
    #[error("looking up the address of the broker {broker}")]
    Lookup {
        /// The host and port of the broker.
        broker: String,
        #[source]
        source: std::io::Error,
    },
    /// A broker refused the connection, or closed it during the handshake.
    #[error("connecting to the broker {broker}")]
    Connect {
        /// The host and port of the broker.
        broker: String,
        #[source]
        source: lapin::Error,
    },
    /// A broker accepted the connection and did not answer.
    #[error("connecting to the broker {broker}: no answer within {limit:?}")]
    Silent {
        /// The host and port of the broker.
        broker: String,
        limit: Duration,
    },
    /// A connection ended, and the broker gave no reason.
    #[error("the connection to the broker {broker} ended")]
    Ended {
        /// The host and port of the broker.
        broker: String,
    },
    /// A queue that we consume was deleted.
    #[error("the broker deleted a queue that this process consumes")]
    QueueGone,
    /// The broker refused a request, or the connection was lost during it.
    #[error("{what}")]
    Refused {
        what: String,
        #[source]
        source: lapin::Error,
    },
    /// The broker did not answer in time.
    #[error("{what}: no answer within {limit:?}")]
    NoAnswer { what: String, limit: Duration },
    /// A name is longer than the 255 bytes that the protocol allows.
    #[error("{what} `{name}` is longer than 255 bytes")]
    Name {
        what: &'static str,
        /// The beginning of the name.
        name: String,
    },
    /// No broker is configured.
    #[error("no broker is configured")]
    NoBroker,
    /// A TLS file cannot be used.
    #[error("using {} for TLS to the broker", path.display())]
    TlsFile {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up at all.
    #[error("setting up TLS to the broker")]
    Tls {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AmqpError {
    /// Returns the error with all its causes, in one line. The text contains no credentials and no part of a message.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let more = error.to_string();
            // The client's errors quote their own source.
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            source = error.source();
        }
        text
    }

    /// Returns the AMQP reply code of a refusal; `None` for other errors.
    pub(crate) fn code(&self) -> Option<u16> {
        let (Self::Refused { source, .. } | Self::Connect { source, .. }) = self else {
            return None;
        };
        if let lapin::ErrorKind::ProtocolError(error) = source.kind() {
            return Some(error.get_id());
        }
        None
    }
}
