//! Failure of a command or of a job, with the reason for people.

use std::error::Error;
use std::fmt::Display;

use crate::actions::ActionError;

/// Turns a refused or failed action into a failure with the action's own text.
impl From<ActionError> for Failure {
    fn from(unsaid: ActionError) -> Self {
        Self::unsaid("writing the action", unsaid)
    }
}

/// The failure of a command or of a job.
#[derive(Debug)]
pub struct Failure {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    usage: bool,
}

impl Failure {
    /// Describes an attempt that failed.
    pub fn new(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
            usage: false,
        }
    }

    /// Describes a refused or failed action; `writing` is what was tried when the database failed.
    pub fn unsaid(writing: &str, unsaid: ActionError) -> Self {
        match unsaid {
            ActionError::Unknown(why) | ActionError::Refused(why) => Self::from_text(why),
            ActionError::Ambiguous(why) => Self::usage(why),
            ActionError::Unaudited { not_done, source } => {
                Self::from_text(format!("{not_done}: {source}: {}", source.source))
            }
            ActionError::Failed(error) => Self::new(writing, error),
        }
    }

    /// Describes a failure without an underlying error.
    pub fn from_text(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
            usage: false,
        }
    }

    /// Describes a mistake of usage or configuration.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
            usage: true,
        }
    }

    /// Lists the configuration's problems, one per line.
    pub fn config(errors: &dyn Display) -> Self {
        Self {
            what: errors.to_string(),
            source: None,
            usage: true,
        }
    }

    /// Turns it into a plain failure, for programs that do not distinguish usage from failure.
    #[must_use]
    pub fn not_usage(self) -> Self {
        Self { usage: false, ..self }
    }

    /// Turns it into a mistake of usage or configuration.
    #[must_use]
    pub fn of_usage(self) -> Self {
        Self { usage: true, ..self }
    }

    /// Prefixes it with what was being done.
    #[must_use]
    pub fn below(mut self, what: &str) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// True if the exit code is that of usage and configuration.
    pub fn is_usage(&self) -> bool {
        self.usage
    }

    /// Returns the whole chain of errors in one line.
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut next: Option<&(dyn Error + 'static)> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        };
        while let Some(error) = next {
            let cause = error.to_string();
            // Some libraries repeat the cause in their own text.
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            next = error.source();
        }
        text
    }
}
