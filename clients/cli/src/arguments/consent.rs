//! The consent of an operator to what starts or ends a recovery, cuts power, or confirms a host off.

use clap::Args;

use crate::out::ShapeArgs;

/// The same options for every such command.
#[derive(Clone, Debug, Default, Args)]
pub struct ConsentArgs {
    /// The reason, for the record; asked for on a terminal if it is not given
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not ask for the host's name
    #[arg(long)]
    pub yes: bool,
}

/// The last options of every such command: the consent, and the form of the output.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfirmedArgs {
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}
