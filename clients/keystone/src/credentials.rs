//! Credentials for Keystone.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// A Keystone resource with an id, and a name that is unique within a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceRef {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The name.
        name: String,
        /// The domain of the name.
        domain: Option<Domain>,
    },
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// The scope of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project.
    Project(ResourceRef),
    /// A domain.
    Domain(Domain),
    /// The whole system.
    System,
    /// A trust, by its id.
    Trust(String),
    /// The user's default scope, chosen by Keystone.
    Default,
}

/// A reason why settings describe no single scope of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// Several scopes are set. keystoneauth refuses this too.
    #[error("a token has one scope, but it has {}; keep one of them", .0.join(" and "))]
    Several(Vec<&'static str>),
    /// The system scope is not the only one that exists.
    #[error("system_scope is not all")]
    System,
}

impl Scope {
    /// Returns the only scope that is set, or the user's default one.
    ///
    /// # Errors
    ///
    /// Several are set, or another system scope than `all`.
    pub fn only(
        project: Option<ResourceRef>,
        domain: Option<Domain>,
        trust: Option<String>,
        system: Option<&str>,
    ) -> Result<Self, ScopeError> {
        let system = match system {
            None => None,
            Some("all") => Some(Self::System),
            Some(_) => return Err(ScopeError::System),
        };
        let mut all: Vec<_> = [
            ("a project", project.map(Self::Project)),
            ("a domain", domain.map(Self::Domain)),
            ("trust_id", trust.map(Self::Trust)),
            ("system_scope", system),
        ]
        .into_iter()
        .filter_map(|(name, scope)| Some((name, scope?)))
        .collect();
        let scope = all.pop();
        if all.is_empty() {
            return Ok(scope.map_or(Self::Default, |(_, scope)| scope));
        }
        let names = all.into_iter().chain(scope).map(|(name, _)| name);
        Err(ScopeError::Several(names.collect()))
    }
}

/// Credentials for Keystone. `Debug` hides the secrets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user's password.
    Password {
        /// The user.
        user: ResourceRef,
        /// The password.
        password: SecretString,
        /// Scope of the token.
        scope: Scope,
    },
    /// An application credential, which includes its project.
    ApplicationCredential {
        /// The credential's id, or its name and user.
        credential: ApplicationCredential,
        /// The credential's secret.
        secret: SecretString,
    },
}

/// An application credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name, which is unique per user.
    Name {
        /// The name.
        name: String,
        /// The user.
        user: ResourceRef,
    },
}

impl Credentials {
    pub(crate) fn secret(&self) -> &str {
        match self {
            Self::Password { password, .. } => password.expose_secret(),
            Self::ApplicationCredential { secret, .. } => secret.expose_secret(),
        }
    }

    /// Builds the body of the token request. It contains the secret.
    pub fn body(&self) -> Value {
        match self {
            Self::Password {
                user,
                password,
                scope,
            } => {
                let mut user = user.body();
                user["password"] = json!(password.expose_secret());
                let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
                match scope {
                    Scope::Project(project) => auth["scope"] = json!({"project": project.body()}),
                    Scope::Domain(domain) => auth["scope"] = json!({"domain": domain.body()}),
                    Scope::System => auth["scope"] = json!({"system": {"all": true}}),
                    Scope::Trust(id) => auth["scope"] = json!({"OS-TRUST:trust": {"id": id}}),
                    Scope::Default => {}
                }
                json!({"auth": auth})
            }
            Self::ApplicationCredential { credential, secret } => {
                let mut credential = match credential {
                    ApplicationCredential::Id(id) => json!({"id": id}),
                    ApplicationCredential::Name { name, user } => json!({"name": name, "user": user.body()}),
                };
                credential["secret"] = json!(secret.expose_secret());
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": credential,
                }}})
            }
        }
    }
}

impl ResourceRef {
    /// Creates a reference by name; the name may be unique in its domain only.
    pub fn name(name: impl Into<String>, domain: Option<Domain>) -> Self {
        Self::Name {
            name: name.into(),
            domain,
        }
    }

