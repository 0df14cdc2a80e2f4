//! Output of the checks in the format of `oslo.upgradecheck`.

use super::Check;

const TITLE: &str = "Upgrade Check Results";

/// Maximum width of a line, as in oslo.
const WIDTH: usize = 70;

/// Renders the JSON of `oslo.upgradecheck`.
pub(super) fn as_json(checks: &[Check]) -> serde_json::Value {
    let each = checks.iter().map(|check| {
        serde_json::json!({"check": check.name, "result": check.grade.code(), "details": check.details})
    });
    serde_json::json!({"name": TITLE, "checks": each.collect::<Vec<_>>()})
}

pub(super) fn table(checks: &[Check]) -> Vec<String> {
    let mut entries = Vec::new();
    for check in checks {
        let details = check.details.as_deref().unwrap_or("None");
        let mut lines = vec![
            format!("Check: {}", check.name),
            format!("Result: {:?}", check.grade),
        ];
        lines.extend(wrapped(&format!("Details: {details}")));
        entries.push(lines);
    }
    let widest = entries.iter().flatten().map(|line| line.chars().count());
    let width = widest.max().unwrap_or(0).max(TITLE.len());
    let rule = format!("+{}+", "-".repeat(width + 2));
    let mut lines = vec![rule.clone(), format!("| {TITLE:<width$} |"), rule.clone()];
    for entry in entries {
        lines.extend(entry.into_iter().map(|line| format!("| {line:<width$} |")));
        lines.push(rule.clone());
    }
    lines
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines
            .last()
            .is_some_and(|line| !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH);
        if full {
            lines.push("  ".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{CheckGrade, check};
    use super::*;

    #[test]
    fn the_table_is_drawn_as_people_know_it() {
        let long = "a word or two ".repeat(12);
        let checks = [
            check("First", CheckGrade::Success, None),
            check("Second", CheckGrade::Failure, long),
        ];
        let lines = table(&checks);
        assert!(lines[1].starts_with("| Upgrade Check Results "), "{lines:?}");
        assert!(lines[3].starts_with("| Check: First "), "{lines:?}");
        assert!(lines[5].starts_with("| Details: None "), "{lines:?}");
        let widths: std::collections::BTreeSet<usize> =
            lines.iter().map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), 1, "{lines:#?}");
        assert!(widths.iter().all(|width| *width <= WIDTH + 4), "{widths:?}");
    }
}
