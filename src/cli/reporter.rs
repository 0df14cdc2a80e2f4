//! `tachi reporter`.

use clap::{Args, Subcommand};

use super::{ShapeArgs, SourceArgs};

/// `tachi reporter`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReporterCommand {
    /// List the reporters that are set aside because Nova contradicts what they report
    List(ReporterListArgs),
    /// Let a reporter be heard again
    Lift(ReporterLiftArgs),
}

/// `tachi reporter list`.
#[derive(Debug, Args)]
pub(crate) struct ReporterListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi reporter lift`.
#[derive(Debug, Args)]
pub(crate) struct ReporterLiftArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Its number, as tachi reporter list shows it, or the host that it is bound to
    #[arg(value_name = "NUMBER|HOST")]
    pub(crate) reporter: String,
    /// What was found, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