    /// Builds the JSON form. It omits the domain beside an id: some Keystone releases refuse it there, others ignore
    /// it.
    fn body(&self) -> Value {
        match self {
            Self::Id(id) => json!({"id": id}),
            Self::Name { name, domain: None } => json!({"name": name}),
            Self::Name {
                name,
                domain: Some(domain),
            } => json!({"name": name, "domain": domain.body()}),
        }
    }
}

impl Domain {
    fn body(&self) -> Value {
        match self {
            Self::Id(id) => json!({"id": id}),
            Self::Name(name) => json!({"name": name}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_scope() {
        let project = || Some(ResourceRef::Id("p".to_owned()));
        let domain = || Some(Domain::Id("d".to_owned()));
        let text = |scope: Result<Scope, ScopeError>| scope.unwrap_err().to_string();
        assert_eq!(Scope::only(None, None, None, None), Ok(Scope::Default));
        assert_eq!(Scope::only(None, None, None, Some("all")), Ok(Scope::System));
        assert!(matches!(
            Scope::only(project(), None, None, None),
            Ok(Scope::Project(_))
        ));
        assert!(text(Scope::only(project(), domain(), None, None)).contains("a project and a domain"));
        assert!(text(Scope::only(project(), None, None, Some("all"))).contains("a project and system_scope"));
        assert!(
            text(Scope::only(None, domain(), Some("t".to_owned()), None)).contains("a domain and trust_id")
        );
        assert_eq!(
            Scope::only(None, None, None, Some("some")),
            Err(ScopeError::System)
        );
    }

    #[test]
    fn each_kind_of_credentials_has_its_body_and_shows_no_secret() {
        let password = |user, scope| Credentials::Password {
            user,
            password: "pa55-in-debug".into(),
            scope,
        };
        let application = |credential| Credentials::ApplicationCredential {
            credential,
            secret: "pa55-in-debug".into(),
        };
        let id = |id: &str| ResourceRef::Id(id.to_owned());
        let default = || Some(Domain::Id("default".to_owned()));
        let default_by_name = || Some(Domain::Name("Default".to_owned()));
        let cases = [
            (
                password(
                    ResourceRef::name("tachi", default()),
                    Scope::Project(ResourceRef::name("service", default_by_name())),
                ),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user":
                        {"name": "tachi", "domain": {"id": "default"}, "password": "pa55-in-debug"}}},
                    "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
                }}),
            ),
            (
                password(id("u1"), Scope::Project(id("p1"))),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": "u1", "password": "pa55-in-debug"}}},
                    "scope": {"project": {"id": "p1"}},
                }}),
            ),
            (
                password(id("u1"), Scope::System),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": "u1", "password": "pa55-in-debug"}}},
                    "scope": {"system": {"all": true}},
                }}),
            ),
            (
                password(id("u1"), Scope::Trust("t1".to_owned())),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": "u1", "password": "pa55-in-debug"}}},
                    "scope": {"OS-TRUST:trust": {"id": "t1"}},
                }}),
            ),
            (
                password(ResourceRef::name("u", None), Scope::Default),
                json!({"auth": {"identity": {"methods": ["password"],
                    "password": {"user": {"name": "u", "password": "pa55-in-debug"}}}}}),
            ),
            (
                application(ApplicationCredential::Id("a1".to_owned())),
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": {"id": "a1", "secret": "pa55-in-debug"},
                }}}),
            ),
            (
                application(ApplicationCredential::Name {
                    name: "ha".to_owned(),
                    user: ResourceRef::name("tachi", default_by_name()),
                }),
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": {"name": "ha", "secret": "pa55-in-debug",
                        "user": {"name": "tachi", "domain": {"name": "Default"}}},
                }}}),
            ),
        ];
        for (credentials, expected) in cases {
            assert_eq!(credentials.body(), expected);
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("pa55-in-debug"), "{shown}");
        }
    }
}
