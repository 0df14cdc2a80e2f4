//! Patterns of host names, and templates filled from their captures.

use std::fmt;

use regex::Regex;

/// Maximum length of a name, in bytes.
const MAX_NAME_BYTES: usize = 253;

/// True if a host's name may become part of an address, a plug or a command: no character in it ends a word, starts an
/// option or refers to another place.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && !text.starts_with(['-', '.'])
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// A pattern for host names: a glob (`compute-*`), or a regular expression between slashes (`/^r(\d+)-c(\d+)$/`).
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// The regular expression; `None` matches everything.
    regex: Option<Regex>,
    /// True if it matches exactly one name.
    exact: bool,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inside = text
            .strip_prefix('/')
            .map(|rest| rest.strip_suffix('/').unwrap_or_default());
        let (source, exact) = match inside {
            Some("") => return Err(format!("{text:?} has no regular expression between its slashes")),
            // The expression has to match the whole name.
            Some(regex) => (format!("^(?:{regex})$"), false),
            None if text.is_empty() => return Err("the pattern is empty".into()),
            None => {
                let mut source = String::from("^");
                for c in text.chars() {
                    match c {
                        '*' => source.push_str("(.*)"),
                        '?' => source.push_str("(.)"),
                        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') => {
                            source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                        }
                        c => return Err(format!("{text:?} contains {c:?}, which no host name contains")),
                    }
                }
                source.push('$');
                (source, !text.contains(['*', '?']))
            }
        };
        let regex = regex::RegexBuilder::new(&source)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| format!("{text:?} is not a valid pattern: {error}"))?;
        Ok(Self {
            regex: Some(regex),
            exact,
        })
    }

    /// Creates a pattern that matches every name.
    pub(super) const fn everything() -> Self {
        Self {
            regex: None,
            exact: false,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    /// Returns the number of the pattern's captures, which is the highest one that a template may use.
    pub(super) fn captures(&self) -> usize {
        let regex = self.regex.as_ref();
        regex.map_or(0, |regex| regex.captures_len().saturating_sub(1))
    }

    /// Returns the captures if the pattern matches a host's name.
    pub(super) fn captures_of(&self, host: &str) -> Option<Vec<String>> {
        let Some(regex) = &self.regex else {
            return Some(Vec::new());
        };
        let captures = regex.captures(host)?;
        let parts = captures.iter().skip(1);
        Some(
            parts
                .map(|part| part.map_or_else(String::new, |part| part.as_str().to_owned()))
                .collect(),
        )
    }
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    /// `{host}`.
    Host,
    /// `{short}`: the name up to its first dot.
    Short,
    /// `{1}` to `{9}`.
    Capture(usize),
}

/// A text with placeholders for properties of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<TemplatePart>,
}

impl Template {
    /// Creates a template of this text, without placeholders.
    pub(super) fn plain(text: &str) -> Self {
        Self {
            parts: vec![TemplatePart::Text(text.to_owned())],
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("{text:?} has an unclosed {{"));
            };
            if !before.is_empty() {
                parts.push(TemplatePart::Text(before.to_owned()));
            }
            parts.push(match (name, name.parse::<usize>()) {
                ("host", _) => TemplatePart::Host,
                ("short", _) => TemplatePart::Short,
                (_, Ok(number @ 1..=9)) => TemplatePart::Capture(number),
                (_, Ok(_) | Err(_)) => {
                    return Err(format!(
                        "{text:?} has unknown {{{name}}}; valid: {{host}}, {{short}} and {{1}} to {{9}}"
                    ));
                }
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("{text:?} has a }} without a {{"));
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// True if its result differs for every host that its patterns match.
    pub(super) fn varies(&self) -> bool {
        self.parts
            .iter()
            .any(|part| !matches!(part, TemplatePart::Text(_)))
    }

    /// Returns the highest capture that the template uses.
    pub(super) fn max_capture(&self) -> usize {
        let captures = self.parts.iter().map(|part| match part {
            TemplatePart::Capture(number) => *number,
            TemplatePart::Text(_) | TemplatePart::Host | TemplatePart::Short => 0,
        });
        captures.max().unwrap_or_default()
    }

    /// Fills the template for a host; `None` if a required placeholder would be empty.
    pub(super) fn fill(&self, host: &str, captures: &[String]) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            let more = match part {
                TemplatePart::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                TemplatePart::Host => host,
                TemplatePart::Short => host.split('.').next().unwrap_or_default(),
                TemplatePart::Capture(number) => captures.get(number.checked_sub(1)?)?,
            };
            if more.is_empty() {
                return None;
            }
            text.push_str(more);
        }
        Some(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => f.write_str(text)?,
                TemplatePart::Host => f.write_str("{host}")?,
                TemplatePart::Short => f.write_str("{short}")?,
                TemplatePart::Capture(number) => write!(f, "{{{number}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_admits_whole_names_and_catches_parts() {
        for (pattern, host, captures) in [
            ("compute-*", "compute-17", Some(vec!["17"])),
            ("compute-*", "xcompute-17", None),
            ("c?-*", "c1-a.b", Some(vec!["1", "a.b"])),
            ("compute-1", "compute-11", None),
            ("compute-1", "compute-1", Some(vec![])),
            ("c.1", "cx1", None),
            ("/r(\\d+)-c(\\d+)/", "r7-c12", Some(vec!["7", "12"])),
            ("/r(\\d+)/", "r7-c12", None),
            ("/a|b/", "ab", None),
        ] {
            let got = Pattern::parse(pattern).unwrap().captures_of(host);
            let expected = captures.map(|parts| parts.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(got, expected, "{pattern} {host}");
        }
        for bad in ["", "//", "/(/", "/", "a b", "c[12]", "é*", "/(a{1000}){1000}/"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_template_is_filled_or_refused() {
        for (text, filled) in [
            ("{host}-bmc.example:623", Some("r7-c1.dc-bmc.example:623")),
            ("{short}", Some("r7-c1")),
            ("10.0.{1}.{2}", Some("10.0.7.1")),
            ("plain", Some("plain")),
            ("{3}", None),
        ] {
            let template = Template::parse(text).unwrap();
            let got = template.fill("r7-c1.dc", &["7".into(), "1".into()]);
            assert_eq!(got.as_deref(), filled, "{text}");
            assert_eq!(template.to_string(), text);
        }
        assert_eq!(Template::parse("{1}").unwrap().fill("h", &[String::new()]), None);
        for bad in ["{", "}", "{0}", "{10}", "{user}", "{host", "a}b"] {
            assert!(Template::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_plain_names_become_part_of_anything() {
        for good in ["compute-1", "c1.example.org", "C_1"] {
            assert!(is_plain(good), "{good}");
        }
        let long = "x".repeat(254);
        for bad in [
            "", "-o", ".a", "a/b", "a@b", "a b", "a\nb", "a;b", "ä", "a..b", "{host}", &long,
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
