//! `tachi setup`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tachi_operator::from_nova::{DEFAULT_ZONE, SegmentRule};

use super::{ConfigArgs, Method, ShapeArgs, SourceArgs};

/// `tachi setup`.
#[derive(Debug, Subcommand)]
pub enum InitCommand {
    /// Create segments and hosts from Nova (with --apply)
    ///
    /// Nova's compute services are put into one segment for each availability zone, aggregate or rack. A host that is in a segment already
    /// stays there. The command never removes or changes anything, so it can be run again when hosts are added.
    #[command(alias = "from-nova")]
    Import(FromNovaArgs),
    /// Create Keystone credentials for the monitors
    ///
    /// One application credential for each host, with a role that can report and do nothing else. The names of the application
    /// credentials bind each to its host (`[api] reporter_binding`): an intruder on one host can report for that host only. Keystone is
    /// called with the credentials of the configuration, whose user must be an administrator. Existing objects stay as they are, so the
    /// command can be run again when hosts are added.
    Monitors(InitMonitorsArgs),
}

/// `tachi setup import`.
#[derive(Debug, Args)]
pub struct FromNovaArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The unit that becomes a segment
    #[arg(long, value_parser = segment_rules(), default_value = SegmentRule::Zone.as_str())]
    pub by: SegmentRule,
    /// The zone of hosts that no aggregate puts into one: Nova's `default_availability_zone`
    #[arg(long, default_value = DEFAULT_ZONE, value_name = "ZONE")]
    pub default_zone: String,
    /// The recovery method of new segments
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    pub method: Method,
    /// Only print what would be created, as without --apply
    #[arg(long, conflicts_with = "apply", hide = true)]
    pub diff: bool,
    /// Create the segments and hosts; without it the command only prints them
    #[arg(long)]
    pub apply: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// Returns the units by their names.
fn segment_rules() -> impl TypedValueParser<Value = SegmentRule> {
    let value = |rule: SegmentRule| {
        PossibleValue::new(rule.as_str()).help(match rule {
            SegmentRule::Zone => "An availability zone; every host is in one",
            SegmentRule::Aggregate => {
                "An aggregate; hosts in several are left out, since they would have to be in several segments"
            }
            SegmentRule::Rack => {
                "A rack: a `rack:NAME = HOST HOST` line of `[fencing] storm_failure_domains_file`. Hosts in none are left out"
            }
        })
    };
    PossibleValuesParser::new(SegmentRule::ALL.map(value)).try_map(|name| name.parse::<SegmentRule>())
}

/// `tachi setup monitors`.
#[derive(Debug, Args)]
pub struct InitMonitorsArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// A host, as Nova and Masakari name it; may be repeated. Default: every registered host
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Folder for the files: HOST.conf for each host, and monitors.yaml with the policy's rule
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The role, created if it does not exist
    #[arg(long, default_value = "masakari_monitor", value_name = "ROLE")]
    pub role: String,
    /// The user to whom the application credentials belong, created if it does not exist. It never logs in
    #[arg(long, default_value = "masakari-monitors", value_name = "USER")]
    pub user: String,
    /// The domain of the user and the project
    #[arg(long, default_value = "default", value_name = "DOMAIN-ID")]
    pub domain: String,
    /// The project in which the role is assigned
    #[arg(long, default_value = "service", value_name = "PROJECT")]
    pub project: String,
    /// Replace the application credentials of these hosts: the old ones stop working at once
    #[arg(long)]
    pub renew: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
