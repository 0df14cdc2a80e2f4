//! The help of the program itself: its commands in groups, by what an operator wants.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::Cli;
use super::hints::with_hint;

/// The groups and their commands, as they are typed.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "See",
        &[
            "status",
            "show",
            "mon",
            "events",
            "host list",
            "instance list",
            "recovery list",
            "recovery show",
            "recovery report",
            "forecast",
        ],
    ),
    (
        "Decide",
        &[
            "recovery approve",
            "recovery abort",
            "recovery retry",
            "recovery confirm-off",
            "instance resolve",
            "host report-down",
        ],
    ),
    (
        "Maintain",
        &[
            "ack",
            "freeze",
            "thaw",
            "host drain",
            "host undrain",
            "host return",
            "host giveback",
            "drill",
        ],
    ),
    (
        "Set up",
        &[
            "setup import",
            "setup monitors",
            "fence test",
            "fence off",
            "fence on",
            "fence trust",
            "monitor",
            "doctor",
            "config",
            "db",
            "policy",
            "audit",
            "jobs",
            "completions",
        ],
    ),
    (
        "Run",
        &[
            "serve",
            "api",
            "engine",
            "demo",
            "demo kill",
            "demo cut",
            "demo break-bmc",
            "demo heal",
            "fence-agent",
            "openapi",
        ],
    ),
];

/// Width of the column of command names.
const NAMES: usize = 22;

/// Returns the whole command line, with the grouped overview as its help.
fn command() -> clap::Command {
    let command = Cli::command();
    let text = overview_of(&command);
    command.override_help(text)
}

/// Reads a command line.
///
/// # Errors
///
/// Arguments that are not known, with a hint where there is one; and `--help` and `--version`, as in clap.
pub fn parse(given: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command
        .try_get_matches_from_mut(given)
        .map_err(|error| with_hint(error, given))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Returns the help of `tachi`.
pub fn overview() -> String {
    overview_of(&Cli::command())
}

fn overview_of(command: &clap::Command) -> String {
    let mut text = String::new();
    let about = command.get_about().map(ToString::to_string);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\n", about.unwrap_or_default());
    let _ = writeln!(text, "Usage: tachi COMMAND [OPTIONS]");
    for (group, commands) in GROUPS {
        let _ = writeln!(text, "\n{group}");
        for typed in commands {
            let about = find(command, typed).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {typed:NAMES$}{about}");
        }
    }
    let _ = write!(
        text,
        "\nOptions of a command: tachi COMMAND --help. An alarm at night: tachi help 3am.\n\
         From anywhere: --os-cloud NAME uses the API of a cloud in clouds.yaml.\n\
         The version: tachi --version"
    );
    text
}

/// Finds a command by the words that an operator types for it.
fn find<'a>(command: &'a clap::Command, typed: &str) -> Option<&'a clap::Command> {
    typed
        .split(' ')
        .try_fold(command, |command, argument| command.find_subcommand(argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command in no group is missing from the overview.
    #[test]
    fn each_command_is_in_one_group_and_fits_a_line() {
        let command = Cli::command();
        let all: Vec<&str> = GROUPS.iter().flat_map(|(_, all)| all.iter().copied()).collect();
        for typed in &all {
            let found = find(&command, typed).unwrap_or_else(|| panic!("{typed}"));
            assert!(!found.is_hide_set(), "{typed}");
            assert_eq!(all.iter().filter(|one| *one == typed).count(), 1, "{typed}");
        }
        for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let name = one.get_name();
            if all.contains(&name) {
                continue;
            }
            for leaf in one.get_subcommands().filter(|one| !one.is_hide_set()) {
                let typed = format!("{name} {}", leaf.get_name());
                assert!(all.contains(&typed.as_str()), "{typed} is in no group");
            }
        }
        for line in overview().lines().skip(1) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_overview_is_one_screen_in_groups() {
        insta::assert_snapshot!(overview());
    }
}
