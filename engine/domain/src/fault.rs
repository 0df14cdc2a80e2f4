//! What went wrong with a call to the outside world, as far as a decision needs to know.

use serde::{Deserialize, Serialize};

/// What retrying can be expected to do. Retry code looks at this only, never at texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// May be better in a moment: connect error, time-out, 429, 5xx.
    Transient,
    /// Will stay as it is for this object: 400, 404, 403 of one server.
    Permanent,
    /// The object is in another state than thought: look again and decide anew.
    Conflict,
    /// Nothing of this service will work until somebody repairs something: wrong credentials, missing rights.
    Fatal,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Whether the same call may be tried again.
    pub class: FaultClass,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Whether the call may have taken effect all the same (time-out, broken connection, 5xx): then it must be looked
    /// for before it is repeated.
    pub maybe_done: bool,
    /// One line for a person: service, method, path, status, the service's own message, its request id.
    pub text: String,
}

impl Fault {
    /// Whether the service itself says that there is no such object. A proxy's 404 is no such word: it is in passing.
    pub fn is_gone(&self) -> bool {
        self.status == Some(404) && self.class == FaultClass::Permanent
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
