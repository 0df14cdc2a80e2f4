//! Errors of the sandbox itself.

use std::net::SocketAddr;

use uuid::Uuid;

/// The sandbox could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The listening socket could not be opened.
    #[error("listening on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The server ended before it was asked to.
    #[error("serving the sandbox's APIs")]
    Serve {
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no such hypervisor.
    #[error("the sandbox has no host {name:?}")]
    NoSuchHost {
        /// Service host asked for.
        name: String,
    },
    /// There is no such rack.
    #[error("the sandbox has no rack {name:?}")]
    NoSuchRack {
        /// Rack asked for.
        name: String,
    },
    /// There is no such server.
    #[error("the sandbox has no server {id}")]
    NoSuchServer {
        /// Server asked for.
        id: Uuid,
    },
    /// There is no such flavor, image, project or controller.
    #[error("the sandbox has no {what} {name:?}")]
    NoSuchThing {
        /// The kind of object.
        what: &'static str,
        /// Name asked for.
        name: String,
    },
    /// No hypervisor has room for another server.
    #[error("no host of the sandbox has room for another server")]
    NoRoom,
    /// Nova's own rules refuse it.
    #[error("nova refuses: {message}")]
    Refused {
        /// Nova's sentence.
        message: String,
    },
}
