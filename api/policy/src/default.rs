//! A rule as the code knows it: the one list from which defaults, samples and documents come.

/// An operation that a rule protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Such as `GET`.
    pub method: &'static str,
    /// Such as `/segments/{segment_id}`.
    pub path: &'static str,
}

/// A rule's name or default in an earlier release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The old name; the same as the new one if only the default has changed.
    pub name: &'static str,
    /// The old default.
    pub check: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Since which release.
    pub since: &'static str,
}

/// A rule with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleDefault {
    /// Such as `os_masakari_api:segments:index`.
    pub name: &'static str,
    /// The default check, unless a file overrides it.
    pub check: &'static str,
    /// For operators.
    pub description: &'static str,
    /// The protected operations; empty if the rule protects no route.
    pub operations: &'static [Operation],
    /// The rule's earlier name or default.
    pub deprecated: Option<Deprecated>,
}

impl RuleDefault {
    /// A rule without a past.
    pub const fn new(
        name: &'static str,
        check: &'static str,
        description: &'static str,
        operations: &'static [Operation],
    ) -> Self {
        Self {
            name,
            check,
            description,
            operations,
            deprecated: None,
        }
    }

    /// The rule, which was another one before.
    #[must_use]
    pub const fn instead_of(mut self, deprecated: Deprecated) -> Self {
        self.deprecated = Some(deprecated);
        self
    }
}
