//! Errors for API callers, and their conversion into responses.

mod from_registry;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::CallError;
use tachi_operator::not_found;

use crate::microversion::Microversion;
use crate::ports::Unavailable;

pub(crate) use from_registry::{ErrorScope, Verb, marker_not_found, no_host_in, no_segment};

/// `Retry-After` of an answer about an unavailable service, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// A reason why a request failed. `Display` is the text for the caller; sources appear in the log only.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{message}")]
    BadRequest { message: String },

    #[error("The request you have made requires authentication.")]
    Unauthenticated { challenge: HeaderValue },

    #[error("Policy doesn't allow {rule} to be performed.")]
    Forbidden { rule: &'static str },

    #[error("{message}")]
    ForbiddenByNova { message: String },

    #[error("{message}")]
    NotYours { message: String },

    #[error("{message}")]
    NotFound {
        message: String,
        /// The missing object, for clients of `/operator/v1`. Masakari's routes have none.
        reason: Option<&'static str>,
    },

    #[error("The request method: '{method}' with action: '{action}' is not allowed on this resource")]
    MethodNotAllowed {
        method: http::Method,
        action: &'static str,
    },

    #[error(
        "Version {requested} is not supported by the API. Minimum is {} and maximum is {}.",
        Microversion::MIN,
        Microversion::MAX
    )]
    VersionNotSupported { requested: String },

    #[error("The request's body did not arrive in time.")]
    BodyTimeout,

    #[error("{message}")]
    Conflict { message: String },

    #[error("Request is too large. Larger than max_request_body_size ({limit}).")]
    TooLarge { limit: usize },

    #[error("The request's first line is too long. Longer than max_header_line ({limit}).")]
    TargetTooLong { limit: usize },

    #[error("The request's header {name} is too long. Longer than max_header_line ({limit}).")]
    HeaderTooLong { name: HeaderName, limit: usize },

    #[error("Too many notifications for one segment; try again in {seconds} s.")]
    TooMany { seconds: u64 },

    #[error("Unsupported Content-Type")]
    UnsupportedMediaType,

    #[error("{service} is temporarily unavailable; try again later.")]
    Unavailable {
        service: &'static str,
        #[source]
        source: Source,
    },

    #[error(
        "The database denies this to the API's own user, so nothing was changed. If API and engine have separate \
         database users, run the command on a controller, without --os-cloud and OS_CLOUD."
    )]
    Denied {
        #[source]
        source: Source,
    },

    #[error(
        "Unexpected API error. The API's log has the cause under this response's x-openstack-request-id."
    )]
    Internal {
        #[source]
        source: Source,
    },
}

