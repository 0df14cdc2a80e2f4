//! Extraction of authorized requests: a handler's input that has passed every check up to its policy rule.
//!
//! A handler that needs the body, the microversion or the caller takes an [`AuthorisedRequest`]. No handler can then forget a
//! check, and the order of the checks is defined in one place.

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access_log;
use crate::auth::Caller;
use crate::error::{ApiError, Bug};
use crate::limits::{MALFORMED, read_body};
use crate::microversion::Microversion;
use crate::path::PathPrefix;
use crate::policy::{ReportContext, Rule};
use crate::request_events::RequestEvents;
use crate::state::ApiState;
use crate::types::Problems;

/// A request body that a handler accepts.
pub(crate) trait FromBody: Sized {
    /// Parses the body by the schema of this microversion. An empty body arrives as null.
    fn from_body(body: &Value, version: Microversion) -> Result<Self, Problems>;

    /// Returns the subject of the report if the body is a report. The policy has rules about reports.
    fn claim(&self) -> Option<ReportContext<'_>> {
        None
    }
}

/// For requests whose body is ignored.
impl FromBody for () {
    fn from_body(_: &Value, _: Microversion) -> Result<Self, Problems> {
        Ok(())
    }
}

/// An authorized request.
#[derive(Debug)]
pub(crate) struct AuthorisedRequest<B = ()> {
    pub(crate) caller: Caller,
    /// The microversion for the answer.
    pub(crate) version: Microversion,
    pub(crate) body: B,
    pub(crate) headers: HeaderMap,
    /// Emits the request's events; `None` if events are disabled or the request changes nothing.
    pub(crate) events: Option<RequestEvents>,
}

impl<B: FromBody> FromRequest<ApiState> for AuthorisedRequest<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let caller: Caller = extension(&parts)?;
        let version: Microversion = extension(&parts)?;
        let rule: Option<Rule> = extension(&parts)?;
        let json = if parts.method == Method::POST || parts.method == Method::PUT {
            parse(&read_body(app, body).await?)?
        } else {
            Value::Null
        };
        check_project(&parts, &caller)?;
        let body = B::from_body(&json, version)?;
        if let Some(Rule(rule)) = rule {
            let refusing = match body.claim() {
                Some(mut claim) => {
                    claim.bound_host = app.binding.options.host_of(&caller.reporter());
                    app.policy.refuses(&claim, rule, &caller)
                }
                None => (!app.policy.allows(rule, &caller)).then_some(rule),
            };
            if let Some(rule) = refusing {
                return Err(ApiError::Forbidden { rule });
            }
        }
        let events = if parts.method == Method::GET || parts.method == Method::HEAD {
            None
        } else {
            let ids = access_log::request_ids(&parts.extensions).unwrap_or_default();
            RequestEvents::of(app, &caller, &ids)
        };
        Ok(Self {
            caller,
            version,
            body,
            headers: parts.headers,
            events,
        })
    }
}

fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, ApiError> {
    let found = parts.extensions.get().cloned();
    found.ok_or_else(|| Bug("a route without its layers").into())
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|_| ApiError::bad_request(MALFORMED))
}

fn check_project(parts: &Parts, caller: &Caller) -> Result<(), ApiError> {
    let place: PathPrefix = extension(parts)?;
    let Some(url) = place.project else {
        return Ok(());
    };
    let own = caller.identity.project_id.as_deref();
    if own == Some(url.as_str()) {
        return Ok(());
    }
    let own = own.unwrap_or("None");
    Err(ApiError::bad_request(format!(
        "Malformed request URL: URL's project_id '{url}' doesn't match Context's project_id '{own}'"
    )))
}

/// The ids in the path, as sent. A path that is not valid text matches no entity.
#[derive(Debug)]
pub(crate) struct Ids<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<ApiState> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(ApiError::no_resource()),
        }
    }
}

/// The extensions of a request, needed to build links.
#[derive(Debug)]
pub(crate) struct RequestExtensions(pub(crate) http::Extensions);

impl FromRequestParts<ApiState> for RequestExtensions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.clone()))
    }
}

pub(crate) type Answer = Result<Response, ApiError>;
