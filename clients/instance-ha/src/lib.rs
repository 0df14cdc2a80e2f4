//! A client of the Instance-HA API, for the monitors and the command line.
//!
//! One [`Client`] has one token and one pool of connections. It finds the API in Keystone's catalogue by type, region
//! and interface, renews the token before it expires and when it is refused, and applies a timeout to each request.
//! It sends a request once (and again with a new token): the caller, who has the report on disk, decides on retries.
//!
//! ```text
//! Notification -> body, as the Python monitors write it
//! Client::notify(body, evidence) -> Accepted | Known | Failed { class for retries }
//! ```

#![warn(missing_docs, clippy::missing_errors_doc)]

mod boot_guard;
mod catalog;
mod client;
mod error;
mod heartbeat;
mod http;
mod lookup;
mod notification;
mod operator;
mod options;
mod python;

pub use boot_guard::BootGuard;
pub use client::{Answer, Client, Login};
pub use error::{CallFailure, Class, Service};
pub use heartbeat::MonitorHeartbeat;
pub use lookup::{RegisteredHost, Registration};
pub use notification::{ClusterStatus, EVIDENCE_HEADER, GeneratedTime, HostEvent, HostStatus, Notification};
pub use options::Options;
pub use tachi_keystone::SetupError;

#[cfg(test)]
mod fake;
