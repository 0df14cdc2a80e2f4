//! Output of `tachi audit`: lines of the audit log, and whether it is intact.

use std::path::Path;

use serde_json::{Map, Value, json};
use tachi_domain::{Timestamp, count};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_engine::ports::audit::LogReport;
use tachi_operator::{Failure, Time};

use crate::out::{self, Cell, Column, ShapeArgs, TextTable, answer};

/// Prints lines, which are given newest first; `unread` are the errors of the logs that could not be read.
pub fn show(
    shape: &ShapeArgs,
    now: Timestamp,
    mut lines: Vec<Map<String, Value>>,
    unread: &[String],
) -> Result<u8, Failure> {
    lines.reverse();
    let none = "no line of the log matches";
    answer::list(shape, now, &sheet(&lines), none)?;
    for why in unread {
        out::note(out::plain(&format!("tachi: a log could not be read: {why}")));
    }
    Ok(if unread.is_empty() {
        crate::DONE
    } else {
        crate::FAILED
    })
}

fn sheet(lines: &[Map<String, Value>]) -> TextTable<7> {
    let columns = [
        Column::of("time", "ts"),
        Column::new("host"),
        Column::new("action"),
        Column::new("result"),
        Column::new("device"),
        Column::new("actor"),
        Column::of("what", "text"),
    ];
    TextTable::new(columns, lines, |line| {
        let action = match (text(line, "from"), text(line, "to")) {
            (from, to) if !to.is_empty() => format!("{from} -> {to}"),
            _ => format!("{} {}", text(line, "action"), text(line, "phase")),
        };
        let actor = match text(line, "operator") {
            operator if operator.is_empty() => text(line, "actor"),
            operator => operator,
        };
        let at: Option<Time> = line
            .get("ts")
            .and_then(|at| serde_json::from_value(at.clone()).ok());
        let cells = [
            at.map_or_else(|| Cell::text(text(line, "ts")), |at| Cell::Time(at.0)),
            Cell::text(text(line, "host")),
            Cell::text(action.trim()),
            Cell::text(text(line, "result")),
            Cell::prose(text(line, "device")),
            Cell::prose(actor),
            Cell::prose(text(line, "text")),
        ];
        (cells, Value::Object((*line).clone()))
    })
}

/// Returns a field as text. Control characters that a device has sent must not move the cursor.
fn text(line: &Map<String, Value>, key: &str) -> String {
    let text = line.get(key).and_then(Value::as_str).unwrap_or_default();
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Prints the results for these logs, if there are any; true if all of them are intact.
pub fn show_verified(
    shape: &ShapeArgs,
    lines: &[(&Path, LogReport)],
    with_keys: bool,
) -> Result<bool, Failure> {
    let objects = lines
        .iter()
        .map(|(path, report)| verdict(path, report, with_keys));
    let objects = objects.collect();
    let columns = ["file", "intact", "lines", "why"];
    // Results so far are shown even if a later file cannot be read.
    if !lines.is_empty() {
        answer::print(shape, SystemClock.wall(), columns, objects, || {
            let lines = lines
                .iter()
                .map(|(path, report)| sentence(path, report, with_keys));
            lines.collect()
        })?;
    }
    Ok(lines.iter().all(|(_, report)| report.is_intact(with_keys)))
}

/// Returns the result for one log, for programs.
fn verdict(path: &Path, report: &LogReport, with_keys: bool) -> Value {
    json!({
        "file": path.display().to_string(),
        "intact": report.is_intact(with_keys),
        "lines": report.lines,
        "first": report.span.map(|(first, _)| first),
        "last": report.span.map(|(_, last)| last),
        "sealed": report.keyed,
        "not_checked": report.unchecked,
        "continues_another": report.continues,
        "broken_line": report.broken.as_ref().map(|(line, _)| line),
        "why": report.broken.as_ref().map(|(_, why)| why),
    })
}

fn sentence(path: &Path, report: &LogReport, with_keys: bool) -> String {
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
    let hang = if report.lines == 1 {
        "is complete"
    } else {
        "form one chain"
    };
    let lines = count(report.lines, "line", "lines");
    if report.unchecked > 0 {
        return format!(
            "{path}: NOT CHECKED: {lines}, number {first} to {last}, {hang}, but {} sealed with a key: name it with \
             --key-file{before}",
            count(report.unchecked, "of them is", "of them are")
        );
    }
    if with_keys && report.keyed == 0 {
        return format!(
            "{path}: NOT SEALED: {lines}, number {first} to {last}, {hang}, but none is sealed with a key, so anyone who can write the \
             file may have forged it. If it is older than the key, move it away{before}"
        );
    }
    let seal = if with_keys {
        format!(", {} sealed with the key", report.keyed)
    } else {
        "; no signing key ([fencing] audit_key_file): anyone with write access could have rewritten it"
            .to_owned()
    };
    format!("{path}: intact: {lines}, number {first} to {last}{seal}{before}")
}

/// Prints which key seals from now on, and what is left to do; `there` is true if the file had keys before.
pub fn show_key(path: &Path, id: &str, there: bool) {
    let place = path.display();
    out::line(if there {
        format!(
            "{place}: key {id} seals new lines; running services use it from their next line on. Older keys stay, to check older lines"
        )
    } else {
        format!(
            "{place}: created with key {id}, readable by root only: give it to the service's group (chown root:tachi {place}; chmod 0640 \
             {place}), set [fencing] audit_key_file, and keep a copy where this machine cannot write"
        )
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::out::at_widths;

    /// Regression test: the table was once 409 columns wide on a terminal of 100.
    #[test]
    fn the_audit_log_fits_the_terminal() {
        let lines = [
            json!({
                "ts": "2023-11-14T22:13:20.123Z", "host": "compute-001.az-1.example.org", "action": "power_off", "phase": "intent",
                "device": "redfish https://10.0.0.1/redfish/v1 system 1", "actor": "ctl-1:4711:a1b2c3d4",
                "text": "ForceOff, because the host was reported dead by two monitors and does not answer any more",
            }),
            json!({
                "ts": "no time", "host": "compute-002", "action": "word", "phase": "outcome", "result": "ok",
                "operator": "alice, uid 1000, as root (smoke in rack 7)", "text": "evil\u{1b}[2J\nERR",
            }),
        ];
        let now = Timestamp::from_micros(1_700_000_240_000_000);
        let lines = lines.map(|line| line.as_object().unwrap().clone());
        insta::assert_snapshot!(at_widths(&sheet(&lines), now));
    }
}
