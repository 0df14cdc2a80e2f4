//! The command line.

mod ack;
mod audit;
mod consent;
mod demo;
mod doctor;
mod drill;
mod drop_in;
mod events;
mod fence;
mod freeze;
mod help;
mod hints;
mod init;
mod instance;
mod local_scope;
mod mon;
mod monitor;
mod recovery;
mod region;
#[cfg(test)]
mod renamed;
mod reporter;
mod runbook;
mod schedule;
mod status;
mod vmove;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tachi_config::LogArgs;

pub use crate::out::{Format, ShapeArgs};
pub use ack::AckArgs;
pub use audit::{AuditCommand, AuditNewKeyArgs, AuditShowArgs, AuditVerifyArgs};
pub use consent::{ConfirmedArgs, ConsentArgs};
pub use demo::{DemoArgs, DemoCommand, DemoFault, DemoHostArgs, Method, SceneArgs};
pub use doctor::DoctorArgs;
pub use drill::{CanaryNetwork, DrillArgs};
pub use drop_in::{DropIn, ManageCategory, ManageDb};
pub use events::EventsArgs;
pub use fence::{FenceCommand, FenceHostArgs, FenceSwitchArgs, FenceTestArgs, FenceTrustArgs};
pub use freeze::{FreezeArgs, FreezeCommand, FreezeListArgs, ThawArgs, ThawCommand};
pub use help::{overview, parse};
pub use init::{FromNovaArgs, InitCommand, InitMonitorsArgs};
pub use instance::{InstanceCommand, InstanceListArgs, ResolveArgs};
pub use local_scope::check_scope;
pub use mon::MonArgs;
pub use monitor::{MonitorCommand, MonitorForgetArgs, MonitorListArgs, MuteArgs};
pub use recovery::{
    ActionArgs, ApproveArgs, ConfirmOffArgs, RecoveryCommand, RecoveryListArgs, RecoveryShowArgs, ReportArgs,
    ReportFormat, StateArg, WaitOrNull,
};
pub use region::SandboxArgs;
pub use reporter::ReporterCommand;
pub use runbook::WAY;
pub use schedule::{ScheduleCommand, ScheduleListArgs, ScheduleRunArgs};
pub use status::{
    ForecastArgs, HostCommand, HostDrainArgs, HostGivebackArgs, HostListArgs, HostReportDownArgs,
    HostReturnArgs, HostUndrainArgs, PlannedArgs, ShowArgs, StatusArgs, UpgradeCheckArgs, UpgradeCommand,
};
pub use vmove::VmoveCommand;

/// Instance high availability for OpenStack: when a hypervisor dies, its instances run again on another one, exactly once.
#[derive(Debug, Parser)]
#[command(name = "tachi", version = crate::VERSION, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand of `tachi`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is protected, what is not and why
    Status(StatusArgs),
    /// Explain a host, an instance or a recovery
    #[command(alias = "explain")]
    Show(ShowArgs),
    /// Watch the region live in the terminal
    Mon(MonArgs),
    /// List what happened in the region
    Events(EventsArgs),
    /// List hosts, report one as down, drain or return one
    #[command(subcommand)]
    Host(HostCommand),
    /// List instances, and resolve an uncertain one
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Show recoveries, and approve, abort or retry them
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// Estimate how many host failures there is room for
    Forecast(ForecastArgs),
    /// Acknowledge a finding: no alarm for a time
    Ack(AckArgs),
    /// Pause fencing and evacuation
    ///
    /// Failures reported during the freeze are queued, and handled if the host is still down when the freeze ends. Evacuations that have
    /// started before continue.
    #[command(subcommand)]
    Freeze(FreezeCommand),
    /// End a freeze early
    #[command(subcommand)]
    Thaw(ThawCommand),
    /// Test the recovery of a host (dry run, or --live)
    Drill(DrillArgs),
    /// Create segments, hosts and monitor credentials
    #[command(subcommand, alias = "init")]
    Setup(InitCommand),
    /// Test and use power devices
    #[command(subcommand)]
    Fence(FenceCommand),
    /// List monitors, unmute a reporter, forget a monitor
    #[command(subcommand)]
    Monitor(MonitorCommand),
    /// Check configuration, database, Nova and devices
    Doctor(DoctorArgs),
    /// Show the configuration in effect, or a sample
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Create, upgrade and purge the database
    #[command(subcommand)]
    Db(DbCommand),
    /// Show who may do what
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show and verify the audit log of power commands
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show scheduled jobs, or run one now
    #[command(subcommand, alias = "schedule")]
    Jobs(ScheduleCommand),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run API and engine in one process
    Serve(ServeArgs),
    /// Run the API
    Api(ConfigArgs),
    /// Run the engine
    Engine(EngineArgs),
    /// Watch a simulated host die and its instances return
    ///
    /// Without a command it simulates a region of its own. The commands change the region of a running `tachi serve --sandbox`.
    Demo(DemoArgs),
    /// Print the description of the API
    Openapi(OpenapiArgs),
    /// Act as a fence agent for Pacemaker
    ///
    /// A link to this binary that is named like the agent does the same.
    #[command(disable_help_flag = true)]
    FenceAgent(FenceAgentArgs),
    /// Run a simulated OpenStack region until stopped
    #[command(hide = true)]
    Sandbox(SandboxArgs),
    /// List or resolve instances of recoveries (now: instance)
    #[command(subcommand, hide = true)]
    Vmove(VmoveCommand),
    /// List or unmute muted reporters (now: monitor)
    #[command(subcommand, hide = true)]
    Reporter(ReporterCommand),
    /// Check upgrade readiness (now: doctor --upgrade)
    #[command(subcommand, hide = true)]
    Upgrade(UpgradeCommand),
    /// Show what to type, from an alarm at night to all green
    #[command(name = "3am", hide = true, long_about = runbook::WAY, disable_help_flag = true, override_usage = "tachi help 3am", help_template = "{about}")]
    Night,
    /// `tachi` alone.
    #[command(skip)]
    Overview,
    /// `masakari-manage`
    #[command(skip)]
    Manage(ConfigArgs, Option<ManageCategory>),
    /// `masakari-status upgrade check`; true if it prints JSON
    #[command(skip)]
    MasakariStatus(ConfigArgs, bool),
}

