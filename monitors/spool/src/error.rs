//! Errors of the spool.

use std::io;
use std::path::PathBuf;

/// An error in storing a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The folder cannot be made or entered.
    #[error("opening the spool folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the spool {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The queue cannot be read.
    #[error("reading the spool {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The disk did not take it: nothing may rely on it having been kept.
    #[error("writing the spool {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The limit is reached.
    #[error("the spool is full: {records} records, {bytes} bytes")]
    Full {
        /// Number of records.
        records: usize,
        /// Their size in bytes.
        bytes: usize,
    },
    /// A record alone is larger than the spool.
    #[error("a record of {bytes} bytes is larger than the {limit} that one may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It could not be serialized.
    #[error("writing a record as JSON")]
    Encode(#[source] serde_json::Error),
}
