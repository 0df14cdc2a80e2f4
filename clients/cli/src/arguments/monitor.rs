//! `tachi monitor`.

use clap::{Args, Subcommand, ValueEnum};
use tachi_domain::monitor::MonitorKind;

use super::{ShapeArgs, SourceArgs};

/// `tachi monitor`.
#[derive(Debug, Subcommand)]
pub enum MonitorCommand {
    /// List monitors and their last heartbeat, worst first
    List(MonitorListArgs),
    /// Remove a decommissioned monitor
    Forget(MonitorForgetArgs),
    /// Accept reports of a muted reporter again
    Unmute(MuteArgs),
}

/// `tachi monitor list`.
#[derive(Debug, Args)]
pub struct MonitorListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The reporters that are muted, because Nova contradicts what they report
    #[arg(long)]
    pub muted: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi monitor forget`.
#[derive(Debug, Args)]
pub struct MonitorForgetArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The host that it ran on
    pub host: String,
    /// The kind of monitor
    #[arg(value_enum)]
    pub kind: KindArg,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi monitor unmute`.
#[derive(Debug, Args)]
pub struct MuteArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The reporter's number, as `tachi monitor list --muted` shows it, or the host that it is bound to
    #[arg(value_name = "NUMBER|HOST")]
    pub reporter: String,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// A kind of monitor.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindArg {
    Host,
    Process,
    Instance,
    Introspective,
}

impl From<KindArg> for MonitorKind {
    fn from(arg: KindArg) -> Self {
        match arg {
            KindArg::Host => Self::Host,
            KindArg::Process => Self::Process,
            KindArg::Instance => Self::Instance,
            KindArg::Introspective => Self::Introspective,
        }
    }
}
