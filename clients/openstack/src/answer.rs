//! Successful responses.

use serde::de::DeserializeOwned;
use tachi_domain::Timestamp;
use tachi_engine::ports::CallError;

use crate::fault;

/// A 2xx response with its body.
pub(crate) struct Answer {
    /// The request, for error texts.
    pub(crate) line: String,
    /// The status.
    pub(crate) status: u16,
    /// The `Date` header.
    pub(crate) date: Option<Timestamp>,
    /// The body; empty after a call whose caller does not need it.
    pub(crate) body: Vec<u8>,
    /// True if the call changed something.
    pub(crate) is_write: bool,
}

impl Answer {
    /// Parses the body as JSON. Any other body is a transient fault: proxies return such bodies while they restart.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(&error.to_string()))
    }

    /// Returns the error for a response that cannot be parsed.
    pub(crate) fn malformed(&self, what: &str) -> CallError {
        fault::malformed(&self.line, Some(self.status), self.is_write, what)
    }
}
