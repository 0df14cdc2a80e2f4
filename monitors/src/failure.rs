//! Failures that end a monitor.

use std::error::Error;

/// A failure of an operation, with its causes.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    usage: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Creates a failure of the operation `what`, caused by `source`.
    pub fn new(what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            what: what.into(),
            usage: false,
            source: Some(Box::new(source)),
        }
    }

    /// Creates a failure from a message.
    pub fn from_text(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            usage: false,
            source: None,
        }
    }

    /// Creates a failure of the configuration or the command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::from_text(what)
        }
    }

    /// True if the configuration or the command line is invalid: exit code 2.
    pub fn is_usage(&self) -> bool {
        self.usage
    }

    /// Returns the message and all causes, on one line.
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
