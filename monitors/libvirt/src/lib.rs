//! A client of libvirtd's RPC protocol over its Unix socket, without any C library.
//!
//! The client covers the calls that the monitors need: open, list, inspect a domain, subscribe to events, and call a
//! guest agent. The binary contains no thread, event loop or licensed code of libvirt.
//!
//! ```text
//! Connection (cheap handle) --calls--> task that owns the socket --frames--> libvirtd
//!        ^------------- replies ----------+   |
//!                                             +--> Events (bounded queue, in order)
//! ```
//!
//! One task reads and writes. It answers the daemon's keepalive pings and sends its own, so that it detects a frozen
//! daemon. It never waits for a consumer: if the queue of events is full, or a frame cannot be parsed, the connection
//! *ends* with a reason, after all earlier events. Nothing is dropped while the connection is up; the caller compares
//! the domains after a reconnect.
//!
//! Numbers and layouts are those of libvirt's `remote_protocol.x`, `qemu_protocol.x` and `virkeepaliveprotocol.x`,
//! which libvirt keeps stable. They were checked against libvirtd 9.0.0 (Debian 12); `tests/parts/libvirt.sh` checks
//! them against the installed one each time.

mod address;
mod connection;
mod domain;
mod error;
mod event;
mod frame;
mod procedure;
mod xdr;

pub use address::{Address, AddressError};
pub use connection::{AGENT_SYNC_TIMEOUT, Connection, Events, Keepalive, Options};
pub use domain::{Domain, DomainFilter, DomainState, paused, shutoff};
pub use error::{CallError, CloseReason, ErrorCode, OpenError};
pub use event::{DomainEventKind, Event, EventKind, Lifecycle, lifecycle};
