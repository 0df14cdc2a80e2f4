//! `tachi monitor`.

use clap::{Args, Subcommand, ValueEnum};
use tachi_domain::monitor::MonitorKind;

use super::{ShapeArgs, SourceArgs};

/// `tachi monitor`.
#[derive(Debug, Subcommand)]
pub(crate) enum MonitorCommand {
    /// List the monitors that have ever signed that they are at work, worst first
    List(MonitorListArgs),
    /// Forget a monitor that was taken away, so that it is not told as silent
    Forget(MonitorForgetArgs),
}

/// `tachi monitor list`.
#[derive(Debug, Args)]
pub(crate) struct MonitorListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
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
    /// Which of that host's
    #[arg(value_enum)]
    pub(crate) kind: KindWord,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// Which monitor.
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