/// `tachi fence-agent`.
#[derive(Debug, Args)]
pub struct FenceAgentArgs {
    /// The agent, such as `fence_maas`
    #[arg(value_name = "AGENT", allow_hyphen_values = true)]
    pub name: String,
    /// Options of the agent; without any, its parameters are read from standard input
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    pub args: Vec<String>,
}

/// Configuration files to read.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// The order of the next two.
    #[command(flatten)]
    pub order: tachi_config::ConfigOrder,
    /// Read this file; may be repeated, later ones win. Default: /etc/tachi/tachi.conf, else
    /// /etc/masakari/masakari.conf
    #[arg(long, value_name = "FILE")]
    pub config_file: Vec<PathBuf>,
    /// Read every *.conf in this folder; may be repeated, and the last of files and folders wins
    #[arg(long, value_name = "DIR")]
    pub config_dir: Vec<PathBuf>,
    /// Logging options of Masakari's command line, which has more than the files.
    #[arg(skip)]
    pub log: LogArgs,
    /// The Masakari program that the binary was started as.
    #[arg(skip)]
    pub program: Option<DropIn>,
}

impl ConfigArgs {
    /// Returns the files and folders in the order in which the command line names them.
    pub fn sources(&self) -> Vec<tachi_config::ConfigSource> {
        self.order.sources(&self.config_file, &self.config_dir)
    }

    /// Reads the files and folders, and those that the command line does not replace. Under a name of Masakari's these are oslo.config's.
    pub fn load(&self) -> Result<tachi_config::Ini, tachi_config::ConfigErrors> {
        let folders = self
            .program
            .map(|program| tachi_config::default_folders("masakari", program.name()));
        tachi_config::Ini::load(
            &self.sources(),
            &tachi_config::default_search(),
            &folders.unwrap_or_default(),
        )
    }
}

/// Source of an operator command: an API or the database.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Use the API of this cloud in clouds.yaml, as its user, instead of the database. `envvars` is the cloud of the `OS_*` variables.
    /// Default: the environment's `OS_CLOUD`, unless a configuration is named
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config_file", "config_dir"])]
    pub os_cloud: Option<String>,
}

impl SourceArgs {
    /// Returns the cloud whose API is used; `None` for the database. Naming a configuration selects its database, whatever the shell has in
    /// its environment.
    pub fn cloud(&self) -> Option<String> {
        let named = self.os_cloud.clone();
        if named.is_some() || !self.config.config_file.is_empty() || !self.config.config_dir.is_empty() {
            return named;
        }
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // A sourced openrc is enough if there is no configuration file that could be the intended one.
        let sourced = || {
            let has_none = tachi_config::default_search().iter().all(|file| !file.exists());
            (has_none && set("OS_AUTH_URL").is_some()).then(|| {
                tachi_clouds::ProcessEnvironment::current()
                    .environment()
                    .to_owned()
            })
        };
        set("OS_CLOUD").or_else(sourced)
    }
}

