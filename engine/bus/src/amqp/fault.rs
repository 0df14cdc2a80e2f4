//! What can go wrong with the broker.

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
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A broker did not let us in, or broke the connection.
    #[error("connecting to the broker {broker}")]
    Connect {
        /// Host and port.
        broker: String,
        /// Why not.
        #[source]
        source: lapin::Error,
    },
    /// A broker took the connection and said nothing.
    #[error("connecting to the broker {broker}: no answer within {limit:?}")]
    Silent {
        /// Host and port.
        broker: String,
        /// How long it was waited for.
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
        /// What was asked of it.
        what: String,
        /// What it said.
        #[source]
        source: lapin::Error,
    },
    /// The broker did not answer in time.
    #[error("{what}: no answer within {limit:?}")]
    NoAnswer {
        /// What was asked of it.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A name is too long for the protocol, which has 255 bytes for it.
    #[error("{what} `{name}` is longer than 255 bytes")]
    Name {
        /// What it is the name of.
        what: &'static str,
        /// The beginning of the name.
        name: String,
    },
    /// Nobody named a broker.
    #[error("no broker is configured")]
    NoBroker,
    /// A file of TLS cannot be used.
    #[error("using {} for TLS to the broker", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up at all.
    #[error("setting up TLS to the broker")]
    Tls {
        /// What is wrong.
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
            // The client's errors say what their own source says.
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
