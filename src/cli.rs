//! The command line.

mod audit;
mod demo;
mod doctor;
mod drill;
mod drop_in;
mod fence;
mod freeze;
mod here;
mod init;
mod mon;
mod monitor;
mod night;
mod recovery;
mod region;
mod reporter;
mod schedule;
mod shape;
mod status;
mod vmove;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tachi_config::LogArgs;

pub(crate) use audit::{AuditCommand, AuditNewKeyArgs, AuditShowArgs, AuditVerifyArgs};
pub(crate) use demo::{DemoArgs, DemoFault, Method};
pub(crate) use doctor::DoctorArgs;
pub(crate) use drill::DrillArgs;
pub(crate) use drop_in::{DropIn, ManageCategory, ManageDb};
pub(crate) use fence::{FenceCheckArgs, FenceCommand, FenceConfirmArgs, FenceHostArgs, FenceSwitchArgs};
pub(crate) use freeze::{FreezeArgs, FreezeCommand, FreezeListArgs, ThawArgs, ThawCommand};
pub(crate) use here::is_meant;
pub(crate) use init::{By, DEFAULT_ZONE, FromNovaArgs, InitCommand, InitMonitorsArgs};
pub(crate) use mon::MonArgs;
pub(crate) use monitor::{MonitorCommand, MonitorForgetArgs, MonitorListArgs};
pub(crate) use night::WAY;
pub(crate) use recovery::{
    RecoveryCommand, RecoveryListArgs, RecoveryShowArgs, ReportArgs, ReportFormat, RetryArgs, StateWord,
    VouchArgs, WordArgs, WordsArgs,
};
pub(crate) use region::SandboxArgs;
pub(crate) use reporter::{ReporterCommand, ReporterLiftArgs, ReporterListArgs};
pub(crate) use schedule::{ScheduleCommand, ScheduleListArgs, ScheduleRunArgs};
pub(crate) use shape::{Format, ShapeArgs};
pub(crate) use status::{
    ExplainArgs, ForecastArgs, HostCommand, HostDrainArgs, HostFailArgs, HostGivebackArgs, HostReturnArgs,
    PlannedArgs, StatusArgs, UpgradeCheckArgs, UpgradeCommand,
};
pub(crate) use vmove::{VmoveCommand, VmoveListArgs, VmoveRecoverArgs};

