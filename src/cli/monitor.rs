//! `tachi monitor`.

use clap::{Args, Subcommand, ValueEnum};
use tachi_domain::monitor::MonitorKind;

use super::{ShapeArgs, SourceArgs};

/// `tachi monitor`.
#[derive(Debug, Subcommand)]
pub(crate) enum MonitorCommand {
    /// List monitors and their last heartbeat, worst first
    List(MonitorListArgs),
    /// Remove a decommissioned monitor
    Forget(MonitorForgetArgs),
    /// Accept reports of a muted reporter again
    Unmute(MuteArgs),
}

/// `tachi monitor list`.
#[derive(Debug, Args)]
pub(crate) struct MonitorListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The reporters that are muted, because Nova contradicts what they report
    #[arg(long)]
    pub(crate) muted: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi monitor forget`.
#[derive(Debug, Args)]
pub(crate) struct MonitorForgetArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The host that it ran on
    pub(crate) host: String,
    /// The kind of monitor
    #[arg(value_enum)]
    pub(crate) kind: KindWord,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi monitor unmute`.
#[derive(Debug, Args)]
pub(crate) struct MuteArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The reporter's number, as `tachi monitor list --muted` shows it, or the host that it is bound to
    #[arg(value_name = "NUMBER|HOST")]
    pub(crate) reporter: String,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A kind of monitor.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KindWord {
    Host,
    Process,
    Instance,
    Introspective,
}

impl From<KindWord> for MonitorKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Host => Self::Host,
            KindWord::Process => Self::Process,
            KindWord::Instance => Self::Instance,
            KindWord::Introspective => Self::Introspective,
        }
    }
}
