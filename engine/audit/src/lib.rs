//! The audit log: one JSON line per power command, proof and stage of a recovery, each with the hash of the one before it.
//!
//! ```text
//! tachi (binary) -> tachi-audit -> engine (ports::audit)
//! ```
//!
//! * [`AuditLog`] writes. One thread owns the file; what is waiting goes to the disk together, with one `fsync`.
//! * [`verify`](verify::verify) reads a log and names the first line that is not what was written.
//!
//! What the chain shows: a line that was changed, taken out, put in or moved. What it cannot show by itself: that the whole
//! file was written anew by somebody who may write it, or that lines are missing at its very end; against the latter the head
//! of the chain is kept in a file beside it. Copy the log to another machine if that is not enough.

mod chain;
mod file;
mod log;
pub mod verify;

pub use chain::Line;
pub use log::{AuditLog, OpenError, Options};
