//! `tachi vmove`, the old name of `tachi instance`.

use clap::{ArgGroup, Args, Subcommand};

use super::instance::InstanceListArgs;
use super::{ConfirmedArgs, ResolveArgs, ShapeArgs, SourceArgs};

/// `tachi vmove`.
#[derive(Debug, Subcommand)]
pub enum VmoveCommand {
    /// List the instances of recoveries that are open or watched
    List(VmoveListArgs),
    /// Resolve an instance whose state is uncertain
    Recover(VmoveRecoverArgs),
}

/// `tachi vmove list`.
#[derive(Debug, Args)]
pub struct VmoveListArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only those that wait for an operator
    #[arg(long)]
    needs_person: bool,
    #[command(flatten)]
    shape: ShapeArgs,
}

impl From<VmoveListArgs> for InstanceListArgs {
    fn from(args: VmoveListArgs) -> Self {
        Self {
            source: args.source,
            down: false,
            waiting: args.needs_person,
            recovering: !args.needs_person,
            host: None,
            shape: args.shape,
        }
    }
}

/// `tachi vmove recover`.
#[expect(clippy::struct_excessive_bools, reason = "clap's switches")]
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("word").required(true).args(["success", "failure", "retry", "ignore"])))]
pub struct VmoveRecoverArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Name or id, or the beginning of the id
    instance: String,
    /// The instance runs on the host of --on
    #[arg(long, requires = "on")]
    success: bool,
    /// The instance does not run on the host of --on
    #[arg(long)]
    failure: bool,
    /// Request the evacuation again
    #[arg(long)]
    retry: bool,
    /// Leave it as it is
    #[arg(long)]
    ignore: bool,
    /// The host
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    #[command(flatten)]
    confirmed: ConfirmedArgs,
}

impl From<VmoveRecoverArgs> for ResolveArgs {
    fn from(args: VmoveRecoverArgs) -> Self {
        Self {
            source: args.source,
            instance: args.instance,
            running_on: args.on.clone().filter(|_| args.success),
            not_running: args.failure && args.on.is_none(),
            not_running_on: args.on.filter(|_| args.failure),
            retry: args.retry,
            dismiss: args.ignore,
            confirmed: args.confirmed,
        }
    }
}
