//! What went wrong, and what it means for trying again.

use std::time::Duration;

/// What a failure means for trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// Nobody answered, or nobody who could do anything: nothing else will fare better now.
    Away,
    /// We were not let in: wrong credentials, a missing role, or a service that is not in the catalogue.
    Barred,
    /// The API asked for patience.
    Busy,
    /// The API failed over this one; others may fare better.
    Broken,
    /// The API finds it wrong: it knows no such host (yet), or will never take it. The two look the same.
    Rejected,
}

impl Class {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Barred => "barred",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Rejected => "rejected",
        }
    }
}

/// A call that failed. Its text fits on a line and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failed {
    /// What it means.
    pub class: Class,
    /// What was tried and what came of it.
    pub text: String,
    /// When the API wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
}

impl Failed {
    pub(crate) fn new(class: Class, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
            retry_after: None,
            status: None,
        }
    }
}
