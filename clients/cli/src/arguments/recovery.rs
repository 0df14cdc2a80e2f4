//! `tachi recovery`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tachi_operator::ShownWait;

use super::{ConfigArgs, ConfirmedArgs, ShapeArgs, SourceArgs};

/// `tachi recovery`.
#[derive(Debug, Subcommand)]
pub enum RecoveryCommand {
    /// List recoveries, newest first
    ///
    /// Without a filter those that are open or watched.
    List(RecoveryListArgs),
    /// Show one recovery with its timeline
    Show(RecoveryShowArgs),
    /// Write the report of a recovery
    ///
    /// For readers who were not there: what happened when, how long instances were down, and what is left to do.
    Report(ReportArgs),
    /// Let recoveries that are on hold continue
    ///
    /// The engine checks again, and acts if its checks pass: it may cut the power of the host and start its instances elsewhere.
    Approve(ApproveArgs),
    /// End recoveries; running evacuations still finish
    ///
    /// The recovery starts nothing new, what is in flight is followed to its end, and the recovery ends as failed.
    Abort(ActionArgs),
    /// Start another attempt at failed recoveries
    ///
    /// Refused while another attempt is open.
    Retry(ActionArgs),
    /// Confirm by hand that a host is off
    ///
    /// Do so only for a host that you have seen without power: its instances are started elsewhere. If it runs, they run twice and
    /// their disks are destroyed. Refused if a device reads on, or if Nova still receives the host's heartbeat.
    #[command(alias = "vouch")]
    ConfirmOff(ConfirmOffArgs),
    /// End recoveries that are on hold (now: abort)
    #[command(hide = true)]
    Reject(ApproveArgs),
}

/// `tachi recovery list`.
#[derive(Debug, Args)]
pub struct RecoveryListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Closed ones too
    #[arg(long)]
    pub all: bool,
    /// Only those in this state; `failed`, `finished`, `ignored` and `closed` include closed ones
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
    /// Only those of this host: its name or id
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only those of hosts of this segment: its name or id
    #[arg(long, value_name = "SEGMENT")]
    pub segment: Option<String>,
    /// Only those opened after this: `30m`, `12h` or `7d` ago, or a time such as 2026-11-20T08:00:00 (UTC)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Maximum number of recoveries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// A state of recoveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// On hold, waiting for an operator
    Held,
    /// Being worked on, or on hold
    Open,
    /// Done; its host is watched until it is back
    Watching,
    /// Done, and its host is not watched any more
    Closed,
    /// Not started yet
    New,
    /// Started
    Running,
    /// Finished successfully
    Finished,
    /// Finished with something that needs an operator
    Failed,
    /// Finished because there was nothing to do
    Ignored,
    /// Finished because the report was a false alarm
    Dismissed,
}

/// `tachi recovery show`.
#[derive(Debug, Args)]
pub struct RecoveryShowArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The recovery: its host's name, or its id (the first characters are enough)
    pub recovery: String,
    /// Follow the recovery until it ends; the exit code is 0 only if it succeeded
    #[arg(long, conflicts_with_all = ["format", "columns"])]
    pub follow: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi recovery report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The recovery: its host's name, or its id (the first characters are enough)
    pub recovery: String,
    /// Form of the report. Default: from the extension of the file, else md
    #[arg(short = 'f', long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Write it into this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Markdown
    Md,
    /// A self-contained page without scripts, images and requests
    Html,
    /// For programs
    Json,
}

/// Recoveries to act on, and an operator's consent.
#[derive(Debug, Args)]
pub struct ActionArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Hosts, or ids of recoveries (the first characters are enough)
    #[arg(required = true, value_name = "HOST")]
    pub recoveries: Vec<String>,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

/// `tachi recovery confirm-off`.
#[derive(Debug, Args)]
pub struct ConfirmOffArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The host, or the id of its recovery (the first characters are enough)
    #[arg(value_name = "HOST")]
    pub recovery: String,
    /// The host's name, typed as a check against the wrong id
    #[arg(long, value_name = "HOST", hide = true)]
    pub off: Option<String>,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

/// `tachi recovery approve`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["recoveries", "domain", "all_held"]))]
pub struct ApproveArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Hosts, or ids of recoveries (the first characters are enough)
    #[arg(value_name = "HOST")]
    pub recoveries: Vec<String>,
    /// All recoveries on hold for this failure domain, such as rack:r7
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Every recovery that is on hold
    #[arg(long)]
    pub all_held: bool,
    /// The wait that you decided on: `waits` of `tachi recovery show -f json`
    ///
    /// If the recovery waits for something else now, nothing is written. An API of an older version does not compare the waits. Without
    /// this option, the wait is read when the command starts.
    #[arg(long, value_name = "JSON", value_parser = wait_or_null, conflicts_with_all = ["domain", "all_held"])]
    pub waits: Option<WaitOrNull>,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

/// A wait, or null for a recovery without one.
#[derive(Clone, Debug)]
pub struct WaitOrNull(pub Option<ShownWait>);

fn wait_or_null(text: &str) -> Result<WaitOrNull, String> {
    let read = serde_json::from_str(text).map(WaitOrNull);
    read.map_err(|error| format!("it is not the waits object of a recovery: {error}"))
}
