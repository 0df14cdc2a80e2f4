//! `tachi recovery`.

use std::path::PathBuf;

use super::{ConfigArgs, ShapeArgs, SourceArgs};
use clap::{Args, Subcommand, ValueEnum};

/// `tachi recovery`.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// List recoveries, newest first; without a filter those that are open or watched
    List(RecoveryListArgs),
    /// Tell everything of one: what was seen, decided and done, line by line, and what it waits for
    Show(RecoveryShowArgs),
    /// Write the report of one, for those who were not there: what happened when, how long instances were down, what is left to do
    Report(ReportArgs),
    /// Try again what a recovery has failed at; refused while another attempt is open
    Retry(RetryArgs),
    /// Give a recovery up: nothing new is begun, what is under way is followed to its end, and it ends as failed
    Abort(WordArgs),
    /// Let a held recovery go on: it looks again, and acts if what it sees allows it
    Approve(WordsArgs),
    /// The same as abort, said of a recovery that is held
    Reject(WordsArgs),
    /// Vouch for a host's being off when none of its devices can say so; its instances are then evacuated
    ///
    /// Say this only of a host that you have seen without power. If it runs, its instances run twice and their disks are
    /// destroyed. It is not believed if a device says that the host is on, or if Nova hears it.
    Vouch(VouchArgs),
}

/// `tachi recovery list`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Closed ones too
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those in this state; `failed`, `finished`, `ignored` and `closed` bring closed ones along
    #[arg(long, value_enum)]
    pub(crate) state: Option<StateWord>,
    /// Only those of this host: its name or id
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only those of hosts of this segment: its name or id
    #[arg(long, value_name = "SEGMENT")]
    pub(crate) segment: Option<String>,
    /// Only those opened since then: `30m`, `12h` or `7d` ago, or a time such as 2026-11-20T08:00:00 (UTC)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A state of recoveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateWord {
    /// Waits for a person
    Held,
    /// Being worked on, or held
    Open,
    /// Ended; its host is watched until it is back
    Watching,
    /// Over
    Closed,
    /// Nobody has begun to work on it
    New,
    /// Begun
    Running,
    /// Ended well
    Finished,
    /// Ended with something that needs a person
    Failed,
    /// Ended because there was nothing to do
    Ignored,
}

/// `tachi recovery show`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryShowArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The recovery: its id or the beginning of it, or its host's name
    pub(crate) recovery: String,
    /// Go on telling until it has ended; the exit code is 0 only if it ended well
    #[arg(long, conflicts_with_all = ["format", "columns"])]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi recovery report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The recovery: its id or the beginning of it, or its host's name
    pub(crate) recovery: String,
    /// Form of the report. Default: what the name of the file ends with, else md
    #[arg(short = 'f', long, value_enum)]
    pub(crate) format: Option<ReportFormat>,
    /// Write it into this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Markdown
    Md,
    /// A page that needs nothing else: no script, no picture, no request
    Html,
    /// For programs
    Json,
}

/// `tachi recovery retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The recovery that failed: its id or the beginning of it, or its host's name
    pub(crate) recovery: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A word about a recovery.
#[derive(Debug, Args)]
pub(crate) struct WordArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The recovery: its id or the beginning of it, as `tachi recovery list` shows it, or its host's name
    pub(crate) recovery: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A person's word that a host is off.
#[derive(Debug, Args)]
pub(crate) struct VouchArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The recovery: its id or the beginning of it, as `tachi recovery list` shows it, or its host's name
    pub(crate) recovery: String,
    /// The host that has no power: its name, as a check against the wrong id
    #[arg(long, value_name = "HOST")]
    pub(crate) off: String,
    /// What was done and seen, for the record: `both power cords pulled, rack 7`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// A word about a recovery that is held, or about all that a lost failure domain holds.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["recovery", "domain"]))]
pub(crate) struct WordsArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The recovery: its id or the beginning of it, as `tachi recovery list` shows it, or its host's name
    pub(crate) recovery: Option<String>,
    /// Every recovery that is held because this failure domain was lost as a whole, such as rack:r7
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
