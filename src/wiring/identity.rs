//! The API's ports on Keystone and Nova.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_api::{AccessRule, ComputeHosts, Identity, Login, LoginWith, TokenValidator, Unavailable};
use tachi_engine::ports::CallError;
use tachi_keystone::{ApplicationCredential, Credentials, Domain, ResourceRef, Scope};
use tachi_openstack::{Nova, Session, TokenInfo};

/// Pause before the first retry of a failed connection; it doubles with each further retry.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Validator of tokens by Keystone.
pub(crate) struct Validator {
    session: Session,
    /// `http_request_max_retries`.
    retries: u32,
    /// The project of our own user; unknown if that has an application credential.
    own: Option<ResourceRef>,
}

impl Validator {
    pub(crate) fn new(session: Session, credentials: &Credentials, retries: u32) -> Self {
        let own = if let Credentials::Password {
            scope: Scope::Project(project),
            ..
        } = credentials
        {
            Some(project.clone())
        } else {
            None
        };
        Self {
            session,
            retries,
            own,
        }
    }

    /// Retries if no connection could be made; any answer counts.
    async fn ask(&self, token: &str, also_ended: bool) -> Result<Option<Identity>, Unavailable> {
        let mut pause = FIRST_PAUSE;
        let mut left = self.retries;
        loop {
            let answer = if also_ended {
                self.session.validate_expired_token(token).await
            } else {
                self.session.validate_token(token).await
            };
            match answer {
                Ok(info) => return Ok(info.map(|info| identity(info, self.own.as_ref()))),
                Err(error) if left > 0 && could_not_connect(&error) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    left -= 1;
                }
                Err(error) => {
                    return Err(Unavailable {
                        source: Box::new(error),
                    });
                }
            }
        }
    }
}

fn could_not_connect(error: &CallError) -> bool {
    let source = error.source.as_deref();
    source
        .and_then(|source| source.downcast_ref::<reqwest::Error>())
        .is_some_and(reqwest::Error::is_connect)
}

/// True if the token is for this project. A name proves this only together with its domain's: the owner of any domain can create
/// projects of any name there.
fn is_for(info: &TokenInfo, own: &ResourceRef) -> bool {
    let Some(project) = &info.project else {
        return false;
    };
    match (own, &info.project_domain) {
        (ResourceRef::Id(id), _) => *id == project.id,
        (
            ResourceRef::Name {
                name,
                domain: Some(expected),
            },
            Some(found),
        ) => {
            let same_domain = match expected {
                Domain::Id(id) => *id == found.id,
                Domain::Name(name) => *name == found.name,
            };
            same_domain && *name == project.name
        }
        _ => false,
    }
}

fn identity(info: TokenInfo, own: Option<&ResourceRef>) -> Identity {
    let is_service_project = own.is_some_and(|own| is_for(&info, own));
    let access_rules = info.access_rules.map(|rules| {
        let rules = rules.into_iter().map(|rule| AccessRule {
            service: rule.service,
            method: rule.method,
            path: rule.path,
        });
        rules.collect()
    });
    Identity {
        user_id: info.user.id,
        user_name: Some(info.user.name),
        user_domain_id: Some(info.user_domain.id),
        project_id: info.project.map(|project| project.id),
        project_domain_id: info.project_domain.map(|domain| domain.id),
        domain_id: info.domain.map(|domain| domain.id),
        system_scope: info.system_scope,
        roles: info.roles,
        is_admin_project: info.is_admin_project,
        is_service_project,
        application_credential: info.application_credential,
        access_rules,
        expires_at: Some(info.expires_at),
    }
}

#[async_trait]
impl TokenValidator for Validator {
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.ask(token, false).await
    }

    async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.ask(token, true).await
    }
}

#[async_trait]
impl Login for Validator {
    async fn log_in(&self, with: LoginWith) -> Result<Option<String>, Unavailable> {
        let credentials = match with {
            LoginWith::Password {
                user,
                user_domain,
                password,
                project,
                project_domain,
            } => Credentials::Password {
                user: ResourceRef::name(user, Some(Domain::Name(user_domain))),
                password: password.into(),
                scope: Scope::Project(ResourceRef::name(project, Some(Domain::Name(project_domain)))),
            },
            LoginWith::ApplicationCredential { id, secret } => Credentials::ApplicationCredential {
                credential: ApplicationCredential::Id(id),
                secret: secret.into(),
            },
        };
        let answer = self.session.log_in(&credentials).await;
        answer.map_err(|error| Unavailable {
            source: Box::new(error),
        })
    }
}

/// Lookup of hosts in Nova.
pub(crate) struct Hosts {
    nova: Arc<Nova>,
}

impl Hosts {
    pub(crate) fn new(nova: Arc<Nova>) -> Self {
        Self { nova }
    }
}

#[async_trait]
impl ComputeHosts for Hosts {
    async fn exists(&self, name: &str) -> Result<bool, CallError> {
        self.nova.compute_host_exists(name).await
    }
}
