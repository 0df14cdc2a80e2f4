//! A durable, bounded, ordered queue of notifications in a folder.
//!
//! What a monitor has seen must reach the API although the API is away, the machine loses power or the monitor is killed.
//! So it is written and synced here before anybody relies on it, and stays until the API has answered for it, it is
//! overtaken by what happened since, or it is too old.
//!
//! One file, `queue`, holds a line per event: a record was put, or records are gone. Each line carries its checksum, so a line
//! that was torn by a crash, and whatever a broken disk made of one, is recognized and skipped; every other line still
//! counts. When most of the file is about records that are gone it is written anew beside itself, synced and renamed.
//!
//! ```text
//! put(entries) -> append + fsync -> seq            the caller may now forget what it saw
//! gone(seqs)   -> append + fsync                   delivered, overtaken, too old
//! open(folder) -> lock, read, repair, fsync folder
//! ```
//!
//! A write or sync that fails leaves the file in doubt: nothing of it is believed until all of it was written anew.
//!
//! This crate knows nothing of the network, and nothing here is asynchronous: callers run it where waiting for a disk
//! holds up nobody.

mod disk;
mod error;
mod line;
mod queue;
mod stamp;

pub use error::SpoolError;
pub use queue::{Entry, Limits, Opened, Record, Spool};
pub use stamp::{Stamp, Stamps};
