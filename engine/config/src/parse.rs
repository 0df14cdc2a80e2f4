//! Parsing of text into values, by the rules of oslo.config's types.

use std::{fmt, net::IpAddr, time::Duration};

/// The reason why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) why: String,
    pub(crate) help: String,
}

impl Refusal {
    /// Creates a refusal. `why` describes the problem without repeating the value, which may be a secret; `help`
    /// describes what to write.
    pub fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            help: help.into(),
        }
    }
}

/// The integer types of options.
pub trait Integer: Copy + Default + PartialOrd + fmt::Display + TryFrom<i128> + 'static {
    /// Returns the smallest and the largest value, for messages.
    fn bounds() -> (Self, Self);
}

macro_rules! integers {
    ($($kind:ty)*) => { $(impl Integer for $kind { fn bounds() -> (Self, Self) { (<$kind>::MIN, <$kind>::MAX) } })* };
}
integers!(u8 u16 u32 u64 usize i32 i64);

pub(crate) fn boolean(text: &str) -> Result<bool, Refusal> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(refuse(
            text,
            "is not a boolean",
            "write true, 1, on, yes or false, 0, off, no",
        )),
    }
}

pub(crate) fn integer<T: Integer>(text: &str) -> Result<T, Refusal> {
    let help = "write a whole number without unit";
    let digits = text.trim();
    // Underscores may group digits, as in Python.
    let grouped = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let well_grouped = !grouped.is_empty() && grouped.split('_').all(is_number);
    if !well_grouped {
        return Err(refuse(text, "is not a whole number", help));
    }
    let number: Option<i128> = digits.replace('_', "").parse().ok();
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let (least, most) = T::bounds();
        Refusal::new(
            "is out of range",
            format!("write a whole number between {least} and {most}"),
        )
    })
}

pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn number(text: &str) -> Result<f64, Refusal> {
    let parsed: Option<f64> = text.trim().parse().ok();
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| refuse(text, "is not a number", "write a number such as 0.5"))
}

/// Parses whole or fractional seconds; upstream accepts both.
pub(crate) fn seconds(text: &str) -> Result<Duration, Refusal> {
    let help = "write a number of seconds without unit, 0 or more";
    let text_trimmed = text.trim();
    if is_number(text_trimmed)
        && let Ok(whole) = text_trimmed.parse()
    {
        return Ok(Duration::from_secs(whole));
    }
    let number = number(text).map_err(|_| refuse(text, "is not a number of seconds", help))?;
    Duration::try_from_secs_f64(number).map_err(|_| Refusal::new("is out of range", help))
}

pub(crate) fn list(text: &str) -> Vec<String> {
    let text = text.trim().trim_end_matches(',');
    if text.is_empty() {
        Vec::new()
    } else {
        text.split(',').map(|item| item.trim().to_owned()).collect()
    }
}

pub(crate) fn choice(text: &str, choices: &'static [&'static str]) -> Result<&'static str, Refusal> {
    let found = choices.iter().find(|choice| **choice == text);
    found.copied().ok_or_else(|| {
        refuse(
            text,
            "is not one of the choices",
            &format!("write {}", or(choices)),
        )
    })
}

/// Parses an IP address or a host name. Underscores are accepted, because host names with them are in use
/// although the standard forbids them.
pub(crate) fn host(text: &str) -> Result<String, Refusal> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let name = !text.is_empty() && text.len() <= 253 && text.trim_end_matches('.').split('.').all(label);
    if name || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(refuse(
            text,
            "is neither a host name nor an address",
            "write a host name, or an address without port and brackets",
        ))
    }
}

pub(crate) fn url(text: &str, schemes: &[&str]) -> Result<String, Refusal> {
    let example = schemes.first().copied().unwrap_or("https");
    let help = format!("write {example}://host:port/path");
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(refuse(text, "is not a URL", &help));
    };
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(Refusal::new(
            format!("a URL here begins with {}", or(schemes)),
            help,
        ));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(refuse(text, "is not a URL with a host", &help));
    }
    Ok(text.to_owned())
}

