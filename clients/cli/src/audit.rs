//! `tachi audit show`: lines of the audit log.

use serde_json::{Map, Value};
use tachi_domain::Timestamp;
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
