//! `process_list.yaml`, in the format of Masakari's monitor.

use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;

/// Longest list that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Limit of entries.
const MAX_ENTRIES: usize = 512;

/// An entry, as written. Missing fields count as empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Raw {
    process_name: String,
    start_command: Option<String>,
    pre_start_command: Option<String>,
    post_start_command: Option<String>,
    restart_command: Option<String>,
    pre_restart_command: Option<String>,
    post_restart_command: Option<String>,
    run_as_root: bool,
    /// The systemd unit that runs the process, an addition to Masakari's format. If empty, there is none, regardless of
    /// the commands.
    unit: Option<String>,
}

/// A program and its arguments, split at blanks: there is no shell and no quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Do nothing.
    Nothing,
    /// A `systemctl` command, sent to systemd directly.
    Unit {
        /// True to restart a running unit.
        restart: bool,
        /// The unit as `systemctl` accepts it.
        unit: String,
    },
    /// A program.
    Program(Vec<String>),
}

/// Commands to run in sequence, until one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) before: Command,
    pub(super) main: Command,
    pub(super) after: Command,
}

/// A process to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name as written.
    pub(super) name: String,
    /// The systemd unit that runs it.
    pub(super) unit: Option<String>,
    pub(super) start: Steps,
    pub(super) restart: Steps,
    pub(super) run_as_root: bool,
}

