//! Authentication of callers. In Keystone mode only Keystone determines identities, and identity headers of requests are
//! removed unread.

mod access_rules;
mod cache;
mod headers;
mod identify;
mod identity;
mod keystone;
mod options;

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;

use crate::error::ApiError;
use crate::peer::CertificateName;
use crate::state::ApiState;
use headers::header;

pub use access_rules::AccessRule;
pub use cache::CacheOptions;
pub(crate) use identify::Identifier;
pub(crate) use identity::Caller;
pub use identity::Identity;
pub(crate) use keystone::TokenAuth;
pub use options::TokenOptions;

/// The method of authentication.
pub(crate) enum AuthBackend {
    /// A token, validated by Keystone.
    Keystone(Box<TokenAuth>),
    /// No authentication: every caller is an administrator.
    Noauth2,
}

/// Returns the identity in the request's headers. Only `noauth2` trusts these.
fn claimed_identity(headers: &HeaderMap) -> Identity {
    let text = |name| header(headers, name).map(ToOwned::to_owned);
    Identity {
        user_id: text("x-user-id").unwrap_or_default(),
        project_id: text("x-project-id"),
        roles: header(headers, "x-roles")
            .map(|roles| roles.split(',').map(|role| role.trim().to_owned()).collect())
            .unwrap_or_default(),
        is_admin_project: true,
        ..Identity::default()
    }
}

/// Marks an answer to an authenticated caller, in the extensions of the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthenticatedCaller;

/// The middleware: adds a [`Caller`] to the request, or refuses the request.
pub(crate) async fn authenticate(
    State(app): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut caller = match &app.gatekeeper {
        AuthBackend::Keystone(keystone) => {
            headers::strip(request.headers_mut());
            // Access rules apply to the path as sent, before a project id or a base path is removed.
            let original = request.extensions().get::<OriginalUri>();
            let path = original.map_or(request.uri(), |OriginalUri(uri)| uri).path();
            keystone
                .authenticate(request.headers(), request.method(), path)
                .await?
        }
        AuthBackend::Noauth2 => Caller {
            identity: Arc::new(claimed_identity(request.headers())),
            service: None,
            certificate: None,
            always_admin: true,
        },
    };
    let certificate = request.extensions().get::<CertificateName>();
    caller.certificate = certificate.map(|name| name.0.clone());
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(AuthenticatedCaller);
    Ok(response)
}
