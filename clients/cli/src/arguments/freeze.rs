//! `tachi freeze` and `tachi thaw`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tachi_operator::when::span;

use super::{ShapeArgs, SourceArgs};

/// `tachi freeze`.
#[derive(Debug, Subcommand)]
pub enum FreezeCommand {
    /// Freeze everything
    Region(FreezeArgs),
    /// Freeze the hosts of a segment and what runs on them
    Segment(FreezeNamedArgs),
    /// Freeze a host and what runs on it
    Host(FreezeNamedArgs),
    /// Freeze an instance, wherever it is
    Instance(FreezeNamedArgs),
    /// List freezes, earliest end first
    List(FreezeListArgs),
}

/// Duration and reason of a freeze.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Duration: 45m, 2h, 1h30m. The freeze expires by itself
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub lasts: Duration,
    /// The reason, shown to other operators
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// End it early if a second host of the segment fails
    ///
    /// The freeze ends when a frozen host is reported down while another host of its segment is out of service.
    #[arg(long)]
    pub unless_worse: bool,
    /// Allow more than 24 hours, up to 30 days
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// Duration and reason of a freeze of a named object.
#[derive(Debug, Args)]
pub struct FreezeNamedArgs {
    /// Name or id; of an instance's id the first characters are enough
    pub name: String,
    #[command(flatten)]
    pub args: FreezeArgs,
}

/// `tachi freeze list`.
#[derive(Debug, Args)]
pub struct FreezeListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi thaw`.
#[derive(Debug, Subcommand)]
pub enum ThawCommand {
    /// End the freeze of the region, and no other freeze
    ///
    /// Objects with a freeze of their own stay frozen.
    Region(ThawArgs),
    /// End the freeze of a segment
    Segment(ThawNamedArgs),
    /// End the freeze of a host
    Host(ThawNamedArgs),
    /// End the freeze of an instance
    Instance(ThawNamedArgs),
}

/// Options of a thaw.
#[derive(Debug, Args)]
pub struct ThawArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// A named object to thaw.
#[derive(Debug, Args)]
pub struct ThawNamedArgs {
    /// Name or id, as `tachi freeze list` shows it (the first characters of the id are enough)
    pub name: String,
    #[command(flatten)]
    pub args: ThawArgs,
}
