//! Rules and their defaults in code: the single source of the defaults, the sample file and the documentation.

/// An operation that a rule protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method, such as `GET`.
    pub method: &'static str,
    /// The route, such as `/segments/{segment_id}`.
    pub path: &'static str,
}

/// A rule's name or default in an earlier release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeprecatedRule {
    /// The old name; the same as the new one if only the default has changed.
    pub name: &'static str,
    /// The old default.
    pub check: &'static str,
    /// The reason for the change, shown to operators.
    pub reason: &'static str,
    /// The release of the change.
    pub since: &'static str,
}

/// A rule with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleDefault {
    /// The name, such as `os_masakari_api:segments:index`.
    pub name: &'static str,
    /// The default check, unless a file overrides it.
    pub check: &'static str,
    /// A description for operators.
    pub description: &'static str,
    /// The protected operations; empty if the rule protects no route.
    pub operations: &'static [Operation],
    /// The rule's earlier name or default.
    pub deprecated: Option<DeprecatedRule>,
}

impl RuleDefault {
    /// Creates a rule that never had another name or default.
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

    /// Returns the rule with its earlier name or default.
    #[must_use]
    pub const fn instead_of(mut self, deprecated: DeprecatedRule) -> Self {
        self.deprecated = Some(deprecated);
        self
    }
}
