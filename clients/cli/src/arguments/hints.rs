//! Hints for unknown commands.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;

/// Words that people type, and our commands for them.
const MEANT: &[(&str, &str)] = &[
    ("abort", "recovery abort"),
    ("acknowledge", "ack"),
    ("alert", "status"),
    ("alerts", "status"),
    ("approve", "recovery approve"),
    ("cancel", "recovery abort"),
    ("check", "doctor"),
    ("confirm", "recovery confirm-off"),
    ("confirm-off", "recovery confirm-off"),
    ("continue", "recovery approve"),
    ("disable", "freeze"),
    ("drain", "host drain"),
    ("enable", "thaw"),
    ("evacuate", "host drain"),
    ("giveback", "host giveback"),
    ("history", "events"),
    ("hosts", "host list"),
    ("instances", "instance list"),
    ("kill", "demo kill"),
    ("list", "host list"),
    ("log", "events"),
    ("logs", "events"),
    ("maint", "host drain"),
    ("maintenance", "host drain"),
    ("mute", "ack"),
    ("node", "host list"),
    ("nodes", "host list"),
    ("pause", "freeze"),
    ("recoveries", "recovery list"),
    ("report-down", "host report-down"),
    ("resolve", "instance resolve"),
    ("resume", "thaw"),
    ("retry", "recovery retry"),
    ("return", "host return"),
    ("server", "instance list"),
    ("silence", "ack"),
    ("start", "serve"),
    ("top", "mon"),
    ("undrain", "host undrain"),
    ("unfreeze", "thaw"),
    ("unpause", "thaw"),
    ("unsilence", "ack"),
    ("vm", "instance list"),
    ("vms", "instance list"),
    ("vouch", "recovery confirm-off"),
    ("watch", "mon"),
];

/// Words that are meant so only alone: `tachi host report` and `tachi instance stop` are about something else.
const MEANT_ALONE: &[(&str, &str)] = &[("report", "recovery report"), ("stop", "freeze region")];

/// Adds a hint to the error: the command that was probably intended, or, for `--os-cloud` of a command that uses no API, where it works.
/// `given` is the command line.
pub(super) fn with_hint(error: clap::Error, given: &[OsString]) -> clap::Error {
    let kind = error.kind();
    if kind == ErrorKind::InvalidSubcommand {
        unknown(error, given)
    } else if kind == ErrorKind::UnknownArgument {
        controller_hint(error)
    } else {
        error
    }
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    let ContextValue::String(text) = error.get(kind)? else {
        return None;
    };
    Some(text)
}

/// True if the help shows a command of this name beside the unknown one: neither an old name nor a hidden command.
fn is_shown(given: &[OsString], name: &str) -> bool {
    let command = Cli::command();
    let mut parent = &command;
    for one in given.iter().skip(1).filter_map(|one| one.to_str()) {
        let Some(below) = parent.find_subcommand(one) else {
            break;
        };
        parent = below;
    }
    parent
        .find_subcommand(name)
        .is_some_and(|found| found.get_name() == name && !found.is_hide_set())
}

/// Suggests the intended command, and never one that only sounds alike: `fence` is no hint for `silence`.
fn unknown(mut error: clap::Error, given: &[OsString]) -> clap::Error {
    let Some(typed) = text_of(&error, ContextKind::InvalidSubcommand).map(str::to_owned) else {
        return error;
    };
    let alone = given.get(1).is_some_and(|first| first.to_str() == Some(&typed));
    let meant_alone = MEANT_ALONE.iter().filter(|_| alone);
    if let Some((_, meant)) = MEANT
        .iter()
        .chain(meant_alone)
        .find(|(typed_name, _)| *typed_name == typed)
    {
        return clap::Error::raw(
            ErrorKind::InvalidSubcommand,
            format!("unrecognized subcommand '{typed}': use `tachi {meant}`\n"),
        );
    }
    if let Some(ContextValue::Strings(all)) = error.remove(ContextKind::SuggestedSubcommand) {
        let begins = |one: &String| one.chars().next() == typed.chars().next();
        let near: Vec<String> = all
            .into_iter()
            .filter(|one| begins(one) && is_shown(given, one))
            .collect();
        if !near.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
        }
    }
    error
}

fn controller_hint(error: clap::Error) -> clap::Error {
    if !text_of(&error, ContextKind::InvalidArg).is_some_and(|text| text.starts_with("--os-cloud")) {
        return error;
    }
    clap::Error::raw(
        ErrorKind::UnknownArgument,
        "this command uses no API: it works only on a controller, with its database, configuration and fence devices. Log in there and \
         run it without --os-cloud\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered_error(arguments: &[&str]) -> String {
        let given = std::iter::once("tachi").chain(arguments.iter().copied());
        let given: Vec<_> = given.map(std::ffi::OsString::from).collect();
        super::super::parse(&given).unwrap_err().render().to_string()
    }

    #[test]
    fn each_hint_is_a_command_and_no_command_has_one() {
        let command = Cli::command();
        for (typed, meant) in MEANT.iter().chain(MEANT_ALONE) {
            assert!(command.find_subcommand(typed).is_none(), "{typed}");
            let found = meant
                .split(' ')
                .try_fold(&command, |one, typed_name| one.find_subcommand(typed_name));
            assert!(found.is_some(), "{meant}");
        }
    }

    #[test]
    fn a_word_that_is_no_command_is_answered_with_what_is_meant() {
        for (typed, meant) in [
            ("resume", "tachi thaw"),
            ("unfreeze", "tachi thaw"),
            ("log", "tachi events"),
            ("silence", "tachi ack"),
            ("mute", "tachi ack"),
            ("kill", "tachi demo kill"),
            ("drain", "tachi host drain"),
            ("stop", "tachi freeze region"),
            ("vm", "tachi instance list"),
        ] {
            let rendered_error = rendered_error(&[typed]);
            assert!(rendered_error.contains(meant), "{rendered_error}");
        }
        for typed in ["silence", "kill", "resume"] {
            let rendered_error = rendered_error(&[typed]);
            for unkind in ["'fence'", "'drill'", "'serve'"] {
                assert!(!rendered_error.contains(unkind), "{rendered_error}");
            }
        }
        // Neither old names nor hidden commands are suggested, and a word below a group is not taken for the same word alone.
        for (arguments, unmeant) in [
            (&["vmov"][..], "'vmove'"),
            (&["upgrad"], "'upgrade'"),
            (&["reboot"], "'reporter'"),
            (&["schedul"], "'schedule'"),
            (&["instance", "stop"], "freeze region"),
            (&["host", "report"], "recovery report"),
        ] {
            let rendered_error = rendered_error(arguments);
            assert!(!rendered_error.contains(unmeant), "{rendered_error}");
        }
        assert!(rendered_error(&["statsu"]).contains("'status'"));
        assert!(rendered_error(&["recovery", "aprove"]).contains("'approve'"));
    }
}
