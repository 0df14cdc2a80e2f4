//! Authentication by token, following keystonemiddleware.

use http::{HeaderMap, HeaderValue, Method};

use super::headers::header;
use super::identify::{Identifier, TokenRequirement};
use super::{Caller, Identity, TokenOptions};
use crate::error::ApiError;

/// Admits callers with a valid token.
pub(crate) struct TokenAuth {
    pub(crate) identifier: Identifier,
    pub(crate) options: TokenOptions,
    /// The value of `WWW-Authenticate`.
    pub(crate) challenge: HeaderValue,
}

impl TokenAuth {
    pub(super) async fn authenticate(
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
        // A service token identifies the service that forwards the request. If it is present, it must be valid.
        let mut accept = TokenRequirement::Valid;
        let mut service = None;
        if let Some(service_token) = header(headers, "x-service-token") {
            let identity = self
                .identifier
                .identify(service_token, TokenRequirement::Valid)
                .await?;
            let identity = identity.ok_or_else(refused)?;
            if self.is_service(&identity) {
                // The user's token may have expired while the service was busy.
                accept = TokenRequirement::ValidOrExpired;
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
        if !self.is_permitted(&identity, service.is_some(), method, path) {
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
        let accepted = &self.options.service_roles;
        identity.roles.iter().any(|role| accepted.contains(role))
    }

    /// True if the token's access rules, if it has any, permit the request.
    fn is_permitted(&self, identity: &Identity, by_service: bool, method: &Method, path: &str) -> bool {
        let Some(rules) = &identity.access_rules else {
            return true;
        };
        let Some(own) = &self.options.service_type else {
            tracing::warn!(
                "token with access rules refused; set service_type in [keystone_authtoken] (usually instance-ha)"
            );
            return false;
        };
        // With a service token, the service makes the request, and the user's rules were about a request to that service.
        by_service || rules.iter().any(|rule| rule.covers(own, method, path))
    }
}
