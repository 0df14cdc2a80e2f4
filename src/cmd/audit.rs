//! `tachi audit`.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tachi_audit::verify::{Report, logs, verify};

use super::{Failure, command_settings};
use crate::cli::{AuditCommand, AuditShowArgs, AuditVerifyArgs, ConfigArgs, Format};
use crate::out;
use crate::settings::audit_places;

/// Checks or shows the log.
pub(crate) fn run(command: AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::Verify(args) => check(&args),
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
    // Files that are named are those of one log; those that were found are logs of their own.
    let one_log = !args.files.is_empty();
    let mut before = None;
    let mut intact = true;
    for (number, path) in files.iter().enumerate() {
        let newest = !one_log || number + 1 == files.len();
        let (report, end) = verify(path, before.as_ref().filter(|_| one_log), newest)
            .map_err(|error| Failure::new(format!("reading {}", path.display()), error))?;
        before = end;
        out::line(sentence(path, &report));
        if report.broken.is_some() {
            intact = false;
            break;
        }
    }
    Ok(if intact { crate::DONE } else { crate::FAILED })
}

fn sentence(path: &Path, report: &Report) -> String {
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
    format!(
        "{path}: intact: {} lines, number {first} to {last}{before}",
        report.lines
    )
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
