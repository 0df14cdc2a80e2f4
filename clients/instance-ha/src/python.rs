//! JSON as Python's `json.dumps` writes it: a space after commas and colons, and only ASCII.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if c.is_ascii() {
                let mut buffer = [0; 4];
                out.write_all(c.encode_utf8(&mut buffer).as_bytes())?;
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Writes `value`.
pub(crate) fn dumps(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    // The maps have string keys and the writer is a vector: this cannot fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Python));
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_what_python_writes() {
        // The output of `json.dumps` of Python 3.11.
        let cases = [
            (
                json!({"a": 1, "b": [1, 2], "c": {}}),
                r#"{"a": 1, "b": [1, 2], "c": {}}"#,
            ),
            (json!({"x": "nova-compute"}), r#"{"x": "nova-compute"}"#),
            (
                json!("é\u{1F600}\"\\\n\u{1}/"),
                r#""\u00e9\ud83d\ude00\"\\\n\u0001/""#,
            ),
            (json!("\u{7f}"), "\"\u{7f}\""),
            (json!([null, true]), "[null, true]"),
        ];
        for (value, expected) in cases {
            assert_eq!(dumps(&value), expected);
        }
    }
}
