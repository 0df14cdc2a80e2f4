//! `tachi instance`.

use clap::{ArgGroup, Args, Subcommand};
use tachi_domain::recovery::ResolutionKind;

use super::{ConfirmedArgs, ShapeArgs, SourceArgs};

/// `tachi instance`.
#[derive(Debug, Subcommand)]
pub enum InstanceCommand {
    /// List instances: all, those down, or those waiting
    List(InstanceListArgs),
    /// Resolve an instance whose state is uncertain
    ///
    /// Use --not-running-on only if you have seen that the instance does not run on that host, and if its evacuation can no longer
    /// complete. Otherwise it runs twice and its disks are destroyed.
    Resolve(ResolveArgs),
}

/// `tachi instance list`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["down", "waiting", "recovering"])))]
pub struct InstanceListArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only those that are down, or may be
    #[arg(long)]
    pub down: bool,
    /// Only those that wait for an operator
    #[arg(long)]
    pub waiting: bool,
    /// Only those of open recoveries
    #[arg(long)]
    pub recovering: bool,
    /// Only those on this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi instance resolve`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("resolution").required(true).args(["running_on", "not_running_on", "not_running", "retry", "dismiss"])))]
pub struct ResolveArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The instance's name or id (the first characters of the id are enough)
    pub instance: String,
    /// The instance runs on this host: accepted if Nova shows it there
    #[arg(long, value_name = "HOST")]
    pub running_on: Option<String>,
    /// Confirm that it does not run on HOST: it is started elsewhere
    ///
    /// Check on that host first that the instance does not run there, and that its evacuation to that host can no longer complete: an
    /// instance that runs twice destroys its disks.
    #[arg(long, value_name = "HOST")]
    pub not_running_on: Option<String>,
    /// Confirm that it runs nowhere, and that no evacuation of it can complete
    #[arg(long)]
    pub not_running: bool,
    /// Request the evacuation again where that is safe
    #[arg(long)]
    pub retry: bool,
    /// Leave the instance as it is: the recovery no longer waits for it
    #[arg(long)]
    pub dismiss: bool,
    #[command(flatten)]
    pub confirmed: ConfirmedArgs,
}

impl ResolveArgs {
    /// Returns the resolution, and the host that the operator names.
    pub fn resolution(&self) -> (ResolutionKind, Option<&str>) {
        if let Some(host) = &self.running_on {
            (ResolutionKind::Success, Some(host))
        } else if let Some(host) = &self.not_running_on {
            (ResolutionKind::Failure, Some(host))
        } else if self.not_running {
            (ResolutionKind::Failure, None)
        } else if self.retry {
            (ResolutionKind::Retry, None)
        } else {
            (ResolutionKind::Ignore, None)
        }
    }
}
