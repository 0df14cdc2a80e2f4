//! `tachi audit`.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tachi_audit::Keys;
use tachi_audit::verify::{Report, logs, verify};

use super::{Failure, command_settings};
use crate::cli::{AuditCommand, AuditNewKeyArgs, AuditShowArgs, AuditVerifyArgs, ConfigArgs, Format};
use crate::out;
use crate::settings::audit_places;

/// Checks or shows the log.
pub(crate) fn run(command: AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::Verify(args) => check(&args),
        AuditCommand::NewKey(args) => new_key(&args),
        AuditCommand::Show(args) => show(&args),
    }
}

/// All logs of this machine, or those that are named.
fn chosen(config: &ConfigArgs, files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !files.is_empty() {
        return Ok(files.to_vec());
    }
    let settings = command_settings(config)?;
    let places = audit_places(&settings.audit, &settings.state_path);
    let found: Vec<PathBuf> = places.iter().flat_map(|place| logs(place)).collect();
    if found.is_empty() {
        let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::told(format!(
            "there is no audit log on this machine yet: looked for {}",
            places.join(", ")
        )));
    }
    Ok(found)
}

fn check(args: &AuditVerifyArgs) -> Result<u8, Failure> {
    let files = chosen(&args.config, &args.files)?;
    let keys = keys(args)?;
    // Files that are named are those of one log; those that were found are logs of their own.
    let one_log = !args.files.is_empty();
    let mut before = None;
    let mut intact = true;
    for (number, path) in files.iter().enumerate() {
        let newest = !one_log || number + 1 == files.len();
        let (report, end) = verify(path, before.as_ref().filter(|_| one_log), newest, keys.as_ref())
            .map_err(|error| Failure::new(format!("reading {}", path.display()), error))?;
        before = end;
        out::line(sentence(path, &report, keys.is_some()));
        intact &= is_proven(&report, keys.is_some());
        if report.broken.is_some() {
            intact = false;
            break;
        }
    }
    Ok(if intact { crate::DONE } else { crate::FAILED })
}

/// The keys to check with. Those of a key file that is configured are needed only if the log is told to be sealed.
fn keys(args: &AuditVerifyArgs) -> Result<Option<Keys>, Failure> {
    let named = args.key_file.clone();
    let path = match (named, args.files.is_empty()) {
        (Some(path), _) => Some(path),
        // Named files may come from another machine, on which there is no configuration.
        (None, false) => command_settings(&args.config)
            .ok()
            .and_then(|settings| settings.audit.key_file),
        (None, true) => command_settings(&args.config)?.audit.key_file,
    };
    let Some(path) = path else { return Ok(None) };
    let keys = Keys::read(&path);
    Ok(Some(keys.map_err(|error| {
        Failure::new("reading the keys of the audit log", error)
    })?))
}

/// Whether the log is what was written, as far as that was asked for.
fn is_proven(report: &Report, with_keys: bool) -> bool {
    report.unchecked == 0 && !(with_keys && report.lines > 0 && report.keyed == 0)
}

fn sentence(path: &Path, report: &Report, with_keys: bool) -> String {
    let path = path.display();
    if let Some((line, why)) = &report.broken {
        return format!("{path}: line {line}: {why}");
    }
    let Some((first, last)) = report.span else {
        return format!("{path}: empty");
    };
    let before = if report.continues {
        "; it continues another file, which was not checked"
    } else {
        ""
    };
    let lines = report.lines;
    if report.unchecked > 0 {
        return format!(
            "{path}: NOT CHECKED: {lines} lines, number {first} to {last}, hang together, but {} of them are sealed with a key: name \
             it with --key-file{before}",
            report.unchecked
        );
    }
    if with_keys && report.keyed == 0 {
        return format!(
            "{path}: NOT SEALED: {lines} lines, number {first} to {last}, hang together, but none is sealed with a key, so whoever may \
             write the file may have made it. If it is older than the key, move it away{before}"
        );
    }
    let seal = if with_keys {
        format!(", {} sealed with the key", report.keyed)
    } else {
        "; without a key ([fencing] audit_key_file), so whoever may write the folder may have made it anew"
            .to_owned()
    };
    format!("{path}: intact: {lines} lines, number {first} to {last}{seal}{before}")
}

fn new_key(args: &AuditNewKeyArgs) -> Result<u8, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => command_settings(&args.config)?.audit.key_file.ok_or_else(|| {
            Failure::usage(
                "which file? Name it, or set [fencing] audit_key_file, such as /etc/tachi/audit.key",
            )
        })?,
    };
    let there = path.exists();
    let id = tachi_audit::new_key(&path).map_err(|error| Failure::new("making a key", error))?;
    let place = path.display();
    out::line(if there {
        format!(
            "{place}: key {id} seals from now on; running services take it with their next line. The others stay, to read with"
        )
    } else {
        format!(
            "{place}: made, with key {id}, for root alone: give it to the service's group (chown root:tachi {place}; chmod 0640 \
             {place}), set [fencing] audit_key_file, and keep a copy where this machine cannot write"
        )
    });
    Ok(crate::DONE)
}

fn show(args: &AuditShowArgs) -> Result<u8, Failure> {
    let mut lines = Vec::new();
    for path in chosen(&args.config, &args.files)? {
        let wrong = |error| Failure::new(format!("reading {}", path.display()), error);
        let file = std::fs::File::open(&path).map_err(wrong)?;
        for line in std::io::BufReader::new(file).lines() {
            let line = line.map_err(wrong)?;
            let parsed: Value = serde_json::from_str(&line).map_err(|error| {
                Failure::new(
                    format!("reading {}: try `tachi audit verify`", path.display()),
                    error,
                )
            })?;
            if wanted(args, &parsed) {
                lines.push(parsed);
            }
        }
    }
    // Each engine has a log of its own: by time, as far as their clocks agree.
    lines.sort_by_key(|one| text(one, "ts"));
    let skipped = args.last.map_or(0, |last| lines.len().saturating_sub(last));
    let lines = &lines[skipped..];
    match args.format {
        Format::Json => out::line(Value::from(lines.to_vec()).to_string()),
        Format::Table => out::line(table(lines)),
    }
    Ok(crate::DONE)
}

fn wanted(args: &AuditShowArgs, line: &Value) -> bool {
    let is =
        |key: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| text(line, key) == *wanted);
    is("host", &args.host) && is("episode_id", &args.recovery)
}

fn table(lines: &[Value]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["time", "host", "action", "result", "device", "actor", "what"]);
    for line in lines {
        let action = match (text(line, "from"), text(line, "to")) {
            (from, to) if !to.is_empty() => format!("{from} -> {to}"),
            _ => format!("{} {}", text(line, "action"), text(line, "phase")),
        };
        let actor = match text(line, "operator") {
            operator if operator.is_empty() => text(line, "actor"),
            operator => operator,
        };
        table.add_row([
            text(line, "ts"),
            text(line, "host"),
            action.trim().to_owned(),
            text(line, "result"),
            text(line, "device"),
            actor,
            text(line, "text"),
        ]);
    }
    table.to_string()
}

/// A member as text. What devices have said must not move the cursor.
fn text(line: &Value, key: &str) -> String {
    let text = line.get(key).and_then(Value::as_str).unwrap_or_default();
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
