//! Warnings about a policy that loads but may not be as intended.

use crate::problem::Problem;

/// The place where a rule is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleLocation {
    /// A line of a file.
    File {
        /// The path of the file.
        name: String,
        line: u64,
    },
    /// A default in the code.
    Default,
}

impl std::fmt::Display for RuleLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A part of the policy that may not be as intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// No code and no other rule uses the rule.
    #[error("{place}: unknown rule {rule}; no operation uses it{}", suggestion(nearest.as_deref()))]
    Unknown {
        place: RuleLocation,
        rule: String,
        /// The most similar known name.
        nearest: Option<String>,
    },
    /// The rule, or a part of the rule, is invalid and therefore denies access.
    #[error("{place}: in the rule {rule}, `{text}`: {problem}; it denies access")]
    Problem {
        place: RuleLocation,
        rule: String,
        /// The rule, shortened.
        text: String,
        problem: Problem,
    },
    /// The rule refers to an undefined rule.
    #[error(
        "{place}: the rule {rule} refers to rule:{reference}, which is undefined and denies access{}",
        suggestion(nearest.as_deref())
    )]
    Undefined {
        place: RuleLocation,
        rule: String,
        reference: String,
        /// The most similar known name.
        nearest: Option<String>,
    },
    /// The rule refers to itself, directly or through other rules.
    #[error(
        "{place}: the rule {rule} refers to itself, directly or through other rules, and therefore denies access"
    )]
    Circular { place: RuleLocation, rule: String },
    /// The rule has no value, so it allows every caller.
    #[error(
        "{place}: the rule {rule} is empty and admits every caller with a valid token; write \"@\" if that is intended"
    )]
    Empty { place: RuleLocation, rule: String },
    /// A file defines the rule under an old name.
    #[error("{place}: the rule {old} has the name {rule} since {since}: {reason}")]
    OldName {
        place: RuleLocation,
        /// The old name.
        old: String,
        /// The new name.
        rule: String,
        since: String,
        reason: String,
    },
    /// The old default of the rule still applies besides the new one.
    #[error(
        "the default of the rule {rule} is `{new}` since {since}, and `{old}` still applies too, until \
         enforce_new_defaults is set: {reason}"
    )]
    OldDefault {
        rule: String,
        /// The old default.
        old: String,
        /// The new default.
        new: String,
        since: String,
        reason: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
