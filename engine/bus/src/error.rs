//! Errors of wake-ups.

use std::path::PathBuf;

/// An error that prevents wake-ups from being sent or received at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The folder of the sockets cannot be created or read.
    #[error("preparing the folder of wake-up sockets {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be bound.
    #[error("listening for wake-ups on {}", path.display())]
    Bind {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// No socket to send from could be opened.
    #[error("opening a socket to send wake-ups from")]
    Open {
        #[source]
        source: std::io::Error,
    },
}
