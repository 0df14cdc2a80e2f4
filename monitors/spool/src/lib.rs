//! A durable, bounded, ordered queue of notifications in a folder.
//!
//! A monitor's report must reach the API even if the API is down, the machine loses power or the monitor is killed. It
//! is therefore written and synced here first, and stays until the API has answered, a later event replaces it, or it
//! is too old.
//!
//! One file, `queue`, has a line per event: a record was added, or records were removed. Each line carries its checksum,
//! so a line that a crash or a broken disk has damaged is detected and skipped; every other line still counts. When
//! most of the file is about removed records, it is rewritten beside itself, synced and renamed.
//!
//! ```text
//! put(entries) -> append + fsync -> seq            the caller may now forget the event
//! gone(seqs)   -> append + fsync                   delivered, overtaken, too old
//! open(folder) -> lock, read, repair, fsync folder
//! ```
//!
//! A write or sync that fails leaves the file in an unknown state: it is not trusted until all of it has been
//! rewritten.
//!
//! This crate does not use the network and has no asynchronous code: callers run it on a thread that may block.

mod disk;
mod error;
mod line;
mod queue;
mod stamp;

pub use error::SpoolError;
pub use queue::{Entry, Limits, OpenReport, Record, Spool};
pub use stamp::{Stamp, Stamps};
