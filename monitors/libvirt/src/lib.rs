//! A client of libvirtd's RPC protocol over its Unix socket, without any C library.
//!
//! What the monitors need and nothing else: open, list, look at a domain, be told of events, ask a guest agent. No thread
//! of libvirt's, no event loop of libvirt's, no licence of libvirt's in the binary.
//!
//! ```text
//! Connection (cheap handle) --calls--> task that owns the socket --frames--> libvirtd
//!        ^------------- replies ----------+   |
//!                                             +--> Events (bounded queue, in order)
//! ```
//!
//! One task reads and writes. It answers the daemon's keepalive pings and sends its own, so that a daemon that is frozen
//! is noticed. It never waits for a consumer: when the queue of events is full, or a frame cannot be understood, the
//! connection *ends* with a reason, after everything that was read before it. Nothing is dropped while the connection
//! looks well; whoever uses it compares what is there when it connects again.
//!
//! Numbers and layouts are those of libvirt's `remote_protocol.x`, `qemu_protocol.x` and `virkeepaliveprotocol.x`, which
//! libvirt keeps stable. They were checked against libvirtd 9.0.0 (Debian 12); `tests/parts/libvirt.sh` checks them
//! against the installed one each time.

mod address;
mod connection;
mod domain;
mod error;
mod event;
mod frame;
mod procedure;
mod xdr;

pub use address::{Address, AddressError};
pub use connection::{AGENT_SYNC, Connection, Events, Keepalive, Options};
pub use domain::{Domain, DomainState, Listing, paused, shutoff};
pub use error::{CallError, CloseReason, ErrorCode, OpenError};
pub use event::{Event, EventKind, Lifecycle, What, lifecycle};
