//! References: `$option`, `${option}`, `$group.option`, `${group.option}`; `$$` and `\$` are a dollar sign.

use crate::parse::Refusal;

/// Limits on the work for one value. Without them, a file of a few lines could cause 2^30 look-ups.
pub(crate) struct Budget {
    pub(crate) depth: usize,
    pub(crate) lookups: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            depth: 16,
            lookups: 1000,
        }
    }
}

/// Maximum length of a value, in bytes. A file of a few lines could otherwise expand to gigabytes.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// A value after substitution.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExpandedValue {
    pub(crate) text: String,
    /// True if it contains a secret, so it must not be shown.
    pub(crate) secret: bool,
}

/// Replaces every reference in `text` by the result of `lookup`. A dollar sign that starts no reference stays, as in
/// Python's `Template.safe_substitute`.
pub(crate) fn expand(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Result<ExpandedValue, Refusal>,
) -> Result<ExpandedValue, Refusal> {
    let text = text.replace(r"\$", "$$");
    let mut out = ExpandedValue::default();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(after) {
            let value = lookup(name)?;
            out.text.push_str(&value.text);
            out.secret |= value.secret;
            rest = after;
        } else {
            out.text.push('$');
            rest = after;
        }
        if out.text.len() > MAX_VALUE_BYTES {
            return Err(Refusal::new(
                "the value exceeds 1 MiB after substitution",
                "write it without `$`",
            ));
        }
    }
    out.text.push_str(rest);
    Ok(out)
}

/// Splits off the name at the start of a reference, without braces.
fn reference(after: &str) -> Option<(&str, &str)> {
    let (name, rest) = if let Some(inner) = after.strip_prefix('{') {
        inner.split_once('}')?
    } else {
        let end = after.find(|c: char| !name_char(c)).unwrap_or(after.len());
        after.split_at_checked(end)?
    };
    let first = name.chars().next()?;
    let good = (first.is_ascii_alphabetic() || first == '_') && name.chars().all(name_char);
    good.then_some((name, rest))
}

fn name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (name, text, expected) in [
            ("none", "abc", "abc"),
            ("plain", "$a/b", "<a>/b"),
            ("braces", "${a}b", "<a>b"),
            ("group", "x${g.a}", "x<g.a>"),
            ("dot is part of a plain name", "$g.a.b", "<g.a.b>"),
            ("underscore", "$_a1-", "<_a1>-"),
            ("escapes", r"$$a \$b $$$c", "$a $b $<c>"),
            ("digit", "$1", "$1"),
            ("end", "a$", "a$"),
            ("brace not closed", "${a", "${a"),
            ("brace with a blank", "${a b}", "${a b}"),
            ("empty brace", "${}", "${}"),
            ("not ascii", "$é", "$é"),
        ] {
            let expanded = expand(text, &mut |name| {
                Ok(ExpandedValue {
                    text: format!("<{name}>"),
                    secret: name == "a",
                })
            });
            assert_eq!(expanded.unwrap().text, expected, "{name}");
        }
    }

    #[test]
    fn a_secret_taints_the_value() {
        let secret = |text| {
            expand(text, &mut |name| {
                Ok(ExpandedValue {
                    text: String::new(),
                    secret: name == "s",
                })
            })
            .unwrap()
            .secret
        };
        assert_eq!(
            [secret("$a$s$a"), secret("$a"), secret("s")],
            [true, false, false]
        );
    }

    #[test]
    fn growth_is_bounded() {
        let text = "$a".repeat(2000);
        let big = "x".repeat(1000);
        expand(&text, &mut |_| {
            Ok(ExpandedValue {
                text: big.clone(),
                secret: false,
            })
        })
        .unwrap_err();
    }
}
