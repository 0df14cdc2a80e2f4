//! What can go wrong with the spool.

use std::io;
use std::path::PathBuf;

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The folder cannot be made or entered.
    #[error("opening the spool folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
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
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk did not take it: nothing may rely on it having been kept.
    #[error("writing the spool {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// As much is kept as may be.
    #[error("the spool is full: {records} records, {bytes} bytes")]
    Full {
        /// How many there are.
        records: usize,
        /// What they take.
        bytes: usize,
    },
    /// A record alone is larger than the spool.
    #[error("a record of {bytes} bytes is larger than the {limit} that one may have")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What it may take.
        limit: usize,
    },
    /// It could not be written down.
    #[error("writing a record as JSON")]
    Encode(#[source] serde_json::Error),
}