/// Instance high availability for OpenStack: when a hypervisor dies, its instances run again on another one, exactly once.
#[derive(Debug, Parser)]
#[command(name = "tachi", version = crate::VERSION, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch a simulated hypervisor die and its instances come back
    Demo(DemoArgs),
    /// Run the API and the engine in one process
    Serve(ServeArgs),
    /// Run the API
    Api(ConfigArgs),
    /// Run the engine
    Engine(EngineArgs),
    /// Run a simulated OpenStack region (Keystone, Nova, hypervisors, MAAS) until stopped
    Sandbox(SandboxArgs),
    /// Make what a cloud needs once: segments of what Nova has, credentials for monitors
    #[command(subcommand)]
    Init(InitCommand),
    /// Look after the database
    #[command(subcommand)]
    Db(DbCommand),
    /// See recoveries, try one again, give one up, approve or reject one that is held
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// See the instances of recoveries, and say what is known of one that waits for a person
    #[command(subcommand)]
    Vmove(VmoveCommand),
    /// See the monitors that say that they are at work, and forget one that was taken away
    #[command(subcommand)]
    Monitor(MonitorCommand),
    /// See the reporters that are set aside because Nova contradicts them, and let one be heard again
    #[command(subcommand)]
    Reporter(ReporterCommand),
    /// See the configuration in effect, or a sample with every option
    #[command(subcommand)]
    Config(ConfigCommand),
    /// See who may do what
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print the description of the API
    Openapi(OpenapiArgs),
    /// Say that a host is dead, and bring hosts back
    #[command(subcommand)]
    Host(HostCommand),
    /// See and check the audit log of power commands
    #[command(subcommand)]
    Audit(AuditCommand),
    /// See, test and use the devices that switch hosts' power
    #[command(subcommand)]
    Fence(FenceCommand),
    /// Have nothing of a host, a segment, an instance or of everything fenced or moved for a while
    ///
    /// What is reported meanwhile is kept, and what is dead at the end is recovered then. What a recovery has begun before is
    /// followed to its end.
    #[command(subcommand)]
    Freeze(FreezeCommand),
    /// End a freeze before its time is over
    #[command(subcommand)]
    Thaw(ThawCommand),
    /// Tell what is protected, what is not and why, and what is being recovered
    Status(StatusArgs),
    /// Tell whether there is room for the instances of hosts that die, and how many hosts may: an estimate
    Forecast(ForecastArgs),
    /// Watch the region in the terminal, live: hosts, findings, recoveries
    Mon(MonArgs),
    /// Tell why a host or an instance is protected or not, what is happening to it, and what to type
    Explain(ExplainArgs),
    /// Check everything that can be checked: configuration, policy, database, Nova, devices and what is found of the region
    Doctor(DoctorArgs),
    /// Tell what would happen if a host died now, from what is known or by asking everybody; or let one die that holds canaries alone
    Drill(DrillArgs),
    /// See what engines do by the clock and what came of it, and do one of it now
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Look before and after an upgrade, or a switch from Masakari
    #[command(subcommand)]
    Upgrade(UpgradeCommand),
    /// Print what completes our commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Tell what to type, in order, from an alarm at night to everything green
    #[command(name = "3am", long_about = night::WAY)]
    Night,
    /// Be a fence agent for Pacemaker; a link to this binary named like the agent does the same
    #[command(disable_help_flag = true)]
    FenceAgent(FenceAgentArgs),
    /// `masakari-manage`
    #[command(skip)]
    Manage(ConfigArgs, Option<ManageCategory>),
    /// `masakari-status upgrade check`, and whether as JSON
    #[command(skip)]
    MasakariStatus(ConfigArgs, bool),
}

/// `tachi fence-agent`.
#[derive(Debug, Args)]
pub(crate) struct FenceAgentArgs {
    /// The agent, such as `fence_maas`
    #[arg(value_name = "AGENT", allow_hyphen_values = true)]
    pub(crate) name: String,
    /// What it is told; without any, its parameters are read from standard input
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    pub(crate) args: Vec<String>,
}

/// Where the configuration is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Read this file; may be repeated, later ones win. Default: /etc/tachi/tachi.conf, else
    /// /etc/masakari/masakari.conf
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Vec<PathBuf>,
    /// Read every *.conf in this folder, after the files; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) config_dir: Vec<PathBuf>,
    /// What Masakari's command line says beside the files.
    #[arg(skip)]
    pub(crate) log: LogArgs,
    /// As which of Masakari's programs we were started.
    #[arg(skip)]
    pub(crate) program: Option<DropIn>,
}

/// Where a command of operators asks.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SourceArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Ask the API of this cloud of clouds.yaml, as its user, and not the database. `envvars` is the cloud of the `OS_*` variables.
    /// Default: the environment's `OS_CLOUD`, unless a configuration is named
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config_file", "config_dir"])]
    pub(crate) os_cloud: Option<String>,
}

impl SourceArgs {
    /// The cloud whose API is asked; `None` for the database. Who names a configuration means its database, whatever a shell has in
    /// its environment.
    pub(crate) fn cloud(&self) -> Option<String> {
        let named = self.os_cloud.clone();
        if named.is_some() || !self.config.config_file.is_empty() || !self.config.config_dir.is_empty() {
            return named;
        }
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // A sourced openrc is enough where there is no configuration that could be meant.
        let sourced = || {
            let has_none = tachi_config::default_search().iter().all(|file| !file.exists());
            (has_none && set("OS_AUTH_URL").is_some())
                .then(|| tachi_clouds::Surroundings::here().environment().to_owned())
        };
        set("OS_CLOUD").or_else(sourced)
    }
}

