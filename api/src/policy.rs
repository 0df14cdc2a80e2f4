//! Authorization: one policy rule for each route. Operators can change the rules while the service runs.

mod caller;
mod files;
mod table;

use std::sync::{Arc, PoisonError, RwLock};

use tachi_domain::entity::notification::NotificationType;
use tachi_policy::{LoadReport, Rules, Source, SourceError};

use crate::auth::Caller;
use caller::{Subject, Target};
pub use files::PolicyFiles;
pub use table::policy_rules;

/// The rule that determines administrators.
pub(crate) const CONTEXT_IS_ADMIN: &str = "context_is_admin";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule(pub(crate) &'static str);

/// The claims of a report, for policy rules about reports.
#[derive(Clone, Debug)]
pub(crate) struct ReportContext<'a> {
    /// The host that the report is about.
    pub(crate) hostname: &'a str,
    /// The type of failure.
    pub(crate) kind: NotificationType,
    /// The host that the reporter is bound to.
    pub(crate) bound_host: Option<String>,
}

impl ReportContext<'_> {
    /// Returns the rule for reports of this type. By default it admits the same callers as the rule for all types.
    pub(crate) const fn rule(&self) -> &'static str {
        match self.kind {
            NotificationType::ComputeHost => "os_masakari_api:notifications:create:compute_host",
            NotificationType::Process => "os_masakari_api:notifications:create:process",
            NotificationType::Vm => "os_masakari_api:notifications:create:vm",
        }
    }
}

/// The effective rules. Clones share them, so that any holder can replace the rules while requests are served.
#[derive(Clone, Debug)]
pub struct Policy(Arc<RwLock<Arc<Rules>>>);

/// Masakari's defaults.
impl Default for Policy {
    fn default() -> Self {
        // Loading without files cannot fail. If it did, the empty rules would deny everything.
        let rules = Self::load(&[], &tachi_policy::Options::default())
            .map(|loaded| loaded.rules)
            .unwrap_or_default();
        Self::new(rules)
    }
}

impl Policy {
    /// Creates a policy from rules that [`Policy::load`] returned.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// Loads the defaults of this API, overridden by files.
    ///
    /// # Errors
    ///
    /// A source is not a policy file.
    pub fn load(sources: &[Source], options: &tachi_policy::Options) -> Result<LoadReport, SourceError> {
        Rules::load(policy_rules(), sources, options)
    }

    /// Loads the defaults, overridden by one text.
    ///
    /// # Errors
    ///
    /// The text is not a policy file.
    pub fn with_text(text: &str) -> Result<Self, SourceError> {
        let source = Source::new("policy.yaml", text);
        Self::load(&[source], &tachi_policy::Options::default()).map(|loaded| Self::new(loaded.rules))
    }

    /// Replaces the rules for all requests that are checked from now on.
    pub fn replace(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Returns the effective rules.
    pub fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if `rule` accepts `caller`.
    pub(crate) fn allows(&self, rule: &str, caller: &Caller) -> bool {
        accepts(&self.current(), rule, caller, None)
    }

    /// Returns the rule that denies this report to `caller`; `None` if the report is allowed.
    pub(crate) fn refuses(
        &self,
        claim: &ReportContext<'_>,
        all_kinds: &'static str,
        caller: &Caller,
    ) -> Option<&'static str> {
        let rules = self.current();
        if accepts(&rules, claim.rule(), caller, Some(claim)) {
            return None;
        }
        // Clients know the rule for all types, so it is reported unless it admits the caller.
        let admitted = accepts(&rules, all_kinds, caller, Some(claim));
        Some(if admitted { claim.rule() } else { all_kinds })
    }

    /// True if `caller` is an administrator.
    pub(crate) fn is_admin(&self, caller: &Caller) -> bool {
        caller.always_admin || self.allows(CONTEXT_IS_ADMIN, caller)
    }

