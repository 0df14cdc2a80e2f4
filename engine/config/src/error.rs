//! What can be wrong with a configuration, told so that the reader can go and correct it.

use std::{fmt, io, path::PathBuf};

use crate::ini::Origin;

/// One thing that is wrong. Its `Display` begins with the place, as compilers do, so that editors can jump there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read; {help}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What to do.
        help: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what a configuration file can be: too long, or not UTF-8.
    #[error("{}:{line}: {why}; {help}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The first line that is wrong, counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
        /// What to do.
        help: &'static str,
    },
    /// A line is neither section, assignment, continuation nor comment.
    ///
    /// The line itself is not shown: a line that went wrong may hold a password.
    #[error("{file}:{line}: {why}; {help}")]
    Syntax {
        /// The file as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// An option has a value that it cannot have.
    #[error("{origin}: [{section}] {option} = {value}: {why}; {help}")]
    Value {
        /// Where the value was written.
        origin: Origin,
        /// The section.
        section: String,
        /// The option.
        option: String,
        /// The value, masked when it is a secret.
        value: String,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// An option has no value and no default.
    #[error("[{section}] {option} is not set; {help}")]
    Missing {
        /// The section.
        section: String,
        /// The option.
        option: String,
        /// What to do.
        help: String,
    },
}

/// All that is wrong, in the order in which it was found. Never empty.
///
/// `Display` prints one problem per line, each with its cause (an IO error, say) behind a colon: the list is the last
/// stop before the operator.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Ok` when there is nothing to report.
    pub(crate) fn check(problems: Vec<ConfigError>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
            if let Some(cause) = std::error::Error::source(problem) {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
