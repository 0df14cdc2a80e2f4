//! `tachi events`.

use clap::Args;

use super::{ShapeArgs, SourceArgs};

/// `tachi events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Start time: `30m`, `12h` or `7d` ago, or a time such as 2026-11-20T08:00:00 (UTC)
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub since: String,
    /// Only events of this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}
