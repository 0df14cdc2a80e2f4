//! A client of the Instance-HA API: what the monitors say to it, and what they ask.
//!
//! One [`Client`] has one token and one pool of connections. It finds the API in Keystone's catalogue by type, region and
//! interface, renews the token before it ends and when it is refused, and puts a deadline on everything. It tries a call
//! once (and once more with a new token): when to try again, and for how long, is the business of whoever has the report
//! on disk.
//!
//! ```text
//! Notification -> body, as the Python monitors write it
//! Client::notify(body, evidence) -> Accepted | Known | Failed { what it means for trying again }
//! ```

mod booting;
mod catalog;
mod client;
mod error;
mod http;
mod lookup;
mod notification;
mod operator;
mod options;
mod python;
mod signing;

pub use booting::BootGuard;
pub use client::{Answer, Client, Login};
pub use error::{Class, Failed};
pub use lookup::{Registered, Registration};
pub use notification::{ClusterStatus, EVIDENCE_HEADER, GeneratedTime, HostEvent, HostStatus, Notification};
pub use options::Options;
pub use signing::MonitorSignature;
pub use tachi_keystone::SetupError;

#[cfg(test)]
mod fake;