impl Entry {
    /// Returns the name in reports: without a folder.
    pub(super) fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// Reads a list from a file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let wrong = |error| Failure::new(format!("reading {}", path.display()), error);
    let length = std::fs::metadata(path).map_err(wrong)?.len();
    if length > MAX_BYTES {
        return Err(Failure::from_text(format!(
            "{} is longer than {MAX_BYTES} bytes",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    parse(&text).map_err(|why| Failure::from_text(format!("{}: {why}", path.display())))
}

/// Parses a list.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let raw: Option<Vec<Raw>> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let raw = raw.unwrap_or_default();
    if raw.len() > MAX_ENTRIES {
        return Err(format!("more than {MAX_ENTRIES} processes"));
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    for raw in raw {
        let entry = entry(raw)?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(format!("process_name {} is listed twice", entry.name));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(raw: Raw) -> Result<Entry, String> {
    let name = raw.process_name.trim().to_owned();
    if name.is_empty() || name.ends_with('/') {
        return Err(format!("process_name {name:?} is not a process name"));
    }
    let may_be_unit = raw.unit.as_deref() != Some("");
    let steps = |before: Option<String>, main: Option<String>, after: Option<String>| {
        let command = |text: Option<String>| command(&text.unwrap_or_default(), may_be_unit);
        Steps {
            before: command(before),
            main: command(main),
            after: command(after),
        }
    };
    let start = steps(raw.pre_start_command, raw.start_command, raw.post_start_command);
    let restart = steps(
        raw.pre_restart_command,
        raw.restart_command,
        raw.post_restart_command,
    );
    let of = |command: &Command| match command {
        Command::Unit { unit, .. } => Some(unit.clone()),
        Command::Nothing | Command::Program(_) => None,
    };
    let unit = match raw.unit.filter(|unit| !unit.is_empty()) {
        Some(unit) => {
            Some(full_name(&unit).ok_or_else(|| format!("unit {unit:?} of {name} is not a unit name"))?)
        }
        // A command such as `systemctl restart nova-compute` names the unit.
        None => of(&restart.main).or_else(|| of(&start.main)),
    };
    Ok(Entry {
        name,
        unit,
        start,
        restart,
        run_as_root: raw.run_as_root,
    })
}

fn command(text: &str, may_be_unit: bool) -> Command {
    let arguments: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
    if arguments.is_empty() {
        return Command::Nothing;
    }
    let systemctl = may_be_unit.then(|| systemctl(&arguments)).flatten();
    systemctl.unwrap_or(Command::Program(arguments))
}

/// Parses `systemctl restart UNIT` and `service NAME restart`, perhaps behind `sudo`.
fn systemctl(arguments: &[String]) -> Option<Command> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut arguments = arguments.as_slice();
    if let Some(("sudo", rest)) = arguments.split_first().map(|(first, rest)| (base(first), rest)) {
        arguments = rest.strip_prefix(&["-n"]).unwrap_or(rest);
    }
    let (program, rest) = arguments.split_first()?;
    let (verb, unit) = match (base(program), rest) {
        ("systemctl", [verb, unit]) | ("service", [unit, verb]) => (*verb, *unit),
        _ => return None,
    };
    let restart = match verb {
        "restart" => true,
        "start" => false,
        _ => return None,
    };
    Some(Command::Unit {
        restart,
        unit: full_name(unit)?,
    })
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the name of a unit with its type suffix; `None` if it is not a valid name.
fn full_name(unit: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    if unit.is_empty() || unit.len() > 255 || unit.starts_with('-') || !unit.chars().all(good) {
        return None;
    }
    let has_kind = [
        ".service", ".socket", ".target", ".scope", ".mount", ".timer", ".path",
    ]
    .iter()
    .any(|kind| unit.ends_with(kind));
    Some(if has_kind {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream's documented sample.
    pub(super) const SAMPLE: &str = "
# nova-compute
-
    process_name: /usr/local/bin/nova-compute
    start_command: systemctl start nova-compute
    pre_start_command:
    post_start_command:
    restart_command: systemctl restart nova-compute
    pre_restart_command:
    post_restart_command:
    run_as_root: True
-
    process_name: my-daemon
    start_command: /opt/start --now
    pre_start_command: /opt/check
    post_start_command:
    restart_command: /opt/restart  a   b
    pre_restart_command:
    post_restart_command: /opt/done
    run_as_root: False
";

    fn arguments(text: &str) -> Command {
        Command::Program(text.split(' ').map(ToOwned::to_owned).collect())
    }

    #[test]
    fn the_list_of_upstream_is_read_unchanged() {
        let entries = parse(SAMPLE).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].short(), "nova-compute");
        assert_eq!(entries[0].unit.as_deref(), Some("nova-compute.service"));
        assert!(entries[0].run_as_root && !entries[1].run_as_root);
        assert_eq!(entries[1].unit, None);
        assert_eq!(entries[1].start.before, arguments("/opt/check"));
        assert_eq!(entries[1].restart.main, arguments("/opt/restart a b"));
        assert_eq!(entries[1].restart.before, Command::Nothing);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("[]").unwrap(), []);
    }

    #[test]
    fn a_unit_is_known_by_its_command() {
        let unit = |restart, unit: &str| {
            Some(Command::Unit {
                restart,
                unit: unit.to_owned(),
            })
        };
        let cases = [
            (
                "systemctl restart nova-compute",
                unit(true, "nova-compute.service"),
            ),
            (
                "/bin/systemctl start libvirtd.socket",
                unit(false, "libvirtd.socket"),
            ),
            ("sudo -n systemctl restart x@1", unit(true, "x@1.service")),
            ("sudo service libvirtd restart", unit(true, "libvirtd.service")),
            ("systemctl --user restart x", None),
            ("systemctl stop x", None),
            ("systemctl restart a b", None),
            ("systemctl restart ../x", None),
            ("systemctl restart --all", None),
            ("restart", None),
        ];
        for (text, expected) in cases {
            let expected = expected.unwrap_or_else(|| arguments(text));
            assert_eq!(command(text, true), expected, "{text}");
            assert_eq!(command(text, false), arguments(text), "{text}");
        }
    }

    /// Covers MW18.
    #[test]
    fn an_invalid_list_is_refused_with_the_place() {
        let cases = [
            ("a: b", "expected"),
            ("- process_name: x\n  start_command: y\n", "run_as_root"),
            (&SAMPLE.replace("my-daemon", "/opt/"), "not a process name"),
            (
                &SAMPLE.replace("my-daemon", "/usr/local/bin/nova-compute"),
                "twice",
            ),
            (&format!("{SAMPLE}    unit: a b\n"), "not a unit name"),
            ("\t- x", ""),
        ];
        for (text, part) in cases {
            let why = parse(text).unwrap_err();
            assert!(why.contains(part), "{part}: {why}");
        }
        let with = |unit: &str| {
            parse(&format!("{SAMPLE}    unit: {unit}\n")).unwrap()[1]
                .unit
                .clone()
        };
        assert_eq!(with("other"), Some("other.service".to_owned()));
        let without = SAMPLE.replace("run_as_root: True", "run_as_root: True\n    unit: ''");
        assert_eq!(parse(&without).unwrap()[0].unit, None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(- process_name: |run_as_root: |[a-z:\\- \n*&]){0,30}") {
            let _ = parse(&text);
        }
    }
}
