//! The sample policy file: every rule with its default, commented out.

use std::fmt::Write as _;

use crate::default::RuleDefault;

/// Maximum length of a line of prose in the sample, in characters.
const WIDTH: usize = 78;

/// Renders a policy file without effect: each rule with its description, its operations, and its default behind a `#`.
pub fn sample(defaults: &[RuleDefault]) -> String {
    let mut out = String::new();
    for default in defaults {
        for line in wrapped(default.description) {
            line_of(&mut out, &format!("# {line}"));
        }
        for operation in default.operations {
            line_of(&mut out, &format!("# {:<6} {}", operation.method, operation.path));
        }
        if let Some(old) = default.deprecated {
            let text = format!(
                "Since {}; before that \"{}\": \"{}\". {}",
                old.since, old.name, old.check, old.reason
            );
            for line in wrapped(&text) {
                line_of(&mut out, &format!("# {line}"));
            }
        }
        line_of(
            &mut out,
            &format!("#\"{}\": \"{}\"\n", default.name, default.check),
        );
    }
    out
}

fn line_of(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH - 2 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
