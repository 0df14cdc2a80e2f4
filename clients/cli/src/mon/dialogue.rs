//! Dialogues before a change: they show the command first, and run exactly that command.

use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_operator::{ShownWait, WaitView};

use super::line::{self, Reach};
use super::state::Key;

/// A line to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) label: &'static str,
    pub(super) text: String,
    /// The required text; `None` if any text is accepted.
    expected: Option<String>,
}

impl Field {
    fn new(label: &'static str, text: &str) -> Self {
        Self {
            label,
            text: text.to_owned(),
            expected: None,
        }
    }

    fn is_filled(&self) -> bool {
        match &self.expected {
            Some(expected) => self.text == *expected,
            None => !self.text.trim().is_empty(),
        }
    }
}

/// The subject of the dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DialogueSubject {
    Freeze {
        host: String,
    },
    Drain {
        host: String,
    },
    Approve {
        recovery: RecoveryId,
        waits: Option<ShownWait>,
    },
    Abort {
        recovery: RecoveryId,
    },
    /// A command that is only shown, because it belongs on the command line.
    Shown(Vec<String>),
    /// A command that is typed here.
    Typed(Reach),
}

/// The stage of the dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    Running,
    /// The output of the command.
    Over(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialogue {
    about: DialogueSubject,
    /// Description of the change.
    pub(super) what: String,
    pub(super) fields: Vec<Field>,
    /// Index of the field that is being filled in.
    pub(super) at: usize,
    pub(super) stage: Stage,
    /// Description of what is missing.
    pub(super) fault: Option<String>,
    /// Options of the source that the command uses.
    source: Vec<String>,
}

/// The reaction to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DialogueStep {
    Stay,
    Close,
    Run(Vec<String>),
}

impl Dialogue {
    fn new(about: DialogueSubject, what: String, fields: Vec<Field>, source: &[String]) -> Self {
        Self {
            about,
            what,
            fields,
            at: 0,
            stage: Stage::Asking,
            fault: None,
            source: source.to_vec(),
        }
    }

    pub(super) fn freeze(host: &str, source: &[String]) -> Self {
        let what = format!(
            "No fencing and no evacuation of {host} until the freeze ends: its instances have no HA until then."
        );
        let fields = vec![Field::new("for", "2h"), Field::new("reason", "")];
        Self::new(
            DialogueSubject::Freeze {
                host: host.to_owned(),
            },
            what,
            fields,
            source,
        )
    }

    pub(super) fn drain(host: &str, source: &[String]) -> Self {
        let what = format!(
            "{host} will be disabled in Nova and its instances live-migrated away; once it is empty, it will be frozen for that long. Type \
             the host's name."
        );
        let mut name = Field::new("host", "");
        name.expected = Some(host.to_owned());
        let about = DialogueSubject::Drain {
            host: host.to_owned(),
        };
        let fields = vec![Field::new("for", "2h"), Field::new("reason", ""), name];
        Self::new(about, what, fields, source)
    }

    /// Creates a line to type a command in.
    pub(super) fn line(read_only: bool, source: &[String]) -> Self {
        let reach = if read_only { Reach::Read } else { Reach::Change };
        let what = format!(
            "Run a tachi command. It cannot prompt here: add --yes where it asks for a name. Available: {}.",
            line::names(reach)
        );
        Self::new(
            DialogueSubject::Typed(reach),
            what,
            vec![Field::new("tachi", "")],
            source,
        )
    }

    /// Creates the dialogue of an approval of this wait: if the recovery waits for something else when it is sent, nothing is written.
    pub(super) fn approve(
        recovery: RecoveryId,
        host: &str,
        waits: Option<&WaitView>,
        evidence: Option<&str>,
        source: &[String],
    ) -> Self {
        let waiting = waits.map_or_else(String::new, |wait| format!("Why it waits: {}. ", wait.about()));
        let evidence = evidence.map_or_else(String::new, |evidence| format!("{evidence}. "));
        let what = format!(
            "{waiting}{evidence}The engine checks again and continues: it may cut the power of {host} and start its instances elsewhere. Type the host's name."
        );
        let waits = waits.map(ShownWait::from);
        let mut name = Field::new("host", "");
        name.expected = Some(host.to_owned());
        let fields = vec![name, Field::new("reason", "")];
        Self::new(DialogueSubject::Approve { recovery, waits }, what, fields, source)
    }

    pub(super) fn abort(recovery: RecoveryId, host: &str, source: &[String]) -> Self {
        let what = format!(
            "The recovery of {host} ends: it starts nothing new, and follows what is in flight. Type the host's name."
        );
        let mut name = Field::new("host", "");
        name.expected = Some(host.to_owned());
        let fields = vec![name, Field::new("reason", "")];
        Self::new(DialogueSubject::Abort { recovery }, what, fields, source)
    }

