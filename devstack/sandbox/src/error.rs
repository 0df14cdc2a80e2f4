//! Errors of the sandbox itself.

use std::net::SocketAddr;

use uuid::Uuid;

/// A failure of the sandbox.
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
    /// The server ended without a stop.
    #[error("serving the sandbox's APIs")]
    Serve {
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no such hypervisor.
    #[error("the sandbox has no host {name:?}")]
    NoSuchHost {
        /// The requested service host.
        name: String,
    },
    /// There is no such rack.
    #[error("the sandbox has no rack {name:?}")]
    NoSuchRack {
        /// The requested rack.
        name: String,
    },
    /// There is no such server.
    #[error("the sandbox has no server {id}")]
    NoSuchServer {
        /// The requested server.
        id: Uuid,
    },
    /// There is no such flavor, image, project or controller.
    #[error("the sandbox has no {what} {name:?}")]
    NoSuchThing {
        /// The kind of object.
        what: &'static str,
        /// The requested name.
        name: String,
    },
    /// No hypervisor has capacity for another server.
    #[error("no host of the sandbox has room for another server")]
    NoRoom,
    /// Nova refuses the request.
    #[error("nova refuses: {message}")]
    Refused {
        /// Nova's message.
        message: String,
    },
}
