//! Errors of the spool.

use std::io;
use std::path::PathBuf;

/// An error in storing a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The folder cannot be created or entered.
    #[error("opening the spool folder {}", path.display())]
    Folder {
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("the spool {} is in use by another process", path.display())]
    InUse { path: PathBuf },
    /// The queue cannot be read.
    #[error("reading the spool {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The disk did not accept the data: nothing may rely on it.
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
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A record could not be serialized.
    #[error("writing a record as JSON")]
    Encode(#[source] serde_json::Error),
}
