//! Warnings about a policy that can be used.

use crate::problem::Problem;

/// The position of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// Its path.
        name: String,
        /// The line.
        line: u64,
    },
    /// In the code.
    Default,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Something in a policy that is perhaps not as intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A rule that nothing asks for.
    #[error("{place}: nothing asks for the rule {rule}{}", meant(nearest.as_deref()))]
    Unknown {
        /// The position.
        place: Place,
        /// Its name.
        rule: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// A rule, or a part of one, that denies access because it is invalid.
    #[error("{place}: in the rule {rule}, `{text}`: {problem}; it lets nobody in")]
    Problem {
        /// The position.
        place: Place,
        /// Its name.
        rule: String,
        /// The rule.
        text: String,
        /// The problem.
        problem: Problem,
    },
    /// A rule that refers to one that is not there.
    #[error(
        "{place}: the rule {rule} refers to rule:{reference}, which is not defined and lets nobody in{}",
        meant(nearest.as_deref())
    )]
    Undefined {
        /// The position.
        place: Place,
        /// Its name.
        rule: String,
        /// The referenced rule.
        reference: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// A rule that comes back to itself.
    #[error(
        "{place}: the rule {rule} refers to itself, directly or through others, and lets nobody in on that way"
    )]
    Circular {
        /// The position.
        place: Place,
        /// Its name.
        rule: String,
    },
    /// A rule without a value, which lets everybody in.
    #[error(
        "{place}: the rule {rule} is empty and lets everybody with a valid token in; write \"@\" if that is meant"
    )]
    Empty {
        /// The position.
        place: Place,
        /// Its name.
        rule: String,
    },
    /// A rule that goes by an old name.
    #[error("{place}: the rule {old} is called {rule} since {since}: {reason}")]
    OldName {
        /// The position.
        place: Place,
        /// The old name.
        old: String,
        /// The new name.
        rule: String,
        /// Since which release.
        since: String,
        /// Why.
        reason: String,
    },
    /// A rule whose old default counts besides the new one.
    #[error(
        "the default of the rule {rule} is `{new}` since {since}, and `{old}` counts besides until \
         enforce_new_defaults is set: {reason}"
    )]
    OldDefault {
        /// Its name.
        rule: String,
        /// The old default.
        old: String,
        /// The new default.
        new: String,
        /// Since which release.
        since: String,
        /// Why.
        reason: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
