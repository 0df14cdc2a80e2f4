//! The audit log: one JSON line per power command, proof and stage of a recovery. Each contains the hash of the
//! previous one.
//!
//! ```text
//! tachi (binary) -> tachi-audit -> engine (ports::audit)
//! ```
//!
//! * [`AuditLog`] writes. One thread owns the file and writes all pending lines with one `fsync`.
//! * [`verify`](verify::verify) reads a log and finds the first line that was changed.
//! * [`newest`](read::newest) lists lines, page by page.
//!
//! The chain reveals a line that was changed, removed, inserted or moved. With a [key](Keys) it also reveals that the
//! whole file was rewritten. It does not reveal lines that are missing at the end. For these, the head of the chain is
//! stored in a file beside the log, and lines can be copied to a [second place](Second).

mod chain;
mod file;
mod hex;
mod keys;
mod log;
mod new_key;
pub mod read;
mod second;
mod settings;
pub mod verify;

pub use chain::Line;
pub use keys::{KeyError, Keys};
pub use log::{AuditLog, OpenError, Options};
pub use new_key::new_key;
pub use second::{Second, SecondError};
pub use settings::AuditSettings;
