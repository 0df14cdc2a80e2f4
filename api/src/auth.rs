//! Who the caller is. In Keystone's mode only Keystone says so; identity headers of a request are never looked at.

mod cache;
mod identity;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use tachi_engine::ports::Clock;

use crate::app::App;
use crate::error::ApiError;
use crate::metrics;
use crate::ports::TokenValidator;
pub(crate) use cache::TokenCache;

pub use cache::CacheOptions;
pub(crate) use identity::Caller;
pub use identity::Identity;

/// Lets callers in.
pub(crate) enum Gatekeeper {
    /// By token.
    Keystone {
        validator: Arc<dyn TokenValidator>,
        cache: Box<TokenCache>,
        clock: Arc<dyn Clock>,
        challenge: HeaderValue,
    },
    /// Everybody, as administrator.
    Noauth2,
}

impl Gatekeeper {
    async fn admit(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match self {
            Self::Keystone { challenge, .. } => {
                let refused = || ApiError::Unauthenticated {
                    challenge: challenge.clone(),
                };
                let token = header(headers, "x-auth-token").ok_or_else(refused)?;
                let identity = self.identify(token).await?.ok_or_else(refused)?;
                // A second token says which service passes the request on. It must be good if it is there at all.
                if let Some(service_token) = header(headers, "x-service-token") {
                    self.identify(service_token).await?.ok_or_else(refused)?;
                }
                Ok(Caller {
                    identity,
                    always_admin: false,
                })
            }
            Self::Noauth2 => Ok(Caller {
                identity: Arc::new(claimed_identity(headers)),
                always_admin: true,
            }),
        }
    }

    async fn identify(&self, token: &str) -> Result<Option<Arc<Identity>>, ApiError> {
        let Self::Keystone {
            validator,
            cache,
            clock,
            ..
        } = self
        else {
            return Ok(None);
        };
        let known = cache.get(token, clock.boot());
        metrics::cache_asked(known.is_some());
        if let Some(known) = known {
            return Ok(known);
        }
        let identity = validator.validate(token).await?.map(Arc::new);
        cache.put(token, identity.clone(), clock.boot(), clock.wall());
        Ok(identity)
    }
}

/// A header's value; `None` if it is missing, empty or no text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
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
        ..Identity::default()
    }
}

/// The layer: the request goes on with a [`Caller`], or not at all.
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = app.gatekeeper.admit(request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}
