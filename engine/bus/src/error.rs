//! Errors of wake-ups.

use std::path::PathBuf;

/// A wake-up cannot be listened for or sent at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The folder of the sockets cannot be made or read.
    #[error("preparing the folder of wake-up sockets {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be bound.
    #[error("listening for wake-ups on {}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// No socket to send from.
    #[error("opening a socket to send wake-ups from")]
    Open {
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}