/// `tachi engine`.
#[derive(Debug, Args)]
pub struct EngineArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// The operator's statement that Masakari's engine is stopped.
#[derive(Clone, Debug, Default, Args)]
pub struct UpstreamArgs {
    /// Start although the engines' queue has another consumer. Use it if masakari-engine is stopped
    #[arg(long)]
    pub upstream_engine_stopped: bool,
}

/// `tachi serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Start a simulated region too, and protect it: nothing else is needed
    #[arg(long)]
    pub sandbox: bool,
    /// Create no segment and run no monitors in the simulated region: nothing there is protected until you do
    #[arg(long, requires = "sandbox")]
    pub bare: bool,
    #[command(flatten)]
    pub region: SandboxArgs,
}

/// `tachi db`.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Create the schema or bring it up to date
    Sync(DbArgs),
    /// Print the versions of the schema, and what sync would do
    Version(DbVersionArgs),
    /// Remove old rows permanently
    ///
    /// Deleted objects and finished notifications, with everything that belongs to them.
    Purge(PurgeArgs),
    /// Print the grants of the database users, or apply them
    ///
    /// Shows what the database users of API, engine and readers need, table by table. --execute applies it.
    Grants(GrantsArgs),
}

/// `tachi db sync`.
#[derive(Debug, Args)]
pub struct DbArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Wait for a server that does not answer yet, as a starting service does: `[database] max_retries` times
    #[arg(long)]
    pub wait: bool,
}

/// `tachi db version`.
#[derive(Debug, Args)]
pub struct DbVersionArgs {
    #[command(flatten)]
    pub db: DbArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi db grants`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("users").required(true).multiple(true).args(["api", "engine", "reader"])))]
pub struct GrantsArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The user of tachi api
    #[arg(long, value_name = "USER")]
    pub api: Option<String>,
    /// The user of tachi engine, and of commands on a controller
    #[arg(long, value_name = "USER")]
    pub engine: Option<String>,
    /// A user that only reads
    #[arg(long, value_name = "USER")]
    pub reader: Option<String>,
    /// MariaDB: the host that the users connect from; % is any host
    #[arg(long, value_name = "HOST", default_value = "%")]
    pub from: String,
    /// Apply the grants, as the user of [database] connection, which must own the schema
    #[arg(long)]
    pub execute: bool,
}

/// `tachi db purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only what was deleted or finished at least N days ago
    #[arg(
        long = "age_in_days",
        alias = "age-in-days",
        default_value_t = 30,
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub age_in_days: i64,
    /// Limit of segments, hosts and notifications together; -1 for no limit
    #[arg(long = "max_rows", alias = "max-rows", default_value_t = -1, value_name = "N", allow_negative_numbers = true)]
    pub max_rows: i64,
    /// Only count, remove nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// `tachi openapi`.
#[derive(Debug, Args)]
pub struct OpenapiArgs {
    /// Form of the description
    #[arg(short = 'f', long, value_enum, default_value_t = OpenapiFormat::Json)]
    pub format: OpenapiFormat,
}

/// Form of the API's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OpenapiFormat {
    /// An OpenAPI 3.1 document, for programs
    Json,
    /// A page, for people
    Markdown,
}

/// `tachi policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print a policy.yaml with every rule, commented out
    Sample,
    /// List the rules in force and where each comes from
    List {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Show what a user with these roles may do
    ///
    /// With --rule the exit code is 0 if allowed, 1 if denied.
    Check(PolicyCheckArgs),
}

/// A user, and the policy rule to check.
#[derive(Debug, Args)]
pub struct PolicyCheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// The rule, such as `os_masakari_api:segments:index`; without it all are checked
    #[arg(long)]
    pub rule: Option<String>,
    /// A role of the user; may be repeated
    #[arg(long)]
    pub role: Vec<String>,
    /// Id of the user
    #[arg(long)]
    pub user: Option<String>,
    /// Id of the user's domain
    #[arg(long)]
    pub user_domain: Option<String>,
    /// Id of the project the token is for
    #[arg(long)]
    pub project: Option<String>,
    /// Id of the project's domain
    #[arg(long)]
    pub project_domain: Option<String>,
    /// The project is that of our own user, `[keystone_authtoken] project_name`
    #[arg(long)]
    pub service_project: bool,
    /// Id of the domain the token is for
    #[arg(long)]
    pub domain: Option<String>,
    /// The token is for the whole system
    #[arg(long)]
    pub system: bool,
}

