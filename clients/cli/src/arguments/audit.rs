//! `tachi audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigArgs, ShapeArgs, SourceArgs};

/// A command on the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the audit log for changes
    ///
    /// Prints the first line that was changed, and exits 1.
    Verify(AuditVerifyArgs),
    /// Add a new key to the key file, or create the file
    ///
    /// The new key is the first of the file.
    NewKey(AuditNewKeyArgs),
    /// Show power commands and proofs, and who ordered them
    Show(AuditShowArgs),
}

/// `tachi audit verify`.
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// The files of one log, oldest first, so that the chain is followed from each to the next. Default: the logs of this
    /// machine
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The file of the keys that lines are sealed with. Default: that of the configuration
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// `tachi audit new-key`.
#[derive(Debug, Args)]
pub struct AuditNewKeyArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The file. Default: that of the configuration
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `tachi audit show`.
#[derive(Debug, Args)]
pub struct AuditShowArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The file. Default: the logs of this machine, or with --os-cloud those of the machine whose API answers
    #[arg(value_name = "FILE", conflicts_with = "os_cloud")]
    pub files: Vec<PathBuf>,
    /// Only lines about this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only lines of this recovery
    #[arg(long, value_name = "ID")]
    pub recovery: Option<String>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}
