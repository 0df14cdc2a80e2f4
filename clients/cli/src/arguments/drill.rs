//! `tachi drill`.

use std::time::Duration;

use clap::{ArgGroup, Args};
use tachi_operator::when::span;

use super::{ShapeArgs, SourceArgs};

/// `tachi drill`.
///
/// Without an option, reads from Nova, Placement and the fence devices what a recovery of the host would read, and measures it. It changes
/// nothing.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the kinds of drill are flags, of which clap lets one be given"
)]
#[command(group = ArgGroup::new("kind"))]
pub struct DrillArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host
    pub host: String,
    /// Print what would happen if it failed now (now: show --if-fails)
    #[arg(long, group = "kind", hide = true)]
    pub paper: bool,
    /// Ask Nova, Placement and the devices, as a recovery would, and measure it (the default)
    #[arg(long, group = "kind", hide = true)]
    pub shadow: bool,
    /// POWER THE HOST OFF and measure the recovery of canary instances
    ///
    /// The drill builds the canaries on it. Refused while any other instance is on the host. Without this option (a shadow drill), the
    /// drill reads what a recovery of the host would read, and changes nothing. Both run on a controller.
    #[arg(long, group = "kind", requires_all = ["canary", "image", "flavor"])]
    pub live: bool,
    /// Delete the canaries that a live drill of the host has left
    #[arg(long, group = "kind")]
    pub clean_up: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub canaries: CanaryArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// The canaries that a live drill builds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Canaries of a live drill")]
pub struct CanaryArgs {
    /// Number of canaries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub canary: Option<u32>,
    /// Image of the canaries, by id
    #[arg(long, value_name = "ID", value_parser = id)]
    pub image: Option<String>,
    /// Flavor of the canaries, by id
    #[arg(long, value_name = "ID", value_parser = id)]
    pub flavor: Option<String>,
    /// Network of the canaries, by id; `none`, or `auto`
    #[arg(long, value_name = "ID", default_value = "none", value_parser = networks)]
    pub network: CanaryNetwork,
    /// Timeout for a monitor's report; then the drill reports the host itself
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = span)]
    pub notice: Duration,
}

/// The network of the canaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryNetwork {
    None,
    Auto,
    Of(String),
}

fn id(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 255 || !text.chars().all(is_fine) {
        return Err(
            "write an id, such as `openstack image list` and `openstack flavor list` show them".to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn networks(text: &str) -> Result<CanaryNetwork, String> {
    match text {
        "none" => Ok(CanaryNetwork::None),
        "auto" => Ok(CanaryNetwork::Auto),
        other => id(other).map(CanaryNetwork::Of),
    }
}
