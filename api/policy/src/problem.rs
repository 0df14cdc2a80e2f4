//! Problems of rules.

/// A reason why a rule, or a part of it, denies access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Longer than any rule has reason to be.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The most there may be.
        limit: usize,
    },
    /// Nested deeper than any rule has reason to be.
    #[error("it is nested deeper than {limit} levels")]
    TooDeep {
        /// The most there may be.
        limit: usize,
    },
    /// Words and parentheses do not fit together.
    #[error("its words and parentheses make no rule")]
    Grammar,
    /// A value that is neither a text nor a list of checks.
    #[error("it is neither a text nor a list of checks")]
    Kind,
    /// A check without a colon.
    #[error("`{check}` has no colon, so it checks nothing")]
    NoColon {
        /// The check.
        check: String,
    },
    /// The left side of the colon is neither a name nor a literal.
    #[error("`{kind}`, left of the colon, is neither a name nor a literal")]
    Left {
        /// The left side.
        kind: String,
    },
    /// The right side of the colon has a `%` that is not of the form `%(name)s`.
    #[error(
        "`{text}`, right of the colon, has a `%` that does not begin `%(name)s`; write `%%` for the character"
    )]
    Right {
        /// The right side.
        text: String,
    },
    /// A check that asks another server.
    #[error("`{check}` would ask another server; such checks are refused")]
    Remote {
        /// The check.
        check: String,
    },
}
