//! The audit log: one JSON line per power command, proof and stage of a recovery, each with the hash of the one before it.
//!
//! ```text
//! tachi (binary) -> tachi-audit -> engine (ports::audit)
//! ```
//!
//! * [`AuditLog`] writes. One thread owns the file; what is waiting goes to the disk together, with one `fsync`.
//! * [`verify`](verify::verify) reads a log and names the first line that is not what was written.
//! * [`newest`](read::newest) reads what is in logs, page by page.
//!
//! What the chain shows: a line that was changed, taken out, put in or moved. What it shows with a [key](Keys) only: that the whole
//! file was written anew by somebody who may write it. What it cannot show by itself: that lines are missing at its very end; against
//! that the head of the chain is kept in a file beside it, and lines can be told to a [second place](Second).

mod chain;
mod file;
mod hex;
mod keys;
mod log;
mod new_key;
pub mod read;
mod second;
pub mod verify;

pub use chain::Line;
pub use keys::{KeyError, Keys};
pub use log::{AuditLog, OpenError, Options};
pub use new_key::new_key;
pub use second::{Second, SecondError};
