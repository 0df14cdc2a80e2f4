//! `tachi vmove`.

use clap::{ArgGroup, Args, Subcommand};

use super::{ShapeArgs, SourceArgs};

/// `tachi vmove`.
#[derive(Debug, Subcommand)]
pub(crate) enum VmoveCommand {
    /// List the instances of recoveries that are open or watched
    List(VmoveListArgs),
    /// Say what is known of one instance, so that its recovery goes on or ends
    ///
    /// Say --failure only of a host on which you have seen that the instance does not run, and of an evacuation that nothing
    /// can come of any more. Otherwise it runs twice and its disks are destroyed.
    Recover(VmoveRecoverArgs),
}

/// `tachi vmove list`.
#[derive(Debug, Args)]
pub(crate) struct VmoveListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Only those that wait for a person, or need one
    #[arg(long)]
    pub(crate) needs_person: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi vmove recover`.
#[expect(clippy::struct_excessive_bools, reason = "clap's switches")]
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("word").required(true).args(["success", "failure", "retry", "ignore"])))]
pub(crate) struct VmoveRecoverArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Its name, its id or the beginning of that, if only one is meant
    pub(crate) instance: String,
    /// It runs on the host of --on: believed if Nova shows it there
    #[arg(long, requires = "on")]
    pub(crate) success: bool,
    /// It does not run on the host of --on, and nothing will come of its evacuation: it may be asked for elsewhere
    #[arg(long)]
    pub(crate) failure: bool,
    /// Ask for it again where that is safe
    #[arg(long)]
    pub(crate) retry: bool,
    /// Leave it: its recovery waits for it no more; of one that was given up: somebody has seen to it
    #[arg(long)]
    pub(crate) ignore: bool,
    /// The host
    #[arg(long, value_name = "HOST")]
    pub(crate) on: Option<String>,
    /// What was done and seen, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not ask for the host's name before --failure
    #[arg(long, requires = "failure")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}