/// An internal error: a state that only a bug in this program can cause.
#[derive(Debug, thiserror::Error)]
#[error("bug: {0}")]
pub(crate) struct Bug(pub(crate) &'static str);

impl From<Bug> for ApiError {
    fn from(bug: Bug) -> Self {
        Self::Internal {
            source: Box::new(bug),
        }
    }
}

/// The error is shared: all concurrent callers that use one token get the same answer.
impl From<std::sync::Arc<Unavailable>> for ApiError {
    fn from(error: std::sync::Arc<Unavailable>) -> Self {
        Self::Unavailable {
            service: "Keystone",
            source: Box::new(error),
        }
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        if error.fault.status == Some(403) {
            return Self::ForbiddenByNova {
                message: error.fault.text,
            };
        }
        match error.fault.class {
            FaultClass::Transient => Self::Unavailable {
                service: "Nova",
                source: Box::new(error),
            },
            FaultClass::Permanent | FaultClass::Conflict | FaultClass::Fatal => Self::Internal {
                source: Box::new(error),
            },
        }
    }
}

impl ApiError {
    /// 429 with this time to wait.
    pub(crate) fn too_many(wait: std::time::Duration) -> Self {
        Self::TooMany {
            seconds: wait.as_secs().saturating_add(1),
        }
    }

    /// 400 with this text.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest {
            message: message.into(),
        }
    }

    /// 400 in Masakari's form for invalid query parameters.
    pub(crate) fn invalid_input(reason: &str) -> Self {
        Self::bad_request(format!("Invalid input received: {reason}"))
    }

    /// 404 with this text.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound {
            message: message.into(),
            reason: None,
        }
    }

    /// 404 of `/operator/v1` for a name or id that no object has.
    pub(crate) fn unknown_name(message: impl Into<String>) -> Self {
        Self::NotFound {
            message: message.into(),
            reason: Some(not_found::UNKNOWN_NAME),
        }
    }

    /// 404 of `/operator/v1` for a host about which nothing is stored.
    pub(crate) fn no_records(host: &str) -> Self {
        Self::NotFound {
            message: format!("Nothing is stored about a host {host}."),
            reason: Some(not_found::NO_RECORDS),
        }
    }

    /// 404 for a path without a route or object.
    pub(crate) fn no_resource() -> Self {
        Self::not_found("The resource could not be found.")
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } | Self::ForbiddenByNova { .. } | Self::NotYours { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::VersionNotSupported { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeaderTooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable { .. } | Self::Denied { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the only root key of the body.
    fn fault_name(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "badRequest",
            // In OpenStack, Keystone's middleware sends these answers, in its own format.
            Self::Unauthenticated { .. } => "error",
            Self::Forbidden { .. } | Self::ForbiddenByNova { .. } | Self::NotYours { .. } => "forbidden",
            Self::NotFound { .. } => "itemNotFound",
            Self::MethodNotAllowed { .. } => "badMethod",
            Self::Conflict { .. } => "conflictingRequest",
            Self::TooLarge { .. } | Self::TooMany { .. } => "overLimit",
            Self::UnsupportedMediaType => "badMediaType",
            Self::Unavailable { .. } | Self::Denied { .. } => "serviceUnavailable",
            Self::VersionNotSupported { .. }
            | Self::BodyTimeout
            | Self::TargetTooLong { .. }
            | Self::HeaderTooLong { .. }
            | Self::Internal { .. } => "masakariFault",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), error = %Chain(&self), "request failed");
        }
        let mut fault = Map::new();
        fault.insert("code".to_owned(), json!(status.as_u16()));
        if matches!(self, Self::Unauthenticated { .. }) {
            fault.insert("title".to_owned(), json!("Unauthorized"));
        }
        fault.insert("message".to_owned(), Value::String(self.to_string()));
        if let Self::NotFound {
            reason: Some(reason), ..
        } = self
        {
            fault.insert("reason".to_owned(), json!(reason));
        }
        if matches!(self, Self::VersionNotSupported { .. }) {
            fault.insert("min_version".to_owned(), json!(Microversion::MIN.to_string()));
            fault.insert("max_version".to_owned(), json!(Microversion::MAX.to_string()));
        }
        let body = json!({ self.fault_name(): fault }).to_string();
        let content_type = if matches!(self, Self::Unauthenticated { .. }) {
            "application/json"
        } else {
            "application/json; charset=UTF-8"
        };
        let mut response = (status, [(CONTENT_TYPE, content_type)], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if let Self::TooMany { seconds } = &self {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if let Self::Unauthenticated { challenge } = self {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An error with all its sources, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self.0, f)?;
        let mut below = self.0.source();
        while let Some(error) = below {
            write!(f, ": {error}")?;
            below = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::fault::Fault;

    use super::*;

    fn call(class: FaultClass, status: Option<u16>) -> ApiError {
        let fault = Fault {
            class,
            status,
            maybe_done: false,
            text: "nova refused".to_owned(),
        };
        ApiError::from(CallError { fault, source: None })
    }

    #[test]
    fn failures_of_nova_have_their_status() {
        let cases = [
            ("connection", call(FaultClass::Transient, None), 503),
            ("gateway", call(FaultClass::Transient, Some(502)), 503),
            ("forbidden", call(FaultClass::Permanent, Some(403)), 403),
            ("wrong credentials", call(FaultClass::Fatal, Some(401)), 500),
            ("bad request", call(FaultClass::Permanent, Some(400)), 500),
        ];
        for (name, error, status) in cases {
            assert_eq!(error.status().as_u16(), status, "{name}");
        }
    }

    #[test]
    fn log_has_the_whole_chain_and_the_caller_does_not() {
        let error = ApiError::Internal {
            source: Box::new(Bug("a broken row")),
        };
        assert!(Chain(&error).to_string().ends_with(": bug: a broken row"));
        assert!(!error.to_string().contains("a broken row"));
    }
}
