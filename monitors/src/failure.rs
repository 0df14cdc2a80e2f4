//! Why a monitor ended.

use std::error::Error;

/// A failure, told from the outside in.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    usage: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// `what` was tried, and `source` came of it.
    pub fn new(what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            what: what.into(),
            usage: false,
            source: Some(Box::new(source)),
        }
    }

    /// All there is to say.
    pub fn told(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            usage: false,
            source: None,
        }
    }

    /// The configuration or the command line is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::told(what)
        }
    }

    /// Whether the configuration or the command line is wrong: exit code 2.
    pub fn is_usage(&self) -> bool {
        self.usage
    }

    /// It and everything below it, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut below = self.source();
        while let Some(error) = below {
            text.push_str(": ");
            text.push_str(&error.to_string());
            below = error.source();
        }
        text
    }
}
