//! `tachi reporter`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, Format};

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
    pub(crate) config: ConfigArgs,
    /// Form of the list
    #[arg(short = 'f', long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// `tachi reporter lift`.
#[derive(Debug, Args)]
pub(crate) struct ReporterLiftArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Its number, as tachi reporter list shows it, or the host that it is bound to
    #[arg(value_name = "NUMBER|HOST")]
    pub(crate) reporter: String,
    /// What was found, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}
