//! Errors, classified for retries.

use std::time::Duration;

/// The consequence of a failure for retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// No answer, or none from a working service: other requests would fail now, too.
    Unreachable,
    /// Refused: wrong credentials, a missing role, or a service that is not in the catalogue.
    Barred,
    /// The API asked to retry later.
    Busy,
    /// The API failed on this request; others may succeed.
    Broken,
    /// The API rejects the request: the host is not known (yet), or the request is invalid. The two look the same.
    Rejected,
}

impl Class {
    /// Returns the name for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "away",
            Self::Barred => "barred",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Rejected => "rejected",
        }
    }
}

/// The service that a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The login at Keystone failed, so the API received no request.
    Keystone,
    /// The API, or its address in the catalogue.
    Api,
}

/// A failed call. Its text fits on one line and contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallFailure {
    /// The classification.
    pub class: Class,
    /// The request and the failure.
    pub text: String,
    /// The retry delay that the API asked for.
    pub retry_after: Option<Duration>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The service that failed.
    pub service: Service,
    /// The service's message or the connection's error: the text without the request.
    pub detail: String,
    /// The API's `reason` for a 404 of `/operator/v1`: without it, the API does not know the path.
    pub reason: Option<String>,
}

impl CallFailure {
    /// Returns a failure of the API without an answer.
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            class,
            detail: text.clone(),
            text,
            retry_after: None,
            status: None,
            service: Service::Api,
            reason: None,
        }
    }

    /// Returns a failure of the request `line`.
    pub(crate) fn of(class: Class, line: &str, detail: String) -> Self {
        let text = format!("{line}: {detail}");
        Self {
            detail,
            ..Self::new(class, text)
        }
    }
}
