//! Problems found in rules.

/// A reason why a rule, or a part of it, denies access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The rule is longer than any real rule.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The rule is nested deeper than any real rule.
    #[error("it is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// The words and parentheses do not form a rule.
    #[error("its words and parentheses do not form a rule")]
    Grammar,
    /// The value is neither a text nor a list of checks.
    #[error("it is neither a text nor a list of checks")]
    Kind,
    /// A check has no colon.
    #[error("`{check}` has no colon, so it is not a check")]
    NoColon { check: String },
    /// The text left of the colon is neither a name nor a literal.
    #[error("`{kind}`, left of the colon, is neither a name nor a literal")]
    Left { kind: String },
    /// The text right of the colon has a `%` that is not of the form `%(name)s`.
    #[error(
        "`{text}`, right of the colon, has a `%` without a placeholder `%(name)s`; write `%%` for the character"
    )]
    Right { text: String },
    /// A check would query another server.
    #[error("`{check}` would query another server; remote checks are refused")]
    Remote { check: String },
}
