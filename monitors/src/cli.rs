//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tachi_config::LogArgs;

use crate::host::ExplainArgs;
use crate::kind::Kind;

/// Reports failures on a hypervisor to the Instance-HA API.
#[derive(Debug, Parser)]
#[command(name = "tachi-monitor", version = crate::VERSION, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch the other hosts through a cluster
    Host(HostArgs),
    /// Watch processes of this host
    Process(ConfigArgs),
    /// Watch the instances of this host
    Instance(ConfigArgs),
    /// Query the guest agents of the instances of this host
    Introspective(ConfigArgs),
    /// Hold nova-compute until it may start (for systemd)
    ///
    /// Exits with 0 when nova-compute may start: by the API's answer, by an operator's signal, or after 120 s without an answer if the last
    /// answer did not hold this host. Exits with 1 if it was stopped before that, and with 1 or 2 if it cannot be set up and the last
    /// answer held the host. SIGUSR1 confirms that the host's queue is empty, SIGUSR2 starts nova-compute regardless of the API's answer.
    BootGuard(ConfigArgs),
    /// Check if and how soon failures would be reported
    Check(CheckArgs),
    /// Print files that monitors on this host need
    #[command(subcommand)]
    Init(InitCommand),
    /// Print a configuration file with every option
    ///
    /// With what each does, its limits and its default, all commented out.
    Sample,
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options that name the configuration files.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigArgs {
    /// The order of the next two.
    #[command(flatten)]
    pub(crate) order: tachi_config::ConfigOrder,
    /// Read this file; may be repeated, later ones win. Default: the first of /etc/tachi/tachi-monitor.conf and
    /// masakarimonitors.conf in ~/.masakarimonitors, ~, /etc/masakarimonitors and /etc
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Vec<PathBuf>,
    /// Read every *.conf in this folder; may be repeated, and the last of files and folders wins
    #[arg(long, value_name = "DIR")]
    pub(crate) config_dir: Vec<PathBuf>,
    /// Masakari's command line options other than the files.
    #[arg(skip)]
    pub(crate) log: LogArgs,
    /// The name of Masakari's that the program was started under.
    #[arg(skip)]
    pub(crate) program: Option<&'static str>,
}

/// Arguments of `tachi-monitor host`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HostArgs {
    #[command(subcommand)]
    pub(crate) command: Option<HostCommand>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// A command to run instead of watching.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Print the verdict on each node of a saved `crm_mon` output
    Explain(ExplainArgs),
    /// Run as Pacemaker's alert agent
    Alert,
}

/// Subcommands of `tachi-monitor init`.
#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Print the polkit rule for the process monitor
    ///
    /// Redirect it into the file that its first lines name. `--form pkla` is for polkit before 0.106 (Ubuntu 22.04), which cannot name
    /// units:
    /// the user may then start, stop and restart every unit of the host.
    Polkit(PolkitArgs),
}

/// Arguments of `tachi-monitor init polkit`.
#[derive(Debug, Args)]
pub(crate) struct PolkitArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Read this list instead of the one that the configuration names
    #[arg(long, value_name = "FILE")]
    pub(crate) process_list: Option<PathBuf>,
    /// Format of the rule
    #[arg(long, value_enum, default_value_t = PolkitForm::Rules)]
    pub(crate) form: PolkitForm,
    /// User of the process monitor
    #[arg(long, default_value = "masakarimonitors", value_parser = user_name)]
    pub(crate) user: String,
}

/// The format of a polkit rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolkitForm {
    /// JavaScript, for polkit 0.106 and later
    Rules,
    /// A local authority file, for polkit 0.105
    Pkla,
}

/// Checks a user name that goes into the rule, so that it cannot end a line or a string there.
fn user_name(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("is not a user name".to_owned())
    }
}

/// Arguments of `tachi-monitor check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Check only these monitors; default: all
    #[arg(value_enum)]
    pub(crate) monitors: Vec<Kind>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Output format
    #[arg(short = 'f', long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
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

    /// Man pages are generated when a command changes, not when a package is built: a build for another processor
    /// cannot run its binary.
    #[test]
    fn deploy02_each_command_has_a_man_page_that_says_what_its_help_says() {
        let made = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), made.path()).unwrap();
        let pages = |folder: &Path| -> BTreeMap<OsString, String> {
            let mut pages = BTreeMap::new();
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                // The program's own page is written by hand.
                if entry.file_name() != "tachi-monitor.1" {
                    pages.insert(entry.file_name(), std::fs::read_to_string(entry.path()).unwrap());
                }
            }
            pages
        };
        let made = pages(made.path());
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man/tachi-monitor");
        if std::env::var_os("WRITE_MAN_PAGES").is_some() {
            let _ = std::fs::remove_dir_all(&kept);
            std::fs::create_dir_all(&kept).unwrap();
            for (name, text) in &made {
                std::fs::write(kept.join(name), text).unwrap();
            }
        }
        assert!(
            made == pages(&kept),
            "packaging/man/tachi-monitor is not what the command line is: WRITE_MAN_PAGES=1 cargo test --workspace man_page writes it"
        );
    }
}
