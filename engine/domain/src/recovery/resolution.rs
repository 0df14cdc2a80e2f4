//! Statements of operators about single instances.

use super::action::APPROVAL_LIFETIME;
use crate::id::ServerId;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// An operator's statement about one instance.
    ResolutionKind {
        /// The instance runs on that host.
        Success = "success",
        /// The instance does not run on that host, or the request to Nova will have no effect.
        Failure = "failure",
        /// The request is to be repeated where that is safe.
        Retry = "retry",
        /// The instance is to be left alone.
        Ignore = "ignore",
    }
}

impl ResolutionKind {
    /// Returns the resolution as operators type it and as texts for them name it, with the host. The stored value may differ.
    #[must_use]
    pub fn verb(self, on: Option<&str>) -> String {
        let (verb, separator) = match self {
            Self::Success => ("running", "-on "),
            Self::Failure => ("not-running", "-on "),
            Self::Retry => ("retry", " on "),
            Self::Ignore => ("dismiss", " on "),
        };
        on.map_or_else(|| verb.to_owned(), |host| format!("{verb}{separator}{host}"))
    }
}

/// An operator's statement about one instance, numbered within its recovery, so that each is processed once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceResolution {
    /// The number, which grows by one with each statement.
    pub number: u64,
    pub server: ServerId,
    pub word: ResolutionKind,
    /// The host that the statement is about.
    pub on: Option<String>,
    /// The author, and the reason.
    pub by: String,
    /// The time, by the database's clock; `None` if an older API has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// True if it was read more than [`APPROVAL_LIFETIME`] after it was given.
    #[serde(skip)]
    pub is_late: bool,
}

impl InstanceResolution {
    /// Returns it as it is read at `now`, by the database's clock. What an operator has seen may have changed since then.
    #[must_use]
    pub fn read_at(self, now: Timestamp) -> Self {
        let lasts = i64::try_from(APPROVAL_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        let is_late = self.at.is_some_and(|at| now.micros_since(at) > lasts);
        Self { is_late, ..self }
    }
}
