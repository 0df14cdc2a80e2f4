//! A command that is typed in the view, after `:`.

use tachi_domain::count;

/// The commands that may be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Commands that only read.
    Read,
    /// Commands that change something, too.
    Change,
}

/// Commands that print something and end.
const READ_COMMANDS: &[&[&str]] = &[
    &["status"],
    &["show"],
    &["events"],
    &["forecast"],
    &["host", "list"],
    &["instance", "list"],
    &["recovery", "list"],
    &["recovery", "show"],
    &["freeze", "list"],
    &["jobs", "list"],
    &["monitor", "list"],
];

/// The same under their old names.
const OLD_READ_COMMANDS: &[&[&str]] = &[
    &["explain"],
    &["vmove", "list"],
    &["schedule", "list"],
    &["reporter", "list"],
];

/// Commands that change something. Power commands, and claims that a host is off or down or that an instance does or does not run
/// somewhere, are left to the command line: a mistake there destroys disks.
const CHANGE_COMMANDS: &[&[&str]] = &[
    &["recovery", "abort"],
    &["recovery", "retry"],
    &["freeze"],
    &["thaw"],
    &["host", "drain"],
    &["host", "giveback"],
    &["host", "return"],
    &["host", "undrain"],
];

/// The command that may cut power has its own key. The key's dialogue shows the host, and requires its name to be typed.
const BY_LETTER: (&[&str], &str) = (&["recovery", "approve"], "a");

/// Options with which a command runs until it is stopped.
const ENDLESS: &[&str] = &["--watch", "--follow"];

fn known(reach: Reach) -> impl Iterator<Item = &'static [&'static str]> {
    let acts: &[&[&str]] = if reach == Reach::Change {
        CHANGE_COMMANDS
    } else {
        &[]
    };
    READ_COMMANDS.iter().chain(acts).copied()
}

/// Lists the commands for people.
pub(super) fn names(reach: Reach) -> String {
    let all: Vec<String> = known(reach).map(|arguments| arguments.join(" ")).collect();
    all.join(", ")
}

/// Checks that the command may be typed here.
pub(super) fn accepts(arguments: &[String], reach: Reach) -> Result<(), String> {
    let begins = |command: &[&str]| {
        let mut pairs = command.iter().zip(arguments);
        command.len() <= arguments.len() && pairs.all(|(one, other)| one == other)
    };
    let (command, letter) = BY_LETTER;
    if reach == Reach::Change && begins(command) {
        return Err(format!(
            "{}: it may cut the power of a host. Press {letter} on the host, which asks for its name, or use a shell",
            command.join(" ")
        ));
    }
    if !known(reach).chain(OLD_READ_COMMANDS.iter().copied()).any(begins) {
        let first: Vec<&str> = arguments.iter().take(2).map(String::as_str).collect();
        let read_only = if reach == Reach::Read {
            " (started with --read-only)"
        } else {
            ""
        };
        return Err(format!(
            "{}: not available here{read_only}: use one of the {} above, or a shell",
            first.join(" "),
            count(known(reach).count(), "command", "commands")
        ));
    }
    match arguments
        .iter()
        .find(|argument| ENDLESS.contains(&argument.as_str()))
    {
        Some(argument) => Err(format!(
            "{argument} runs until stopped: this view updates by itself"
        )),
        None => Ok(()),
    }
}

/// Adds the view's source, unless the command names its own.
pub(super) fn with_source(mut arguments: Vec<String>, source: &[String]) -> Vec<String> {
    let own = ["--config-file", "--config-dir", "--os-cloud"];
    let has_option = |argument: &String| own.iter().any(|option| argument.starts_with(option));
    if arguments.is_empty() || arguments.iter().any(has_option) {
        return arguments;
    }
    // After `--` there are no options.
    let end = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    arguments.splice(end..end, source.iter().cloned());
    arguments
}

/// Splits a text into words as a shell does, with quotes; nothing is expanded.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let (mut argument, mut quote): (Option<String>, Option<char>) = (None, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                argument.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => arguments.extend(argument.take()),
            (_, letter) => argument.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(format!("{open} is not closed"));
    }
    arguments.extend(argument);
    // A leading `tachi`, as in a shell, is accepted.
    if arguments.first().is_some_and(|first| first == "tachi") {
        arguments.remove(0);
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        let result = arguments("  freeze host a  --reason='new firmware'");
        assert_eq!(result, ["freeze", "host", "a", "--reason=new firmware"]);
        assert_eq!(arguments("tachi show \"it's\" ''"), ["show", "it's", ""]);
        assert_eq!(arguments("a;$(b) *"), ["a;$(b)", "*"]);
        assert_eq!(split("a 'b").unwrap_err(), "' is not closed");
    }

    #[test]
    fn what_cuts_power_never_ends_or_changes_a_view_that_only_looks_is_not_run() {
        for (text, look, act) in [
            ("status", true, true),
            ("recovery show e87f", true, true),
            ("recovery abort e87f", false, true),
            ("recovery approve e87f", false, false),
            ("recovery approve --domain rack=a", false, false),
            ("host drain a --yes", false, true),
            ("recovery", false, false),
            ("recovery vouch e87f --off a", false, false),
            ("recovery confirm-off a", false, false),
            ("instance resolve web --not-running-on a", false, false),
            ("explain a", true, true),
            ("show a", true, true),
            ("vmove recover web --failure --on a", false, false),
            ("host fail a --yes", false, false),
            ("fence off a --yes", false, false),
            ("status --watch", false, false),
            ("mon", false, false),
            ("", false, false),
        ] {
            let result = [Reach::Read, Reach::Change].map(|reach| accepts(&arguments(text), reach).is_ok());
            assert_eq!(result, [look, act], "{text:?}");
        }
    }

    #[test]
    fn what_may_cut_power_names_the_letter_that_asks_for_the_host() {
        let result = accepts(&arguments("recovery approve e87f"), Reach::Change).unwrap_err();
        assert!(result.contains("Press a on the host"), "{result}");
        let result = accepts(&arguments("recovery approve e87f"), Reach::Read).unwrap_err();
        assert!(result.contains("--read-only"), "{result}");
    }

    #[test]
    fn it_asks_where_the_view_asks() {
        let source = ["--config-file=/etc/t.conf".to_owned()];
        let with = |text: &str| with_source(arguments(text), &source);
        assert_eq!(with("status"), ["status", "--config-file=/etc/t.conf"]);
        let named = ["freeze", "host", "--config-file=/etc/t.conf", "--", "a"];
        assert_eq!(with("freeze host -- a"), named);
        assert_eq!(with("status --os-cloud b"), ["status", "--os-cloud", "b"]);
        assert_eq!(with(""), [""; 0]);
    }
}
