//! Who may do what: one check for each named rule.

use std::collections::HashMap;

use crate::auth::Caller;

/// The name of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule(pub(crate) &'static str);

/// A condition on the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Everybody with a valid token.
    Everybody,
    /// Nobody.
    Nobody,
    /// Whoever the rule `context_is_admin` admits.
    Admin,
    /// Holders of this role; case does not matter.
    Role(String),
    /// Any of these.
    Any(Vec<Check>),
}

/// The rules and their checks. Masakari's defaults, and what an operator has put over them.
#[derive(Clone, Debug)]
pub struct Policy {
    context_is_admin: Check,
    overrides: HashMap<String, Check>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            context_is_admin: Check::Role("admin".to_owned()),
            overrides: HashMap::new(),
        }
    }
}

impl Policy {
    /// Sets the check of one rule, such as `os_masakari_api:notifications:create`, or `context_is_admin`, which says who
    /// is an administrator.
    #[must_use]
    pub fn with(mut self, rule: &str, check: Check) -> Self {
        if rule == "context_is_admin" {
            self.context_is_admin = check;
        } else {
            self.overrides.insert(rule.to_owned(), check);
        }
        self
    }

    /// Whether `rule` admits `caller`.
    pub(crate) fn allows(&self, rule: &str, caller: &Caller) -> bool {
        let check = self.overrides.get(rule).unwrap_or(default_check(rule));
        self.passes(check, caller)
    }

    fn passes(&self, check: &Check, caller: &Caller) -> bool {
        match check {
            Check::Everybody => true,
            Check::Nobody => false,
            // `context_is_admin` cannot ask for itself.
            Check::Admin => {
                caller.always_admin
                    || (self.context_is_admin != Check::Admin && self.passes(&self.context_is_admin, caller))
            }
            Check::Role(role) => caller
                .identity
                .roles
                .iter()
                .any(|held| held.eq_ignore_ascii_case(role)),
            Check::Any(checks) => checks.iter().any(|check| self.passes(check, caller)),
        }
    }
}

fn default_check(rule: &str) -> &'static Check {
    if rule.starts_with("os_masakari_api:versions:") {
        &Check::Everybody
    } else {
        &Check::Admin
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::Identity;

    const RULE: &str = "os_masakari_api:notifications:create";

    fn caller(roles: &[&str]) -> Caller {
        let identity = Identity {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Identity::default()
        };
        Caller {
            identity: Arc::new(identity),
            always_admin: false,
        }
    }

    #[test]
    fn checks() {
        let monitor = || Check::Role("masakari_monitor".to_owned());
        let plain = Policy::default();
        let delegated = Policy::default().with("context_is_admin", Check::Role("operator".to_owned()));
        let shared = Policy::default().with(RULE, Check::Any(vec![Check::Admin, monitor()]));
        let closed = Policy::default().with(RULE, Check::Nobody);
        let circular = Policy::default().with("context_is_admin", Check::Admin);
        let versions = "os_masakari_api:versions:discoverable";
        let cases = [
            ("admin", &plain, RULE, &["member", "admin"][..], true),
            ("case of a role", &plain, RULE, &["ADMIN"], true),
            ("no role", &plain, RULE, &[], false),
            ("another role", &plain, RULE, &["administrator"], false),
            ("versions", &plain, versions, &[], true),
            ("delegated to a role", &delegated, RULE, &["operator"], true),
            ("delegated away from admin", &delegated, RULE, &["admin"], false),
            ("one rule shared", &shared, RULE, &["masakari_monitor"], true),
            (
                "one rule shared, others not",
                &shared,
                "os_masakari_api:segments:index",
                &["masakari_monitor"],
                false,
            ),
            ("nobody", &closed, RULE, &["admin"], false),
            ("admin is whoever is admin", &circular, RULE, &["admin"], false),
        ];
        for (name, policy, rule, roles, expected) in cases {
            assert_eq!(policy.allows(rule, &caller(roles)), expected, "{name}");
        }
    }
}
