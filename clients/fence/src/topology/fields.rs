//! Readers of the file's tables, field by field, which collect all problems.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A problem of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; 0 means the file as a whole.
    pub line: usize,
    /// The description of the problem.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

/// The text of the file, which gives the line numbers, and the problems found so far.
pub(super) struct Findings<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            problems: Vec::new(),
        }
    }

    /// Returns the line of the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn add(&mut self, offset: usize, text: impl Into<String>) {
        let line = self.line(offset);
        self.problems.push(Problem {
            line,
            text: text.into(),
        });
    }

    pub(super) fn whole(&mut self, text: impl Into<String>) {
        self.problems.push(Problem {
            line: 0,
            text: text.into(),
        });
    }

    /// Returns the problems in the order of the file.
    pub(super) fn end(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }
}

/// A table of the file. Fields that are not taken out of it by the end are unknown, and refused.
pub(super) struct Fields<'t, 'i> {
    /// The table's name in messages: `device "bmc"`.
    pub(super) what: String,
    /// The offset of the table's start.
    pub(super) at: usize,
    left: BTreeMap<&'t str, &'t Spanned<DeValue<'i>>>,
}

impl<'t, 'i> Fields<'t, 'i> {
    pub(super) fn new(what: &str, at: usize, table: &'t DeTable<'i>) -> Self {
        let left = table
            .iter()
            .map(|(key, value)| (&**key.get_ref(), value))
            .collect();
        Self {
            what: what.to_owned(),
            at,
            left,
        }
    }

    /// Returns the position of a field, or of the table if the field is missing.
    pub(super) fn place(&self, key: &str) -> usize {
        self.left.get(key).map_or(self.at, |value| value.span().start)
    }

    fn wrong(&self, found: &mut Findings<'_>, at: usize, text: impl fmt::Display) {
        found.add(at, format!("{}: {text}", self.what));
    }

    pub(super) fn string(&mut self, key: &str, found: &mut Findings<'_>) -> Option<(usize, String)> {
        let value = self.left.remove(key)?;
        let at = value.span().start;
        if let Some(text) = value.get_ref().as_str() {
            Some((at, text.to_owned()))
        } else {
            self.wrong(found, at, format!("{key} must be a text in quotes"));
            None
        }
    }

    /// Reads a required text.
    pub(super) fn needed(&mut self, key: &str, found: &mut Findings<'_>) -> Option<(usize, String)> {
        if !self.left.contains_key(key) {
            self.wrong(found, self.at, format!("{key} is missing"));
        }
        self.string(key, found)
    }

    pub(super) fn bool(&mut self, key: &str, found: &mut Findings<'_>) -> bool {
        let Some(value) = self.left.remove(key) else {
            return false;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(found, value.span().start, format!("{key} must be true or false"));
            false
        })
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        found: &mut Findings<'_>,
    ) -> Option<u32> {
        let value = self.left.remove(key)?;
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        let good = number.filter(|number| range.contains(number));
        if good.is_none() {
            let (least, most) = (range.start(), range.end());
            let text = format!("{key} must be a whole number between {least} and {most}");
            self.wrong(found, value.span().start, text);
        }
        good
    }

    /// Reads a number of seconds, which may have a fraction.
    pub(super) fn seconds(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<Duration>,
        found: &mut Findings<'_>,
    ) -> Option<Duration> {
        let value = self.left.remove(key)?;
        let text = match value.get_ref() {
            DeValue::Integer(number) => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let seconds = text.and_then(|text| text.parse::<f64>().ok());
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let good = seconds.filter(|seconds| range.contains(seconds));
        if good.is_none() {
            let (least, most) = (range.start().as_secs_f64(), range.end().as_secs());
            let text = format!("{key} must be a number of seconds between {least} and {most}");
            self.wrong(found, value.span().start, text);
        }
        good
    }

    /// Reads a table of texts, with their positions.
    pub(super) fn texts(&mut self, key: &str, found: &mut Findings<'_>) -> BTreeMap<String, (usize, String)> {
        let Some(value) = self.left.remove(key) else {
            return BTreeMap::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(
                found,
                value.span().start,
                format!("{key} must be a table such as {{ \"compute-1\" = \"4\" }}"),
            );
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (name, value) in table {
            let at = value.span().start;
            match value.get_ref().as_str() {
                Some(text) => {
                    texts.insert(name.get_ref().to_string(), (at, text.to_owned()));
                }
                None => self.wrong(found, at, format!("{key}: {} must be a text", name.get_ref())),
            }
        }
        texts
    }

    /// Reads a text or a list of texts.
    pub(super) fn list(&mut self, key: &str, found: &mut Findings<'_>) -> Vec<(usize, String)> {
        let Some(value) = self.left.remove(key) else {
            self.wrong(found, self.at, format!("{key} is missing"));
            return Vec::new();
        };
        self.texts_of(key, value, found)
    }

    /// Reads a list of lists of texts.
    pub(super) fn lists(&mut self, key: &str, found: &mut Findings<'_>) -> Vec<Vec<(usize, String)>> {
        let Some(value) = self.left.remove(key) else {
            self.wrong(found, self.at, format!("{key} is missing"));
            return Vec::new();
        };
        if let Some(array) = value.get_ref().as_array() {
            array.iter().map(|one| self.texts_of(key, one, found)).collect()
        } else {
            let text = format!("{key} must be a list of lists such as [[\"bmc\"], [\"maas\"]]");
            self.wrong(found, value.span().start, text);
            Vec::new()
        }
    }

    fn texts_of(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        found: &mut Findings<'_>,
    ) -> Vec<(usize, String)> {
        let one = |value: &Spanned<DeValue<'_>>| {
            let text = value.get_ref().as_str()?;
            Some((value.span().start, text.to_owned()))
        };
        let all = match value.get_ref().as_array() {
            None => one(value).map(|text| vec![text]),
            Some(array) => array.iter().map(one).collect(),
        };
        all.unwrap_or_else(|| {
            self.wrong(
                found,
                value.span().start,
                format!("{key} must be a text or a list of texts"),
            );
            Vec::new()
        })
    }

    /// Reports all remaining fields as unknown.
    pub(super) fn end(self, found: &mut Findings<'_>) {
        for (key, value) in &self.left {
            self.wrong(found, value.span().start, format!("unknown field {key}"));
        }
    }
}
