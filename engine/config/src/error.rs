//! Errors of a configuration, each with its remedy.

use std::{fmt, io, path::PathBuf};

use crate::ini::Origin;

/// One problem. The `Display` form starts with the place, like a compiler's message, so that editors can jump there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read; {help}", path.display())]
    Read {
        path: PathBuf,
        help: &'static str,
        #[source]
        source: io::Error,
    },
    /// A file cannot be a configuration file: it is too long, or not UTF-8.
    #[error("{}:{line}: {why}; {help}", path.display())]
    Content {
        path: PathBuf,
        /// The first bad line, counted from 1.
        line: usize,
        why: String,
        help: &'static str,
    },
    /// A line is neither section, assignment, continuation nor comment.
    ///
    /// The line itself is not shown, because a bad line may contain a password.
    #[error("{file}:{line}: {why}; {help}")]
    Syntax {
        /// The file as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
        why: &'static str,
        help: &'static str,
    },
    /// An option has an invalid value.
    #[error("{origin}: [{section}] {option} = {value}: {why}; {help}")]
    Value {
        origin: Origin,
        section: String,
        option: String,
        /// The value, masked if it is a secret.
        value: String,
        why: String,
        help: String,
    },
    /// An option has no value and no default.
    #[error("[{section}] {option} is not set; {help}")]
    Missing {
        section: String,
        option: String,
        help: String,
    },
}

/// All problems, in the order in which they were found. Never empty.
///
/// `Display` prints one problem per line, each followed by its causes, such as an I/O error: the list is printed as it
/// is, and no later stage adds them.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Returns `Ok` if there is no problem.
    pub(crate) fn check(problems: Vec<ConfigError>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

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
