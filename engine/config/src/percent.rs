//! Percent escapes in URLs.

use std::fmt::Write as _;

/// Decodes percent escapes. Other text stays, and bytes that are not UTF-8 stay encoded.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: Option<&u8>| {
            byte.and_then(|&byte| char::from(byte).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        if let (b'%', Some(high), Some(low)) = (first, hex(after.first()), hex(after.get(1))) {
            bytes.push(high * 16 + low);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Percent-encodes everything except letters, digits, `-._~` and `keep`.
pub(crate) fn encoded(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
