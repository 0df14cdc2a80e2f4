//! `tachi reporter`, the old name of `tachi monitor list --muted` and `tachi monitor unmute`.

use clap::{Args, Subcommand};

use super::monitor::{MonitorListArgs, MuteArgs};
use super::{ShapeArgs, SourceArgs};

/// `tachi reporter`.
#[derive(Debug, Subcommand)]
pub enum ReporterCommand {
    /// List the reporters that are muted
    List(ReporterListArgs),
    /// Unmute a reporter
    Lift(MuteArgs),
}

/// `tachi reporter list`.
#[derive(Debug, Args)]
pub struct ReporterListArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    shape: ShapeArgs,
}

impl From<ReporterListArgs> for MonitorListArgs {
    fn from(args: ReporterListArgs) -> Self {
        Self {
            source: args.source,
            muted: true,
            shape: args.shape,
        }
    }
}
