//! The API's ports on Keystone and Nova.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_api::{ComputeHosts, Identity, TokenValidator, Unavailable};
use tachi_engine::ports::CallError;
use tachi_openstack::{Nova, Session};

/// Asks Keystone.
pub(crate) struct Validator {
    session: Session,
}

impl Validator {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl TokenValidator for Validator {
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let info = self
            .session
            .validate_token(token)
            .await
            .map_err(|error| Unavailable {
                source: Box::new(error),
            })?;
        Ok(info.map(|info| Identity {
            user_id: info.user.id,
            user_name: Some(info.user.name),
            user_domain_id: Some(info.user_domain.id),
            project_id: info.project.map(|project| project.id),
            project_domain_id: info.project_domain.map(|domain| domain.id),
            domain_id: info.domain.map(|domain| domain.id),
            system_scope: info.system_scope,
            roles: info.roles,
            is_admin_project: info.is_admin_project,
            expires_at: Some(info.expires_at),
        }))
    }
}

/// Asks Nova.
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
