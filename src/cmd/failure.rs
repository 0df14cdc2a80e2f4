//! Why a command has failed, and with which exit code.

use std::error::Error;

use tachi_config::ConfigErrors;
use tachi_operator::words::Unsaid;

/// What was not said is told in its own words.
impl From<Unsaid> for Failure {
    fn from(unsaid: Unsaid) -> Self {
        Self::unsaid("writing the word", unsaid)
    }
}

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    usage: bool,
}

impl Failure {
    /// Something was tried and failed.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
            usage: false,
        }
    }

    /// Something was not said; `writing` is what was tried when the database failed.
    pub(crate) fn unsaid(writing: &str, unsaid: Unsaid) -> Self {
        match unsaid {
            Unsaid::Unknown(why) | Unsaid::Refused(why) => Self::told(why),
            Unsaid::Ambiguous(why) => Self::usage(why),
            Unsaid::Unaudited { not_done, source } => {
                Self::told(format!("{not_done}: {source}: {}", source.source))
            }
            Unsaid::Failed(error) => Self::new(writing, error),
        }
    }

    /// Something is wrong that has no error below it.
    pub(crate) fn told(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
            usage: false,
        }
    }

    /// Usage or configuration.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
            usage: true,
        }
    }

    /// The configuration's problems, one a line.
    pub(crate) fn config(errors: &ConfigErrors) -> Self {
        Self {
            what: errors.to_string(),
            source: None,
            usage: true,
        }
    }

    /// The same, for programs that do not tell usage from failure.
    pub(crate) fn not_usage(self) -> Self {
        Self { usage: false, ..self }
    }

    /// The same, for a mistake of usage or configuration.
    pub(crate) fn of_usage(self) -> Self {
        Self { usage: true, ..self }
    }

    /// The same, with what was done before it.
    pub(crate) fn below(mut self, what: &str) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// Whether the exit code is that of usage and configuration.
    pub(crate) fn is_usage(&self) -> bool {
        self.usage
    }

    /// The whole chain in one line.
    pub(crate) fn chain(&self) -> String {
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
