//! The left side of a check, parsed as a Python literal where Python would do so.

use crate::python;

/// The left side of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// A literal, formatted as by `str()`.
    Literal(String),
    /// A path into the caller's attributes.
    Path(Vec<String>),
}

/// Parses the left side. Returns `None` for anything but a name or a supported literal: a text, a number, `True`,
/// `False` or `None`.
pub(crate) fn left(kind: &str) -> Option<Left> {
    match kind {
        "True" | "False" | "None" => return Some(Left::Literal(kind.to_owned())),
        _ => {}
    }
    let first = kind.chars().next()?;
    if first == '\'' || first == '"' {
        return quoted(kind, first).map(Left::Literal);
    }
    if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
        return number(kind).map(Left::Literal);
    }
    let path: Vec<String> = kind.split('.').map(ToOwned::to_owned).collect();
    path.iter().all(|name| is_name(name)).then_some(Left::Path(path))
}

/// True for an attribute name. Python parses an inner dash as a subtraction, and upstream then takes it for a name too.
fn is_name(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
            && !matches!(part, "True" | "False" | "None")
            && !KEYWORDS.contains(&part)
    })
}

/// Python's keywords: upstream fails every request that evaluates one of them.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

fn quoted(text: &str, quote: char) -> Option<String> {
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == quote || c == '\0' {
            return None;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            same @ ('\\' | '\'' | '"') => out.push(same),
            'x' => out.push(hexadecimal(&mut chars, 2)?),
            'u' => out.push(hexadecimal(&mut chars, 4)?),
            // Names contain no bell, octal or other escapes.
            _ => return None,
        }
    }
    Some(out)
}

fn hexadecimal(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    char::from_u32(code)
}

fn number(text: &str) -> Option<String> {
    let (negative, digits) = match text.split_at_checked(1)? {
        ("-", rest) => (true, rest),
        ("+", rest) => (false, rest),
        _ => (false, text),
    };
    let first = digits.chars().next()?;
    if !first.is_ascii_digit() && first != '.' {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            let rest = rest.strip_prefix('_').unwrap_or(rest);
            let value = u64::from_str_radix(&without_underscores(rest)?, radix).ok()?;
            return Some(signed(negative && value != 0, &value.to_string()));
        }
    }
    if lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        let plain = without_underscores(&lower)?;
        let value = plain.trim_start_matches('0');
        return match value {
            "" => Some("0".to_owned()),
            // Python rejects leading zeros.
            _ if value.len() < plain.len() => None,
            _ => Some(signed(negative, value)),
        };
    }
    // Rust parses words for numbers ("inf") that Python does not.
    if !lower
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-' | b'_'))
    {
        return None;
    }
    let value: f64 = without_underscores(&lower)?.parse().ok()?;
    Some(python::float(if negative { -value } else { value }))
}

fn signed(negative: bool, digits: &str) -> String {
    if negative {
        format!("-{digits}")
    } else {
        digits.to_owned()
    }
}

/// Accepts `1_000` as a thousand; rejects `1__0` and `1_`.
fn without_underscores(text: &str) -> Option<String> {
    let good = text.split('_').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    });
    // A decimal point may be the first or the last character of a number.
    (good || !text.contains('_')).then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_names() {
        let literal = |text: &str| Some(Left::Literal(text.to_owned()));
        let path = |names: &[&str]| Some(Left::Path(names.iter().map(|name| (*name).to_owned()).collect()));
        let cases = [
            ("True", literal("True")),
            ("None", literal("None")),
            ("'admin'", literal("admin")),
            ("\"admin\"", literal("admin")),
            ("'a\\x41\\u00e9\\n'", literal("aA\u{e9}\n")),
            ("''", literal("")),
            ("'a'b'", None),
            ("'a", None),
            ("'", None),
            ("'a\\'", None),
            ("1", literal("1")),
            ("-1", literal("-1")),
            ("+1", literal("1")),
            ("-0", literal("0")),
            ("00", literal("0")),
            ("007", None),
            ("1_000", literal("1000")),
            ("1__0", None),
            ("0x1F", literal("31")),
            ("0b101", literal("5")),
            ("1.50", literal("1.5")),
            (".5", literal("0.5")),
            ("5.", literal("5.0")),
            ("1e3", literal("1000.0")),
            ("1e", None),
            ("1j", None),
            ("-inf", None),
            ("inf", path(&["inf"])),
            ("null", path(&["null"])),
            ("user_id", path(&["user_id"])),
            ("token.user.id", path(&["token", "user", "id"])),
            ("project-id", path(&["project-id"])),
            ("token..id", None),
            (".id", None),
            ("", None),
            ("class", None),
            ("a b", None),
            ("a$", None),
            ("[1]", None),
        ];
        for (kind, expected) in cases {
            assert_eq!(left(kind), expected, "{kind:?}");
        }
    }
}
