//! What went wrong, and what it means for trying again.

use std::path::PathBuf;
use std::time::Duration;

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// `auth_url` is none.
    #[error("auth_url {url:?}: {why}")]
    AuthUrl {
        /// What was given, without credentials.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificates, or not what belongs together.
    #[error("{}: no usable certificate", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The HTTP client cannot be made.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

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