/// Joins names for a sentence.
pub(crate) fn or(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Creates a refusal, with a hint for common mistakes.
fn refuse(text: &str, why: &str, help: &str) -> Refusal {
    let hint = if text.is_empty() {
        ", or remove the line"
    } else if text.contains(" #") || text.contains(" ;") || text.contains("\t#") || text.contains("\n#") {
        "; put the comment on a separate line that begins with `#`"
    } else if text.contains('\n') {
        "; the indented lines below it are part of the value"
    } else {
        ""
    };
    let why = if text.is_empty() {
        "the value is empty"
    } else {
        why
    };
    Refusal::new(why, format!("{help}{hint}"))
}

/// Masks the credentials between `://` and `@` in a URL.
pub(crate) fn without_credentials(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        return format!("{scheme}://***@{host}");
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_bounds() {
        for (name, text, expected) in [
            ("largest", "65535", Ok(65535_u16)),
            ("too large", "65536", Err("is out of range")),
            ("negative", "-1", Err("is out of range")),
            (
                "beyond 128 bits",
                "999999999999999999999999999999999999999999",
                Err("is out of range"),
            ),
            ("sign only", "-", Err("is not a whole number")),
            ("two signs", "--1", Err("is not a whole number")),
            ("empty", "", Err("the value is empty")),
            ("underscore at the end", "1_", Err("is not a whole number")),
        ] {
            assert_eq!(
                integer::<u16>(text).map_err(|refusal| refusal.why),
                expected.map_err(str::to_owned),
                "{name}"
            );
        }
        let help = integer::<u8>("300").unwrap_err().help;
        assert_eq!(help, "write a whole number between 0 and 255");
        assert_eq!(integer::<i64>("-1"), Ok(-1));
    }

    #[test]
    fn durations() {
        for (name, text, expected) in [
            ("whole", "61", Ok(Duration::from_secs(61))),
            ("zero", "0", Ok(Duration::ZERO)),
            ("fraction", "0.25", Ok(Duration::from_millis(250))),
            ("blanks", " 5 ", Ok(Duration::from_secs(5))),
            ("negative", "-1", Err("is out of range")),
            ("unit", "5s", Err("is not a number of seconds")),
            ("infinite", "inf", Err("is not a number of seconds")),
            ("not a number", "nan", Err("is not a number of seconds")),
            ("huge", "1e300", Err("is out of range")),
        ] {
            assert_eq!(
                seconds(text).map_err(|refusal| refusal.why),
                expected.map_err(str::to_owned),
                "{name}"
            );
        }
    }

    #[test]
    fn hosts() {
        for good in [
            "0.0.0.0",
            "::",
            "2001:db8::1",
            "node-1.example.org",
            "node_1",
            "a.",
        ] {
            assert_eq!(host(good), Ok(good.to_owned()));
        }
        for bad in ["", "[::1]", "a b", "host:80", "a..b", "http://x", "é"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls() {
        for good in [
            "http://h",
            "https://h:5000/v3",
            "HTTPS://h",
            "http://[::1]:5000",
            "http://u:p@h/",
        ] {
            assert_eq!(url(good, &["http", "https"]), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "h:5000",
            "http://",
            "http:///v3",
            "http://:5000",
            "ftp://h",
            "http://h /",
            "http://u@",
        ] {
            assert!(url(bad, &["http", "https"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn common_mistakes_have_a_hint() {
        for (text, part) in [
            ("10 # ten", "comment on a separate line"),
            ("10\n# ten", "comment on a separate line"),
            ("10\n11", "indented lines"),
            ("", "remove the line"),
        ] {
            let help = integer::<u16>(text).unwrap_err().help;
            assert!(help.contains(part), "{text:?}: {help}");
        }
    }

    #[test]
    fn credentials_are_masked() {
        for (text, expected) in [
            ("http://u:p@h/x", "http://***@h/x"),
            ("rabbit://u:p@a,u:q/w@b/v", "rabbit://***@b/v"),
            ("http://h/x", "http://h/x"),
            ("plain@text", "plain@text"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }
}
