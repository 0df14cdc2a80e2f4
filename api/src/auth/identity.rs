//! Identities of callers, as reported by Keystone.

use std::sync::Arc;

use tachi_domain::{Reporter, Timestamp};

use super::AccessRule;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub user_id: String,
    pub user_name: Option<String>,
    pub user_domain_id: Option<String>,
    /// The id of the token's project; `None` if the token is scoped to a domain or the system, or unscoped.
    pub project_id: Option<String>,
    pub project_domain_id: Option<String>,
    /// The id of the token's domain, if it is scoped to a domain.
    pub domain_id: Option<String>,
    /// `all` if the token is scoped to the system.
    pub system_scope: Option<String>,
    /// Names of the roles in the token's scope.
    pub roles: Vec<String>,
    /// Keystone's `is_admin_project`.
    pub is_admin_project: bool,
    /// True if the token's project is the project of Tachi's own Keystone user.
    pub is_service_project: bool,
    /// The name of the application credential that the token was issued for.
    pub application_credential: Option<String>,
    /// The access rules of the application credential; `None` if it has none. An empty list permits no request.
    pub access_rules: Option<Vec<AccessRule>>,
    /// The expiry of the token, if known. The cache keeps nothing about the token after that.
    pub expires_at: Option<Timestamp>,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The identity of the user.
    pub(crate) identity: Arc<Identity>,
    /// The identity of the service that forwards the user's request.
    pub(crate) service: Option<Arc<Identity>>,
    /// The name in the client certificate of the connection.
    pub(crate) certificate: Option<String>,
    /// True if nothing was checked (`noauth2`).
    pub(crate) always_admin: bool,
}

impl Caller {
    /// Returns the caller as stored with its reports.
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
            discarded_status: None,
            muted: false,
        }
    }
}
