//! Attributes of a caller for policy rules.

use std::borrow::Cow;

use serde_json::{Value, json};
use tachi_policy::{Attributes, Rules};

use crate::auth::{Caller, Identity};
use crate::policy::ReportContext;

use super::CONTEXT_IS_ADMIN;

/// The caller's attributes, with the names that oslo.context uses.
pub(super) struct Subject<'a> {
    caller: &'a Caller,
    /// The rules that determine an administrator; `None` while that decision is being made.
    rules: Option<&'a Rules>,
}

impl<'a> Subject<'a> {
    pub(super) const fn of(caller: &'a Caller, rules: &'a Rules) -> Self {
        Self {
            caller,
            rules: Some(rules),
        }
    }

    /// Returns a subject for the decision whether the caller is an administrator.
    pub(super) const fn undecided(caller: &'a Caller) -> Self {
        Self { caller, rules: None }
    }
}

fn maybe(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |text| Value::String(text.clone()))
}

fn user(identity: &Identity) -> Value {
    maybe(Some(&identity.user_id).filter(|id| !id.is_empty()))
}

impl Attributes for Subject<'_> {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        let caller_identity = self.caller.identity.as_ref();
        let service = self.caller.service.as_deref();
        let of_service = |read: fn(&Identity) -> Value| service.map_or(Value::Null, read);
        let value = match name {
            "user_id" => user(caller_identity),
            // oslo.context has no such attribute.
            "user_name" => maybe(caller_identity.user_name.as_ref()),
            "application_credential" => maybe(caller_identity.application_credential.as_ref()),
            "user_domain_id" => maybe(caller_identity.user_domain_id.as_ref()),
            "project_id" => maybe(caller_identity.project_id.as_ref()),
            "project_domain_id" => maybe(caller_identity.project_domain_id.as_ref()),
            "domain_id" => maybe(caller_identity.domain_id.as_ref()),
            "system_scope" => maybe(caller_identity.system_scope.as_ref()),
            // oslo.policy's own name, defined only for a token with system scope.
            "system" => Value::String(caller_identity.system_scope.clone()?),
            "roles" => json!(caller_identity.roles),
            "is_admin_project" => json!(caller_identity.is_admin_project),
            // oslo.context has no such attribute.
            "is_service_project" => json!(caller_identity.is_service_project),
            "is_admin" => json!(self.is_admin()),
            "service_user_id" => of_service(user),
            "service_user_domain_id" => of_service(|service| maybe(service.user_domain_id.as_ref())),
            "service_project_id" => of_service(|service| maybe(service.project_id.as_ref())),
            "service_project_domain_id" => of_service(|service| maybe(service.project_domain_id.as_ref())),
            "service_roles" => json!(service.map_or(&[][..], |service| service.roles.as_slice())),
            _ => return None,
        };
        Some(Cow::Owned(value))
    }

    fn has_role(&self, role: &str) -> bool {
        let mut roles = self.caller.identity.roles.iter();
        roles.any(|own_role| tachi_policy::same_role(own_role, role))
    }

    fn is_admin(&self) -> Option<bool> {
        let rules = self.rules?;
        let undecided = Subject::undecided(self.caller);
        Some(self.caller.always_admin || rules.allows(CONTEXT_IS_ADMIN, &undecided, &undecided))
    }
}

/// The target of a request. As upstream, it has the caller's own project and user, so a rule like
/// `project_id:%(project_id)s` admits every caller.
pub(super) struct Target<'a> {
    pub(super) caller: &'a Caller,
    /// The report, if the request is one.
    pub(super) claim: Option<&'a ReportContext<'a>>,
}

impl Attributes for Target<'_> {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        let caller_identity = self.caller.identity.as_ref();
        let value = match name {
            "project_id" => maybe(caller_identity.project_id.as_ref()),
            "user_id" => user(caller_identity),
            "user_name" => maybe(caller_identity.user_name.as_ref()),
            "hostname" => Value::String(self.claim?.hostname.to_owned()),
            "type" => Value::String(self.claim?.kind.as_str().to_owned()),
            "bound_host" => Value::String(self.claim?.bound_host.clone()?),
            _ => return None,
        };
        Some(Cow::Owned(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Policy;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn caller() -> Caller {
        let identity = Identity {
            user_id: "u1".to_owned(),
            user_domain_id: Some(text("ud")),
            project_id: Some(text("p1")),
            project_domain_id: Some(text("pd")),
            roles: vec!["member".to_owned()],
            is_admin_project: true,
            ..Identity::default()
        };
        let service = Identity {
            user_id: "nova".to_owned(),
            user_domain_id: Some(text("sud")),
            project_id: Some(text("sp")),
            project_domain_id: Some(text("spd")),
            roles: vec!["service".to_owned()],
            ..Identity::default()
        };
        Caller {
            identity: Arc::new(identity),
            service: Some(Arc::new(service)),
            certificate: None,
            always_admin: false,
        }
    }

    #[test]
    fn rules_can_use_every_attribute_of_a_caller() {
        let rule = "os_masakari_api:segments:index";
        let plain = caller();
        let alone = Caller {
            service: None,
            ..caller()
        };
        let mut system = caller();
        let identity = Identity {
            system_scope: Some(text("all")),
            domain_id: Some(text("d1")),
            project_id: None,
            ..Identity::clone(&system.identity)
        };
        system.identity = Arc::new(identity);
        let cases = [
            ("user_id:u1", &plain, true),
            ("user_domain_id:ud", &plain, true),
            ("project_id:p1", &plain, true),
            ("project_domain_id:pd", &plain, true),
            ("domain_id:None", &plain, true),
            ("domain_id:d1", &system, true),
            ("system_scope:None", &plain, true),
            ("system_scope:all", &system, true),
            ("system:all", &system, true),
            ("system:None", &plain, false),
            ("roles:member", &plain, true),
            ("is_admin:False", &plain, true),
            ("is_admin:True", &plain, false),
            ("is_admin_project:True", &plain, true),
            ("service_user_id:nova", &plain, true),
            ("service_user_domain_id:sud", &plain, true),
            ("service_project_id:sp", &plain, true),
            ("service_project_domain_id:spd", &plain, true),
            ("service_roles:service", &plain, true),
            ("service_roles:service", &alone, false),
            ("service_user_id:None", &alone, true),
            ("role:service", &plain, false),
            ("project_id:%(project_id)s and user_id:%(user_id)s", &plain, true),
            ("project_id:%(project_id)s", &system, true),
            ("user_id:%(target.user)s", &plain, false),
            ("password:None", &plain, false),
        ];
        for (check, caller, expected) in cases {
            let policy = Policy::with_text(&format!("{rule}: \"{check}\"")).unwrap();
            assert_eq!(policy.allows(rule, caller), expected, "{check}");
        }
    }

    #[test]
    fn any_attribute_can_define_the_administrator() {
        for (check, expected) in [
            ("user_id:u1", true),
            ("user_id:%(user_id)s", true),
            ("service_roles:service and role:member", true),
            ("is_admin:True", false),
            ("is_admin:False", false),
            ("rule:context_is_admin", false),
        ] {
            let policy = Policy::with_text(&format!("context_is_admin: \"{check}\"")).unwrap();
            assert_eq!(
                policy.allows("os_masakari_api:segments:index", &caller()),
                expected,
                "{check}"
            );
        }
    }
}