/// `tachi config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the options in effect and their sources
    ///
    /// Secrets are masked.
    Show(Box<ConfigShowArgs>),
    /// Print a configuration file with every option
    ///
    /// With what each does, its limits and its default, all commented out.
    Sample,
}

/// `tachi config show`.
#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only options that were set
    #[arg(long)]
    pub changed_only: bool,
    /// Output format
    #[arg(short = 'f', long, value_enum, default_value_t = ConfigFormat::Ini)]
    pub format: ConfigFormat,
}

/// Form of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// A file that can be read back
    Ini,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Pages are generated when a command changes, not when a package is built: a cross build cannot run its binary.
    #[test]
    fn deploy02_each_command_has_a_man_page_that_says_what_its_help_says() {
        let made = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), made.path()).unwrap();
        let pages = |folder: &Path| -> BTreeMap<OsString, String> {
            let mut pages = BTreeMap::new();
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                // The programs' own pages are written by hand. The page of `tachi monitor` would have the name of the monitors' program,
                // whose package contains it.
                if !["tachi.1", "tachi-monitor.1"]
                    .iter()
                    .any(|own| entry.file_name() == *own)
                {
                    pages.insert(entry.file_name(), std::fs::read_to_string(entry.path()).unwrap());
                }
            }
            pages
        };
        let made = pages(made.path());
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/man/tachi");
        if std::env::var_os("WRITE_MAN_PAGES").is_some() {
            let _ = std::fs::remove_dir_all(&kept);
            std::fs::create_dir_all(&kept).unwrap();
            for (name, text) in &made {
                std::fs::write(kept.join(name), text).unwrap();
            }
        }
        assert!(
            made == pages(&kept),
            "packaging/man/tachi is not what the command line is: WRITE_MAN_PAGES=1 cargo test --workspace man_page writes it"
        );
    }

    /// Collects the leaf commands below `command`, as they are typed; the value is true if the command can use an API.
    fn leaves(command: &clap::Command, typed: &str, all: &mut BTreeMap<String, bool>) {
        let below: Vec<_> = command
            .get_subcommands()
            .filter(|one| one.get_name() != "help" && !one.is_hide_set())
            .collect();
        if below.is_empty() {
            let uses_api = command
                .get_arguments()
                .any(|one| one.get_long() == Some("os-cloud"));
            all.insert(typed.trim().to_owned(), uses_api);
        }
        for one in below {
            leaves(one, &format!("{typed} {}", one.get_name()), all);
        }
    }

    /// Returns the texts between backticks in a cell.
    fn quoted(cell: &str) -> impl Iterator<Item = &str> {
        cell.split('`').skip(1).step_by(2)
    }

    #[test]
    fn operator_api_each_command_that_asks_no_api_has_its_reason_in_the_book() {
        let mut all = BTreeMap::new();
        leaves(&Cli::command(), "", &mut all);
        let page = include_str!("../../../docs/reference/operator-api.md");
        let table = page.split("These are for a controller only").nth(1).unwrap();
        let table = table.split("\n\n").nth(1).unwrap();
        let rows: Vec<(&str, &str)> = table
            .lines()
            .skip(2)
            .filter_map(|row| row.trim_matches('|').split_once(" | "))
            .collect();
        let is_of = |typed: &str, name: &str| typed == name || typed.starts_with(&format!("{name} "));
        for (typed, uses_api) in &all {
            let row = rows
                .iter()
                .find(|(cell, _)| quoted(cell).any(|name| is_of(typed, name)));
            assert_eq!(row.is_none(), *uses_api, "{typed}: {row:?}");
            assert!(row.is_none_or(|(_, why)| why.len() > 20), "{typed}: {row:?}");
        }
        for name in rows.iter().flat_map(|(cell, _)| quoted(cell)) {
            assert!(
                all.keys().any(|typed| is_of(typed, name)),
                "no command is called {name}"
            );
        }
        // Every command of the 3 a.m. page works from anywhere, except those that the page itself names.
        let night = include_str!("../../../docs/three-in-the-morning.md");
        let typed = night.lines().filter_map(|line| line.strip_prefix("$ tachi "));
        let mut seen = 0;
        for line in typed.filter(|line| !line.starts_with("serve ")) {
            let (name, uses_api) = all.iter().rev().find(|(name, _)| is_of(line, name)).unwrap();
            assert!(*uses_api != is_of(name, "fence"), "{line}");
            seen += 1;
        }
        assert!(seen > 5, "{seen}");
    }
}
