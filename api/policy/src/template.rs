//! The right side of a check: a text with `%(name)s` placeholders.

use crate::attributes::Attributes;
use crate::python;

/// A text with placeholders for attributes of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Attribute(String),
}

/// The result of a substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Substitution {
    Text(String),
    /// The target has no attribute of that name.
    Missing,
    /// The attribute is a list or an object, not a text.
    Unclear,
}

impl Template {
    /// Parses the text. Returns `None` if it contains a `%` of another form. Python would accept more forms, or fail
    /// each request.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (before, after) = rest.split_at(at);
            plain.push_str(before);
            let after = after.strip_prefix('%')?;
            if let Some(after) = after.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (name, after) = name(after.strip_prefix('(')?)?;
            rest = after.strip_prefix('s')?;
            if !plain.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
            }
            parts.push(TemplatePart::Attribute(name.to_owned()));
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(TemplatePart::Text(plain));
        }
        Some(Self(parts))
    }

    /// Returns the text if it has no placeholders.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Replaces the placeholders with attributes of `target`.
    pub(crate) fn fill(&self, target: &dyn Attributes) -> Substitution {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => filled.push_str(text),
                TemplatePart::Attribute(name) => match target.attribute(name) {
                    None => return Substitution::Missing,
                    Some(value) => match python::text(&value) {
                        Some(text) => filled.push_str(&text),
                        None => return Substitution::Unclear,
                    },
                },
            }
        }
        Substitution::Text(filled)
    }
}

/// Splits off the name up to its closing parenthesis. Parentheses inside the name come in pairs.
fn name(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_filled_as_python_fills_them() {
        let target =
            json!({"a": "x", "(b)": "y", "n": null, "t": true, "i": 7, "f": 0.5, "l": ["x"], "": "e"});
        let text = |text: &str| Some(Substitution::Text(text.to_owned()));
        let cases = [
            ("plain", text("plain")),
            ("", text("")),
            ("%(a)s", text("x")),
            ("-%(a)s-%(a)s", text("-x-x")),
            ("%((b))s", text("y")),
            ("%()s", text("e")),
            ("100%%", text("100%")),
            ("%%(a)s", text("%(a)s")),
            ("%(n)s %(t)s %(i)s %(f)s", text("None True 7 0.5")),
            ("%(missing)s", Some(Substitution::Missing)),
            ("%(l)s", Some(Substitution::Unclear)),
            ("%(a)", None),
            ("%(a)d", None),
            ("%(a)5s", None),
            ("%(a", None),
            ("%s", None),
            ("%", None),
        ];
        for (given, expected) in cases {
            let got = Template::parse(given).map(|template| template.fill(&target));
            assert_eq!(got, expected, "{given:?}");
        }
    }
}
