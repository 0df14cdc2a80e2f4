//! What Keystone knows of a caller.

use std::sync::Arc;

use tachi_domain::{Reporter, Timestamp};

use super::AccessRule;

/// The identity behind a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: String,
    /// The user's name.
    pub user_name: Option<String>,
    /// The user's domain.
    pub user_domain_id: Option<String>,
    /// The project the token is for; `None` if it is for a domain, the system or nothing.
    pub project_id: Option<String>,
    /// The project's domain.
    pub project_domain_id: Option<String>,
    /// The domain the token is for.
    pub domain_id: Option<String>,
    /// `all` if the token is for the system.
    pub system_scope: Option<String>,
    /// Names of the roles held there.
    pub roles: Vec<String>,
    /// Keystone's `is_admin_project`.
    pub is_admin_project: bool,
    /// Whether the token is for the project of our own user.
    pub is_service_project: bool,
    /// The name of the application credential that the token was got with.
    pub application_credential: Option<String>,
    /// What the token is good for, if its application credential says so; none at all is good for nothing.
    pub access_rules: Option<Vec<AccessRule>>,
    /// When the token ends, if known. Nothing is remembered of it after that.
    pub expires_at: Option<Timestamp>,
}

/// Whoever makes a request, after authentication.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) identity: Arc<Identity>,
    /// The service that passes the request on for it.
    pub(crate) service: Option<Arc<Identity>>,
    /// The name in the certificate of its connection.
    pub(crate) certificate: Option<String>,
    /// Whether nothing was checked (`noauth2`).
    pub(crate) always_admin: bool,
}

impl Caller {
    /// As it is kept with what it reports.
    pub(crate) fn reporter(&self) -> Reporter {
        let who = self.identity.as_ref();
        Reporter {
            user_id: who.user_id.clone(),
            user_name: who.user_name.clone(),
            application_credential: who.application_credential.clone(),
            certificate: self.certificate.clone(),
            project_id: who.project_id.clone(),
            roles: who.roles.clone(),
            host: None,
            control: false,
            unheard: None,
            set_aside: false,
        }
    }
}
