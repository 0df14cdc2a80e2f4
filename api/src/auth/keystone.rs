//! The way in by token, as keystonemiddleware decides it.

use http::{HeaderMap, HeaderValue, Method};

use super::headers::header;
use super::identify::{Accept, Identifier};
use super::{Caller, Identity, TokenOptions};
use crate::error::ApiError;

/// Lets in whoever has a token.
pub(crate) struct KeystoneGate {
    pub(crate) identifier: Identifier,
    pub(crate) options: TokenOptions,
    /// The value of `WWW-Authenticate`.
    pub(crate) challenge: HeaderValue,
}

impl KeystoneGate {
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        method: &Method,
        path: &str,
    ) -> Result<Caller, ApiError> {
        let refused = || ApiError::Unauthenticated {
            challenge: self.challenge.clone(),
        };
        let token = header(headers, "x-auth-token")
            .or_else(|| header(headers, "x-storage-token"))
            .ok_or_else(refused)?;
        // A second token says which service passes the request on. It must be good if it is there at all.
        let mut accept = Accept::Good;
        let mut service = None;
        if let Some(service_token) = header(headers, "x-service-token") {
            let identity = self.identifier.identify(service_token, Accept::Good).await?;
            let identity = identity.ok_or_else(refused)?;
            if self.is_service(&identity) {
                // The user's token may have ended while the service was busy.
                accept = Accept::Ended;
            } else if self.options.service_roles_required {
                return Err(refused());
            }
            service = Some(identity);
        }
        let identity = self
            .identifier
            .identify(token, accept)
            .await?
            .ok_or_else(refused)?;
        if !self.may_be_used(&identity, service.is_some(), method, path) {
            return Err(refused());
        }
        Ok(Caller {
            identity,
            service,
            certificate: None,
            always_admin: false,
        })
    }

    fn is_service(&self, identity: &Identity) -> bool {
        let wanted = &self.options.service_roles;
        identity.roles.iter().any(|role| wanted.contains(role))
    }

    /// Whether the token's access rules, if it has any, cover the request.
    fn may_be_used(&self, identity: &Identity, by_service: bool, method: &Method, path: &str) -> bool {
        let Some(rules) = &identity.access_rules else {
            return true;
        };
        let Some(own) = &self.options.service_type else {
            tracing::warn!(
                "a token with access rules was refused: set service_type in [keystone_authtoken] (usually instance-ha)"
            );
            return false;
        };
        // With a service token the request is the service's, and the user asked for something else.
        by_service || rules.iter().any(|rule| rule.covers(own, method, path))
    }
}
