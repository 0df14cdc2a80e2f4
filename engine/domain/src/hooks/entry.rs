//! A hook as it is written in the configuration.
//!
//! ```text
//! exec:/path/to/program argument "another argument" #timeout=10&on_failure=continue
//! https://host/path#timeout=10&retries=2&idempotent=true
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time a program may run beyond its limit: it is terminated first, then killed. Rounded up.
const KILL_AFTER: Duration = Duration::from_secs(7);

/// The maximum length of an entry.
const MAX_ENTRY_LENGTH: usize = 4096;

/// The target of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookTarget {
    /// A program, without a shell.
    Exec {
        /// The absolute path.
        program: String,
        args: Vec<String>,
    },
    /// A POST to a web address.
    Http {
        /// The address, without credentials.
        url: String,
        /// A file with a bearer token.
        token_file: Option<String>,
    },
}

/// The consequence of a hook's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The recovery fails: no step after the hook is started.
    Abort,
    /// The recovery continues, and its message mentions the failure.
    Continue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub target: HookTarget,
    /// The time limit of one run.
    pub timeout: Duration,
    /// The number of retries after a failure; only for an idempotent hook.
    pub retries: u32,
    /// The consequence of a failure.
    pub on_failure: OnFailure,
    /// True if the hook may run again when the result of a run is unknown.
    pub idempotent: bool,
}

/// The values for a hook that does not set its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub timeout: Duration,
    pub on_failure: OnFailure,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            on_failure: OnFailure::Abort,
        }
    }
}

/// The reason why an entry is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {help}")]
pub struct EntryError {
    /// The problem.
    pub why: String,
    /// The remedy.
    pub help: String,
}

impl EntryError {
    pub(super) fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            help: help.into(),
        }
    }
}

impl Hook {
    /// True if an entry is a hook and not a built-in step.
    pub fn is_hook(entry: &str) -> bool {
        ["exec:", "http:", "https:"]
            .iter()
            .any(|scheme| entry.starts_with(scheme))
    }

    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// Fails if the entry is invalid. The error does not repeat an address, which may contain a secret.
    pub fn parse(entry: &str, defaults: Defaults) -> Result<Self, EntryError> {
        if entry.len() > MAX_ENTRY_LENGTH {
            return Err(EntryError::new(
                "a hook is too long",
                format!("at most {MAX_ENTRY_LENGTH} bytes"),
            ));
        }
        if entry.chars().any(char::is_control) {
            return Err(EntryError::new(
                "a hook contains a control character",
                "write it on one line, with blanks between the arguments",
            ));
        }
        let mut hook = Self {
            target: HookTarget::Exec {
                program: String::new(),
                args: Vec::new(),
            },
            timeout: defaults.timeout,
            retries: 0,
            on_failure: defaults.on_failure,
            idempotent: false,
        };
        let options = if let Some(line) = entry.strip_prefix("exec:") {
            let (split_words, options) = split_words(line)?;
            hook.target = program(split_words)?;
            options
        } else {
            let (url, options) = entry.split_once('#').unwrap_or((entry, ""));
            check_url(url)?;
            hook.target = HookTarget::Http {
                url: url.to_owned(),
                token_file: None,
            };
            options.to_owned()
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            hook.set(option)?;
        }
        if hook.retries > 0 && !hook.idempotent {
            return Err(EntryError::new(
                "a hook has retries and is not idempotent",
                "write idempotent=true if it may be run more than once, or remove retries",
            ));
        }
        Ok(hook)
    }

