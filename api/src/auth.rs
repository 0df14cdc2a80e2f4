//! Who the caller is. In Keystone's mode only Keystone says so; identity headers of a request are taken away unread.

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

use crate::app::App;
use crate::error::ApiError;
use crate::peer::CertificateName;
use headers::header;

pub use access_rules::AccessRule;
pub use cache::CacheOptions;
pub(crate) use identify::Identifier;
pub(crate) use identity::Caller;
pub use identity::Identity;
pub(crate) use keystone::KeystoneGate;
pub use options::TokenOptions;

/// Lets callers in.
pub(crate) enum Gatekeeper {
    /// By token.
    Keystone(Box<KeystoneGate>),
    /// Everybody, as administrator.
    Noauth2,
}

/// What a caller says about itself, for `noauth2` only.
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

/// In the extensions of an answer to somebody whom Keystone knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known;

/// The layer: the request goes on with a [`Caller`], or not at all.
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut caller = match &app.gatekeeper {
        Gatekeeper::Keystone(gate) => {
            headers::strip(request.headers_mut());
            // Access rules are about the path as it was sent, before a project or a base path was taken out.
            let original = request.extensions().get::<OriginalUri>();
            let path = original.map_or(request.uri(), |OriginalUri(uri)| uri).path();
            gate.admit(request.headers(), request.method(), path).await?
        }
        Gatekeeper::Noauth2 => Caller {
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
    response.extensions_mut().insert(Known);
    Ok(response)
}
