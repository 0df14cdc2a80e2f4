//! `tachi init`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;

/// `tachi init`.
#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Make credentials for the monitors: one application credential for each host, with a role that can report and do
    /// nothing else
    ///
    /// The names of the application credentials bind each to its host (`[api] reporter_binding`): whoever breaks one host
    /// can report for that host only. Keystone is asked with the credentials of the configuration, whose user must be an
    /// administrator. What exists is left as it is, so the command can be run again when hosts are added.
    Monitors(InitMonitorsArgs),
}

/// `tachi init monitors`.
#[derive(Debug, Args)]
pub(crate) struct InitMonitorsArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// A host, as Nova and Masakari name it; may be repeated. Default: every registered host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// Where the files go: HOST.conf for each, and monitors.yaml with the policy's rule
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The role, made if it is not there
    #[arg(long, default_value = "masakari_monitor", value_name = "ROLE")]
    pub(crate) role: String,
    /// The user to whom the application credentials belong, made if it is not there. Nobody logs in as this user
    #[arg(long, default_value = "masakari-monitors", value_name = "USER")]
    pub(crate) user: String,
    /// The domain of the user and the project
    #[arg(long, default_value = "default", value_name = "DOMAIN-ID")]
    pub(crate) domain: String,
    /// The project in which the role is given
    #[arg(long, default_value = "service", value_name = "PROJECT")]
    pub(crate) project: String,
    /// Replace the application credentials of these hosts: the old ones end at once
    #[arg(long)]
    pub(crate) renew: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