/// What is wrong with a command line. A command that no API knows says where it works, to whoever asks an API for it.
pub(crate) fn elsewhere(error: clap::Error) -> clap::Error {
    let is_cloud =
        |value: &ContextValue| matches!(value, ContextValue::String(text) if text.starts_with("--os-cloud"));
    if error.kind() != ErrorKind::UnknownArgument || !error.get(ContextKind::InvalidArg).is_some_and(is_cloud)
    {
        return error;
    }
    clap::Error::raw(
        ErrorKind::UnknownArgument,
        "no API is asked for this: it works on a controller only, where the database, the configuration and the fence devices are. \
         Log in there and type the same without --os-cloud\n",
    )
}

/// `tachi engine`.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
}

/// What an operator knows of engines of upstream.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct UpstreamArgs {
    /// Start although something else consumes the engines' queue: no masakari-engine runs any more
    #[arg(long)]
    pub(crate) upstream_engine_stopped: bool,
}

/// `tachi serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// Start a simulated region too, and protect it: nothing else is needed
    #[arg(long)]
    pub(crate) sandbox: bool,
    /// Make no segment of the simulated region and run no monitors there: nothing of it is protected until somebody does
    #[arg(long, requires = "sandbox")]
    pub(crate) bare: bool,
    #[command(flatten)]
    pub(crate) region: SandboxArgs,
}

/// `tachi db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Create the schema or bring it up to date
    Sync(DbArgs),
    /// Print our version of the schema, Masakari's, and what `sync` would apply
    Version(DbVersionArgs),
    /// Remove old rows for good: what was deleted, and notifications that ended, with all that belongs to them
    Purge(PurgeArgs),
    /// Print what the database users of API, engine and readers need, table by table; --execute gives it to them
    Grants(GrantsArgs),
}

/// `tachi db sync`.
#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Wait for a server that does not answer yet, as a service that starts does: `[database] max_retries` times
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `tachi db version`.
#[derive(Debug, Args)]
pub(crate) struct DbVersionArgs {
    #[command(flatten)]
    pub(crate) db: DbArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi db grants`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("users").required(true).multiple(true).args(["api", "engine", "reader"])))]
pub(crate) struct GrantsArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The user of tachi api
    #[arg(long, value_name = "USER")]
    pub(crate) api: Option<String>,
    /// The user of tachi engine, and of the commands of operators
    #[arg(long, value_name = "USER")]
    pub(crate) engine: Option<String>,
    /// A user that only looks
    #[arg(long, value_name = "USER")]
    pub(crate) reader: Option<String>,
    /// MariaDB: from where the users come; % is anywhere
    #[arg(long, value_name = "HOST", default_value = "%")]
    pub(crate) from: String,
    /// Give the grants, as the user of [database] connection: the owner of the schema, who may do so
    #[arg(long)]
    pub(crate) execute: bool,
}

/// `tachi db purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only what was deleted, or ended, at least so many days ago
    #[arg(
        long = "age_in_days",
        alias = "age-in-days",
        default_value_t = 30,
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) age_in_days: i64,
    /// At most so many segments, hosts and notifications together; -1 is all of them
    #[arg(long = "max_rows", alias = "max-rows", default_value_t = -1, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_rows: i64,
    /// Only count, remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// `tachi openapi`.
#[derive(Debug, Args)]
pub(crate) struct OpenapiArgs {
    /// Form of the description
    #[arg(short = 'f', long, value_enum, default_value_t = OpenapiFormat::Json)]
    pub(crate) format: OpenapiFormat,
}

/// Form of the API's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpenapiFormat {
    /// An OpenAPI 3.1 document, for programs
    Json,
    /// A page, for people
    Markdown,
}

/// `tachi policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print a policy.yaml with every rule and its default, commented out
    Sample,
    /// List the rules in force and where each comes from
    List {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Say what somebody with these roles may do; with --rule the exit code says it too: 0 allowed, 1 denied
    Check(PolicyCheckArgs),
}