    /// True if `rule` would admit a user with this identity, for an operator's question.
    pub fn would_allow(&self, rule: &str, identity: crate::Identity) -> bool {
        let caller = Caller {
            identity: Arc::new(identity),
            service: None,
            certificate: None,
            always_admin: false,
        };
        self.allows(rule, &caller)
    }
}

fn accepts(rules: &Rules, rule: &str, caller: &Caller, claim: Option<&ReportContext<'_>>) -> bool {
    if rule == CONTEXT_IS_ADMIN {
        let subject = Subject::undecided(caller);
        return rules.allows(rule, &subject, &subject);
    }
    rules.allows(rule, &Subject::of(caller, rules), &Target { caller, claim })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;

    fn caller(roles: &[&str]) -> Caller {
        let identity = Identity {
            user_id: "u1".to_owned(),
            project_id: Some("p1".to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Identity::default()
        };
        Caller {
            identity: Arc::new(identity),
            service: None,
            certificate: None,
            always_admin: false,
        }
    }

    const CREATE: &str = "os_masakari_api:notifications:create";
    const INDEX: &str = "os_masakari_api:segments:index";
    const VERSIONS: &str = "os_masakari_api:versions:discoverable";

    #[test]
    fn checks() {
        let shared = "os_masakari_api:notifications:create: rule:admin_api or role:masakari_monitor";
        let delegated = "context_is_admin: role:operator";
        let circular = "context_is_admin: is_admin:True";
        let cases = [
            ("admin", "", INDEX, &["member", "admin"][..], true),
            ("case of a role", "", INDEX, &["ADMIN"], true),
            ("no role", "", INDEX, &[], false),
            ("another role", "", INDEX, &["administrator"], false),
            ("versions", "", VERSIONS, &[], true),
            ("delegated to a role", delegated, INDEX, &["operator"], true),
            ("delegated away from admin", delegated, INDEX, &["admin"], false),
            ("one rule shared", shared, CREATE, &["masakari_monitor"], true),
            (
                "one rule shared, others not",
                shared,
                INDEX,
                &["masakari_monitor"],
                false,
            ),
            (
                "nobody",
                "os_masakari_api:segments:index: '!'",
                INDEX,
                &["admin"],
                false,
            ),
            ("admin requires admin", circular, INDEX, &["admin"], false),
            (
                "everybody",
                "os_masakari_api:segments:index: '@'",
                INDEX,
                &[],
                true,
            ),
            (
                "owner",
                "os_masakari_api:segments:index: rule:admin_or_owner",
                INDEX,
                &[],
                true,
            ),
            (
                "other project",
                "os_masakari_api:segments:index: project_id:p2",
                INDEX,
                &["admin"],
                false,
            ),
            ("no such rule", "", "os_masakari_api:nothing", &["admin"], false),
        ];
        for (name, file, rule, roles, expected) in cases {
            let policy = Policy::with_text(file).unwrap();
            assert_eq!(policy.allows(rule, &caller(roles)), expected, "{name}");
        }
    }

    #[test]
    fn noauth2_is_administrator_regardless_of_the_rules() {
        let policy = Policy::with_text("context_is_admin: '!'").unwrap();
        let everybody = Caller {
            always_admin: true,
            ..caller(&[])
        };
        assert!(policy.allows(INDEX, &everybody));
        assert!(!policy.allows(INDEX, &caller(&["admin"])));
    }

    #[test]
    fn replaced_rules_apply_at_once_and_for_every_holder() {
        let policy = Policy::default();
        let holder = policy.clone();
        assert!(!holder.allows(INDEX, &caller(&["member"])));
        let text = Source::new("p", "os_masakari_api:segments:index: role:member");
        let loaded = Policy::load(&[text], &tachi_policy::Options::default()).unwrap();
        policy.replace(loaded.rules);
        assert!(holder.allows(INDEX, &caller(&["member"])));
    }

    #[test]
    fn the_defaults_cause_no_warning() {
        let loaded = Policy::load(&[], &tachi_policy::Options::default()).unwrap();
        assert_eq!(loaded.warnings, []);
    }
}
