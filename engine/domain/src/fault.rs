//! Failures of calls to other services, as far as decisions need them.

use serde::{Deserialize, Serialize};

/// The expected effect of a retry, which retry code checks instead of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// A retry may succeed soon: connect error, time-out, 429, 5xx.
    Transient,
    /// A retry fails in the same way for this object: 400, 404, 403 of one server.
    Permanent,
    /// The object is in another state than expected: read it again and decide again.
    Conflict,
    /// Every call to this service fails until an operator repairs it: wrong credentials, missing rights.
    Fatal,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The expected effect of a retry.
    pub class: FaultClass,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// True if the call may have taken effect nevertheless (time-out, broken connection, 5xx): then the effect has to be
    /// checked before a retry.
    pub maybe_done: bool,
    /// One line for operators: service, method, path, status, the service's own message, its request id.
    pub text: String,
}

impl Fault {
    /// True if the service itself reports that the object does not exist. A proxy's 404 does not count: it is transient.
    pub fn is_gone(&self) -> bool {
        self.status == Some(404) && self.class == FaultClass::Permanent
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
