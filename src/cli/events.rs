//! `tachi events`.

use clap::Args;

use super::{ShapeArgs, SourceArgs};

/// `tachi events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Start time: `30m`, `12h` or `7d` ago, or a time such as 2026-11-20T08:00:00 (UTC)
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: String,
    /// Only events of this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
