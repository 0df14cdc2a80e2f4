//! `tachi doctor`.

use clap::Args;

use super::{ConfigArgs, ShapeArgs};

/// `tachi doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only this check, by its name
    pub(crate) name: Option<String>,
    /// Those that are good too
    #[arg(long)]
    pub(crate) all: bool,
    /// Exit with 0 if all is well, 1 with warnings, 2 with errors, 3 if something could not be checked
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
