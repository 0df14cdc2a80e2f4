//! Formatting of values as in Python, because clients expect this in error messages.

use std::fmt::Write;

use serde_json::Value;

/// Maximum length of a formatted value, in characters. Messages are for people, so longer values are truncated.
const MAX_REPR_CHARS: usize = 256;

/// Formats `value` like Python's `repr()`.
pub(crate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    if let Some((cut, _)) = out.char_indices().nth(MAX_REPR_CHARS) {
        out.truncate(cut);
        out.push('…');
    }
    out
}

fn write_value(out: &mut String, value: &Value) {
    // Text beyond the limit is not written: a body can contain a hundred thousand brackets.
    if out.len() > MAX_REPR_CHARS * 4 {
        return;
    }
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        // Writing to a string cannot fail.
        Value::Number(number) => _ = write!(out, "{number}"),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (n, (key, item)) in fields.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_text(out, key);
                out.push_str(": ");
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars().take(MAX_REPR_CHARS + 1) {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_python_writes_it() {
        let cases = [
            (json!(null), "None"),
            (json!([true, false, 1, 1.5]), "[True, False, 1, 1.5]"),
            (json!({"a": {"b": []}, "c": "d"}), "{'a': {'b': []}, 'c': 'd'}"),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\""), "'it\\'s \"so\"'"),
            (json!("a\n\t\u{1}\\"), "'a\\n\\t\\x01\\\\'"),
        ];
        for (value, expected) in cases {
            assert_eq!(repr(&value), expected);
        }
    }

    #[test]
    fn long_ones_are_cut() {
        let shown = repr(&json!("é".repeat(100_000)));
        assert_eq!(shown.chars().count(), MAX_REPR_CHARS + 1);
        assert!(shown.ends_with("é…"));
    }
}
