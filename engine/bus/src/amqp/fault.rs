//! Errors of the broker.

use std::path::PathBuf;
use std::time::Duration;

/// Something the broker was needed for did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpError {
    /// The name of a broker leads nowhere.
    #[error("looking up the address of the broker {broker}")]
    Lookup {
        /// Host and port.
        broker: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A broker did not let us in, or broke the connection.
    #[error("connecting to the broker {broker}")]
    Connect {
        /// Host and port.
        broker: String,
        /// The cause.
        #[source]
        source: lapin::Error,
    },
    /// A broker accepted the connection and did not answer.
    #[error("connecting to the broker {broker}: no answer within {limit:?}")]
    Silent {
        /// Host and port.
        broker: String,
        /// The timeout.
        limit: Duration,
    },
    /// A connection ended without a word.
    #[error("the connection to the broker {broker} ended")]
    Ended {
        /// Host and port.
        broker: String,
    },
    /// A queue that we consume was deleted.
    #[error("a queue was deleted under us")]
    QueueGone,
    /// The broker refused something, or went away meanwhile.
    #[error("{what}")]
    Refused {
        /// The request.
        what: String,
        /// The error.
        #[source]
        source: lapin::Error,
    },
    /// The broker did not answer in time.
    #[error("{what}: no answer within {limit:?}")]
    NoAnswer {
        /// The request.
        what: String,
        /// The timeout.
        limit: Duration,
    },
    /// A name is too long for the protocol, which has 255 bytes for it.
    #[error("{what} `{name}` is longer than 255 bytes")]
    Name {
        /// The kind of name.
        what: &'static str,
        /// The beginning of the name.
        name: String,
    },
    /// No broker is configured.
    #[error("no broker is configured")]
    NoBroker,
    /// A file of TLS cannot be used.
    #[error("using {} for TLS to the broker", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up at all.
    #[error("setting up TLS to the broker")]
    Tls {
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AmqpError {
    /// The error with all that caused it, in one line. None of it holds credentials or what was in a message.
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

    /// The broker's own number of what it refused; `None` if it was something else.
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
