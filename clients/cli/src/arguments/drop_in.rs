//! Command lines of Masakari's programs. Started by one of their names, the binary acts as that program.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use tachi_config::OsloArgs;

use super::{Cli, Command, ConfigArgs, EngineArgs, UpstreamArgs};

/// A program of Masakari.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropIn {
    /// `masakari-api`
    Api,
    /// `masakari-engine`
    Engine,
    /// `masakari-manage`
    Manage,
    /// `masakari-status`
    Status,
}

impl DropIn {
    const ALL: [Self; 4] = [Self::Api, Self::Engine, Self::Manage, Self::Status];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "masakari-api",
            Self::Engine => "masakari-engine",
            Self::Manage => "masakari-manage",
            Self::Status => "masakari-status",
        }
    }

    /// Returns the program that was started, by the name of a link to this binary or by the first word, and the words after it.
    pub fn started(given: &[OsString]) -> Option<(Self, &[OsString])> {
        let named = |argument: &OsStr| {
            let name = Path::new(argument).file_name()?;
            Self::ALL.into_iter().find(|program| name == program.name())
        };
        let (program, arguments) = given.split_first()?;
        if let Some(found) = named(program) {
            return Some((found, arguments));
        }
        let (first, arguments) = arguments.split_first()?;
        // A path would be a file, not a program.
        let found = named(first).filter(|found| first == found.name())?;
        Some((found, arguments))
    }

    /// Parses the command line of the program.
    ///
    /// # Errors
    ///
    /// Arguments that the program does not know; and `--help` and `--version`, as in clap.
    pub fn parse(self, arguments: &[OsString]) -> Result<Cli, clap::Error> {
        let arguments = std::iter::once(OsString::from(self.name())).chain(arguments.iter().cloned());
        let config = |oslo: OsloArgs| ConfigArgs {
            order: oslo.order,
            config_file: oslo.config_file,
            config_dir: oslo.config_dir,
            log: oslo.log,
            program: Some(self),
        };
        let command = match self {
            Self::Api => Command::Api(config(Api::try_parse_from(arguments)?.oslo)),
            Self::Engine => Command::Engine(EngineArgs {
                config: config(Engine::try_parse_from(arguments)?.oslo),
                upstream: UpstreamArgs::default(),
            }),
            Self::Manage => {
                let manage = Manage::try_parse_from(arguments)?;
                Command::Manage(config(manage.oslo), manage.category)
            }
            Self::Status => {
                let Status { files, command } = Status::try_parse_from(arguments)?;
                let StatusCategory::Upgrade(UpgradeArgs { json, check: _ }) = command;
                let config = ConfigArgs {
                    program: Some(self),
                    ..files
                };
                Command::MasakariStatus(config, json)
            }
        };
        Ok(Cli { command })
    }

    /// Prints clap's message; returns the exit code, which is argparse's.
    pub fn print_error(error: &clap::Error) -> u8 {
        if error.kind() == ErrorKind::DisplayVersion {
            crate::out::line(crate::VERSION);
            return crate::DONE;
        }
        // If printing fails, there is no other way to report it.
        let _ = error.print();
        u8::try_from(error.exit_code()).unwrap_or(crate::USAGE)
    }
}

/// Instance-HA API of OpenStack (Tachi)
#[derive(Debug, Parser)]
#[command(name = "masakari-api", version = crate::VERSION, max_term_width = 110, infer_long_args = true)]
struct Api {
    #[command(flatten)]
    oslo: OsloArgs,
}

/// Engine of the Instance-HA service of OpenStack (Tachi)
#[derive(Debug, Parser)]
#[command(
    name = "masakari-engine",
    version = crate::VERSION,
    max_term_width = 110,
    infer_long_args = true
)]
struct Engine {
    #[command(flatten)]
    oslo: OsloArgs,
}

/// Manages the database of the Instance-HA service of OpenStack (Tachi)
#[derive(Debug, Parser)]
#[command(
    name = "masakari-manage",
    version = crate::VERSION,
    max_term_width = 110,
    infer_long_args = true
)]
struct Manage {
    #[command(flatten)]
    oslo: OsloArgs,
    #[command(subcommand)]
    category: Option<ManageCategory>,
}

/// `masakari-manage ...`.
#[derive(Debug, Subcommand)]
pub enum ManageCategory {
    /// Manage the database
    #[command(subcommand)]
    Db(ManageDb),
}

/// `masakari-manage db ...`.
#[derive(Debug, Subcommand)]
pub enum ManageDb {
    /// Create the schema or bring it up to date
    Sync {
        /// Not supported: there is one version, the newest
        version: Option<u64>,
    },
    /// Print Masakari's revision of the schema
    Version,
    /// Remove old rows permanently
    ///
    /// Deleted objects and finished notifications, with everything that belongs to them.
    #[command(infer_long_args = true)]
    Purge {
        /// Purge deleted rows older than age in days
        #[arg(long = "age_in_days", default_value_t = 30, allow_negative_numbers = true)]
        age_in_days: i64,
        /// Limit number of records to delete
        #[arg(long = "max_rows", default_value_t = -1, allow_negative_numbers = true)]
        max_rows: i64,
    },
}

/// Checks before and after an upgrade of the Instance-HA service of OpenStack (Tachi)
#[derive(Debug, Parser)]
#[command(
    name = "masakari-status",
    version = crate::VERSION,
    max_term_width = 110,
    infer_long_args = true
)]
struct Status {
    #[command(flatten)]
    files: ConfigArgs,
    #[command(subcommand)]
    command: StatusCategory,
}

#[derive(Debug, Subcommand)]
enum StatusCategory {
    /// Checks what this version needs; exits 0 if all is well, 1 with warnings, 2 with failures, 255 if it could not check
    Upgrade(UpgradeArgs),
}

#[derive(Debug, Args)]
struct UpgradeArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The command to run
    #[arg(value_parser = ["check"])]
    check: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn deploy01_the_command_lines_are_consistent() {
        Api::command().debug_assert();
        Engine::command().debug_assert();
        Manage::command().debug_assert();
        Status::command().debug_assert();
    }

    #[test]
    fn deploy01_a_program_is_known_by_its_name_or_by_the_first_word() {
        for (line, program, rest) in [
            ("/usr/bin/masakari-api --debug", Some(DropIn::Api), 1),
            ("masakari-manage db sync", Some(DropIn::Manage), 2),
            ("tachi masakari-status upgrade check", Some(DropIn::Status), 2),
            ("tachi engine", None, 0),
            ("tachi /usr/bin/masakari-engine", None, 0),
            ("tachi", None, 0),
            ("masakari-engine.sh", None, 0),
        ] {
            let given = arguments(line);
            let started = DropIn::started(&given);
            assert_eq!(started.map(|(program, _)| program), program, "{line}");
            assert_eq!(
                started.map_or(0, |(_, arguments)| arguments.len()),
                rest,
                "{line}"
            );
        }
    }

    #[test]
    fn deploy01_several_files_are_taken_in_their_order() {
        let cli = DropIn::Engine.parse(&arguments("--config-file a --config-file=b --config-dir c"));
        let Ok(Cli {
            command: Command::Engine(args),
        }) = cli
        else {
            panic!("{cli:?}")
        };
        assert_eq!(args.config.config_file, ["a", "b"].map(std::path::PathBuf::from));
        assert_eq!(args.config.program, Some(DropIn::Engine));
    }
}
