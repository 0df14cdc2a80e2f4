//! `tachi drill`.

use clap::{ArgGroup, Args};

use super::{ConfigArgs, ShapeArgs};

/// `tachi drill`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("kind").required(true))]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The host
    pub(crate) host: String,
    /// Tell what would happen if it died now, from what is known already: nobody is asked
    #[arg(long, group = "kind")]
    pub(crate) paper: bool,
    /// Ask everybody whom its recovery would ask before it acts, and measure it. Nothing is switched, moved or changed
    #[arg(long, group = "kind")]
    pub(crate) shadow: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