/// Somebody, and what is asked of the rules.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    /// The rule, such as `os_masakari_api:segments:index`; without it all are asked
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// A role that is held; may be repeated
    #[arg(long)]
    pub(crate) role: Vec<String>,
    /// Id of the user
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Id of the user's domain
    #[arg(long)]
    pub(crate) user_domain: Option<String>,
    /// Id of the project the token is for
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Id of the project's domain
    #[arg(long)]
    pub(crate) project_domain: Option<String>,
    /// The project is that of our own user, `[keystone_authtoken] project_name`
    #[arg(long)]
    pub(crate) service_project: bool,
    /// Id of the domain the token is for
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// The token is for the whole system
    #[arg(long)]
    pub(crate) system: bool,
}

/// `tachi config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every option in effect and where it comes from; secrets are masked
    Show(ConfigShowArgs),
    /// Print a configuration file with every option, what it does, its limits and its default, all commented out
    Sample,
}

/// `tachi config show`.
#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only what somebody has set
    #[arg(long)]
    pub(crate) changed_only: bool,
    /// Form of the answer
    #[arg(short = 'f', long, value_enum, default_value_t = ConfigFormat::Ini)]
    pub(crate) format: ConfigFormat,
}

/// Form of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigFormat {
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

    /// Pages are made when a command changes, not when a package is: one for another processor cannot ask its binary.
    #[test]
    fn deploy02_each_command_has_a_man_page_that_says_what_its_help_says() {
        let made = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), made.path()).unwrap();
        let pages = |folder: &Path| -> BTreeMap<OsString, String> {
            let mut pages = BTreeMap::new();
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                // The programs' own pages are written by hand; that of `tachi monitor` would have the name of the monitors' program, whose package has it.
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
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man/tachi");
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

    /// The commands below `command` that do something themselves, as they are typed, and whether they ask an API.
    fn leaves(command: &clap::Command, typed: &str, all: &mut BTreeMap<String, bool>) {
        let below: Vec<_> = command
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
            .collect();
        if below.is_empty() {
            let asks = command
                .get_arguments()
                .any(|one| one.get_long() == Some("os-cloud"));
            all.insert(typed.trim().to_owned(), asks);
        }
        for one in below {
            leaves(one, &format!("{typed} {}", one.get_name()), all);
        }
    }

    /// What stands between backticks in a cell.
    fn quoted(cell: &str) -> impl Iterator<Item = &str> {
        cell.split('`').skip(1).step_by(2)
    }

    #[test]
    fn operator_api_each_command_that_asks_no_api_has_its_reason_in_the_book() {
        let mut all = BTreeMap::new();
        leaves(&Cli::command(), "", &mut all);
        let page = include_str!("../docs/reference/operator-api.md");
        let table = page.split("These are for a controller only").nth(1).unwrap();
        let table = table.split("\n\n").nth(1).unwrap();
        let rows: Vec<(&str, &str)> = table
            .lines()
            .skip(2)
            .filter_map(|row| row.trim_matches('|').split_once(" | "))
            .collect();
        let is_of = |typed: &str, word: &str| typed == word || typed.starts_with(&format!("{word} "));
        for (typed, asks) in &all {
            let row = rows
                .iter()
                .find(|(cell, _)| quoted(cell).any(|word| is_of(typed, word)));
            assert_eq!(row.is_none(), *asks, "{typed}: {row:?}");
            assert!(row.is_none_or(|(_, why)| why.len() > 20), "{typed}: {row:?}");
        }
        for word in rows.iter().flat_map(|(cell, _)| quoted(cell)) {
            assert!(
                all.keys().any(|typed| is_of(typed, word)),
                "no command is called {word}"
            );
        }
        // What a night needs is there from anywhere, but for what the page of the night names.
        let night = include_str!("../docs/three-in-the-morning.md");
        let typed = night.lines().filter_map(|line| line.strip_prefix("$ tachi "));
        let mut seen = 0;
        for line in typed.filter(|line| !line.starts_with("serve ")) {
            let (name, asks) = all.iter().rev().find(|(name, _)| is_of(line, name)).unwrap();
            assert!(*asks != is_of(name, "fence"), "{line}");
            seen += 1;
        }
        assert!(seen > 5, "{seen}");
    }
}
