//! Consequences of operators' actions, in one sentence each: the same text wherever an action is offered.

use crate::waits::explained;

/// The consequence of approving a recovery that is on hold.
pub const APPROVE: &str =
    "the engine checks again and continues: it may cut the host's power and start its instances elsewhere.";
/// The consequence of aborting a recovery.
pub const ABORT: &str = "nothing new is started, and what is in flight is followed to its end.";
/// The consequence of confirming by hand that a host is off.
pub const CONFIRM_OFF: &str =
    "its instances are started elsewhere. If it has power they run twice, and their disks are destroyed.";

/// The separator between a command and its meaning: the shell reads the rest as a comment.
const COMMENT: &str = "    # ";

/// A command that is suggested to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedCommand<'a> {
    /// The command line.
    pub command: &'a str,
    /// The consequence; empty if the command explains itself.
    pub meaning: String,
    /// A check that the operator must make first, because the command destroys disks without it; `None` if there is none.
    pub first: Option<&'static str>,
}

impl<'a> SuggestedCommand<'a> {
    /// Adds the consequence to a command.
    pub fn of(command: &'a str) -> Self {
        let has = |verbs: &[&str]| verbs.iter().any(|verb| command.contains(verb));
        let confirms = has(&[" vouch ", " confirm-off "]);
        let meaning = if has(&[" recovery approve "]) {
            APPROVE.to_owned()
        } else if has(&[" recovery abort "]) {
            ABORT.to_owned()
        } else if confirms {
            CONFIRM_OFF.to_owned()
        } else {
            let explanation = explained(command);
            let comment = explanation
                .strip_prefix(command)
                .and_then(|rest| rest.strip_prefix(COMMENT));
            comment.unwrap_or_default().to_owned()
        };
        let first = if confirms {
            Some("Only after you have seen that the host has no power")
        } else if has(&[" --failure ", " --not-running-on "]) {
            Some("Only after you have checked on that host that it does not run there")
        } else {
            None
        };
        Self {
            command,
            meaning,
            first,
        }
    }

    /// Renders the command with its consequence in a shell comment.
    pub fn line(&self) -> String {
        if self.meaning.is_empty() {
            self.command.to_owned()
        } else {
            format!("{}{COMMENT}{}", self.command, self.meaning)
        }
    }

    /// Adds the consequences to several commands and puts the dangerous ones last.
    pub fn all(commands: &'a [String]) -> Vec<Self> {
        let mut commands: Vec<Self> = commands.iter().map(|command| Self::of(command)).collect();
        commands.sort_by_key(|way| way.first.is_some());
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_consequence_and_the_dangerous_one_is_last() {
        let commands = [
            "tachi recovery confirm-off a --reason ...",
            "tachi recovery approve 7",
            "tachi recovery abort 7",
            "tachi instance resolve 7 --not-running-on b",
            "tachi instance resolve 7 --running-on b",
            "tachi recovery show 7",
        ]
        .map(str::to_owned);
        let commands = SuggestedCommand::all(&commands);
        let rendered: Vec<(&str, &str)> = commands
            .iter()
            .map(|way| (way.command, way.meaning.as_str()))
            .collect();
        assert_eq!(
            rendered,
            [
                ("tachi recovery approve 7", APPROVE),
                ("tachi recovery abort 7", ABORT),
                (
                    "tachi instance resolve 7 --running-on b",
                    "it runs there; accepted once Nova shows it there"
                ),
                ("tachi recovery show 7", ""),
                ("tachi recovery confirm-off a --reason ...", CONFIRM_OFF),
                (
                    "tachi instance resolve 7 --not-running-on b",
                    "it is not there, as you have checked: it is started elsewhere"
                ),
            ]
        );
        assert_eq!(commands.iter().filter(|way| way.first.is_some()).count(), 2);
    }
}