    /// Creates a dialogue for an action that is too dangerous for a key.
    pub(super) fn confirm_off(host: &str) -> Self {
        let command = ["recovery", "confirm-off", host, "--reason", "..."];
        let what = format!(
            "This confirms by hand that {host} has no power. Do it only after you have seen that: if it has power, its instances run twice and their disks are destroyed. Type on a controller:"
        );
        Self::new(
            DialogueSubject::Shown(command.map(str::to_owned).to_vec()),
            what,
            Vec::new(),
            &[],
        )
    }

    fn value(&self, label: &str) -> &str {
        let field = self.fields.iter().find(|field| field.label == label);
        field.map_or("", |field| field.text.trim())
    }

    /// Returns the words of the command, as it runs.
    pub(super) fn command(&self) -> Vec<String> {
        let reason = format!("--reason={}", self.value("reason"));
        let mut arguments = match &self.about {
            DialogueSubject::Shown(arguments) => return arguments.clone(),
            DialogueSubject::Typed(_) => {
                // An incomplete line cannot be parsed yet.
                let arguments = line::split(self.value("tachi")).unwrap_or_default();
                return line::with_source(arguments, &self.source);
            }
            DialogueSubject::Drain { .. } => {
                let lasts = format!("--for={}", self.value("for"));
                // The name has been typed here, and the overview shows the progress.
                let rest = ["--yes", "--no-follow"].map(str::to_owned);
                let mut arguments = vec!["host".to_owned(), "drain".to_owned(), lasts, reason];
                arguments.extend(rest);
                arguments
            }
            DialogueSubject::Freeze { .. } => {
                let lasts = format!("--for={}", self.value("for"));
                vec!["freeze".to_owned(), "host".to_owned(), lasts, reason]
            }
            DialogueSubject::Approve { recovery, waits } => {
                // The name has been typed here.
                let mut arguments = ["recovery", "approve", &recovery.to_string(), "--yes", &reason]
                    .map(str::to_owned)
                    .to_vec();
                arguments.push(format!("--waits={}", json!(waits)));
                arguments
            }
            DialogueSubject::Abort { recovery } => vec![
                "recovery".to_owned(),
                "abort".to_owned(),
                recovery.to_string(),
                "--yes".to_owned(),
                reason,
            ],
        };
        arguments.extend(self.source.iter().cloned());
        if let DialogueSubject::Freeze { host } | DialogueSubject::Drain { host } = &self.about {
            // After `--` a name is never taken for an option.
            arguments.extend(["--".to_owned(), host.clone()]);
        }
        arguments
    }

    /// Returns the command as it is typed in a shell.
    pub(super) fn typed(&self) -> String {
        let arguments = self.command();
        let arguments: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        format!("tachi {}", arguments.join(" "))
    }

    pub(super) fn press(&mut self, key: Key) -> DialogueStep {
        match (&self.stage, key) {
            (Stage::Over(_), Key::Enter | Key::Esc | Key::Char('q')) | (Stage::Asking, Key::Esc) => {
                DialogueStep::Close
            }
            (Stage::Asking, key) => self.fill(key),
            // A key cannot undo a running command.
            (Stage::Running | Stage::Over(_), _) => DialogueStep::Stay,
        }
    }

    fn fill(&mut self, key: Key) -> DialogueStep {
        if matches!(self.about, DialogueSubject::Shown(_)) {
            return if key == Key::Enter {
                DialogueStep::Close
            } else {
                DialogueStep::Stay
            };
        }
        self.fault = None;
        let last = self.fields.len() - 1;
        match key {
            Key::Char(letter) => {
                if let Some(field) = self.fields.get_mut(self.at)
                    && field.text.len() < 200
                {
                    field.text.push(letter);
                }
            }
            Key::Backspace => {
                if let Some(field) = self.fields.get_mut(self.at) {
                    field.text.pop();
                }
            }
            Key::Tab | Key::Down => self.at = if self.at == last { 0 } else { self.at + 1 },
            Key::Up => self.at = if self.at == 0 { last } else { self.at - 1 },
            Key::Enter if self.at < last => self.at += 1,
            Key::Enter => return self.run(),
            Key::Esc | Key::PageUp | Key::PageDown | Key::Home | Key::End => {}
        }
        DialogueStep::Stay
    }

    fn run(&mut self) -> DialogueStep {
        if let Some((place, field)) = self
            .fields
            .iter()
            .enumerate()
            .find(|(_, field)| !field.is_filled())
        {
            self.fault = Some(match &field.expected {
                Some(expected) => format!("{}: does not match {expected}", field.label),
                None => format!("{}: required", field.label),
            });
            self.at = place;
            return DialogueStep::Stay;
        }
        if let DialogueSubject::Typed(reach) = self.about {
            let typed =
                line::split(self.value("tachi")).and_then(|arguments| line::accepts(&arguments, reach));
            if let Err(why) = typed {
                self.fault = Some(why);
                return DialogueStep::Stay;
            }
        }
        self.stage = Stage::Running;
        DialogueStep::Run(self.command())
    }
}

/// Quotes a word for a shell.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}
