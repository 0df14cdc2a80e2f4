//! The parsed form of a rule.

use crate::template::Template;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// `@`, and the empty rule.
    Allow,
    /// `!`.
    Deny,
    /// `role:x`.
    Role(Template),
    /// `rule:x`.
    Rule(String),
    /// `is_admin:True`; any other word after `is_admin:` means false.
    IsAdmin(bool),
    /// `'text':%(x)s`, `True:%(x)s`, `1:%(x)s`.
    Literal(String, Template),
    /// `a.b.c:%(x)s`: an attribute of the caller.
    Attribute(Vec<String>, Template),
    /// `not x`.
    Not(Box<Check>),
    /// `x and y`.
    All(Vec<Check>),
    /// `x or y`.
    Any(Vec<Check>),
    /// A check that could not be parsed.
    Unclear,
}

impl Check {
    /// Calls `visit` with the name of every rule that this check refers to.
    pub(crate) fn each_reference<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Rule(name) => visit(name),
            Self::Not(check) => check.each_reference(visit),
            Self::All(checks) | Self::Any(checks) => {
                for check in checks {
                    check.each_reference(visit);
                }
            }
            Self::Allow
            | Self::Deny
            | Self::Role(_)
            | Self::IsAdmin(_)
            | Self::Literal(..)
            | Self::Attribute(..)
            | Self::Unclear => {}
        }
    }
}