    fn set(&mut self, option: &str) -> Result<(), EntryError> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = |help: &str| Err(EntryError::new(format!("a hook's {key} is wrong"), help));
        match key {
            "timeout" => match seconds(value) {
                Some(timeout) => self.timeout = timeout,
                None => return wrong("write seconds between 0.1 and 3600"),
            },
            "retries" => match value.parse() {
                Ok(retries) if retries <= 10 => self.retries = retries,
                Ok(_) | Err(_) => return wrong("write a number between 0 and 10"),
            },
            "on_failure" => match value {
                "abort" => self.on_failure = OnFailure::Abort,
                "continue" => self.on_failure = OnFailure::Continue,
                _ => return wrong("write abort or continue"),
            },
            "idempotent" => match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "on" | "yes" => self.idempotent = true,
                "false" | "0" | "off" | "no" => self.idempotent = false,
                _ => return wrong("write true or false"),
            },
            "token_file" => match &mut self.target {
                HookTarget::Http { token_file, .. } if value.starts_with('/') => {
                    *token_file = Some(value.to_owned());
                }
                HookTarget::Http { .. } => return wrong("write an absolute path"),
                HookTarget::Exec { .. } => return wrong("it is for http(s) hooks only"),
            },
            _ => {
                return Err(EntryError::new(
                    format!("unknown hook option {key:?}"),
                    "write timeout, retries, on_failure, idempotent or token_file after the #, with & between them",
                ));
            }
        }
        Ok(())
    }

    /// Returns the display name: the program without its arguments, or the address without its query, because these may be
    /// long or confidential.
    pub fn name(&self) -> String {
        match &self.target {
            HookTarget::Exec { program, .. } => format!("exec:{program}"),
            HookTarget::Http { url, .. } => url.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    /// Returns the time after the intent in which a run whose end is unknown may still be running or take effect. `hold` is
    /// the extra time for which a proxy may hold a request.
    pub(crate) fn may_run_for(&self, hold: Duration) -> Duration {
        let more = match &self.target {
            HookTarget::Exec { .. } => KILL_AFTER,
            HookTarget::Http { .. } => hold,
        };
        // The intent may be half a second older than the run.
        self.timeout + more + Duration::from_secs(1)
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    (0.1..=3600.0)
        .contains(&number)
        .then(|| Duration::try_from_secs_f64(number).ok())
        .flatten()
}

fn program(split_words: Vec<String>) -> Result<HookTarget, EntryError> {
    let mut split_words = split_words.into_iter();
    let program = split_words.next().unwrap_or_default();
    if !program.starts_with('/') || program.ends_with('/') {
        return Err(EntryError::new(
            "an exec hook needs the absolute path of a program",
            "write exec:/path/to/program",
        ));
    }
    Ok(HookTarget::Exec {
        program,
        args: split_words.collect(),
    })
}

fn check_url(url: &str) -> Result<(), EntryError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() || url.contains(char::is_whitespace) || url.contains('\\') {
        return Err(EntryError::new(
            "a hook's address is not a URL with a host",
            "write https://host/path",
        ));
    }
    if authority.contains('@') {
        return Err(EntryError::new(
            "a hook's address contains credentials",
            "write the bearer token into a file that only the engine can read, and its path after #token_file=",
        ));
    }
    Ok(())
}

/// Splits a command line into words at unquoted blanks. A word that starts with an unquoted `#` starts the hook's options.
fn split_words(line: &str) -> Result<(Vec<String>, String), EntryError> {
    let mut split_words = Vec::new();
    let mut argument: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '#') if argument.is_none() => {
                return Ok((split_words, chars.as_str().trim_end().to_owned()));
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                argument.get_or_insert_default();
            }
            (None, ' ') => split_words.extend(argument.take()),
            (None | Some('"'), '\\') => {
                let Some(next) = chars.next() else {
                    return Err(open_ended("a backslash at its end"));
                };
                argument.get_or_insert_default().push(next);
            }
            (None | Some(_), _) => argument.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(open_ended("an unclosed quotation mark"));
    }
    split_words.extend(argument);
    Ok((split_words, String::new()))
}

fn open_ended(what: &str) -> EntryError {
    EntryError::new(
        format!("a hook's command line has {what}"),
        "close it, or put a backslash before it",
    )
}

#[cfg(test)]
mod tests;
