//! The HTTP client and its answers.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use tachi_keystone::{Cause, Failure, SetupError};

use crate::error::{CallFailure, Class, Service};

/// Largest body to read, in bytes: a page of 1000 hosts is about 0.5 MB.
pub(crate) const BODY_LIMIT: usize = 4 << 20;

pub(crate) fn client(options: &tachi_keystone::Options) -> Result<Client, SetupError> {
    let trust = options.tls.load(&options.auth_url)?;
    trust
        .builder()
        .user_agent(options.user_agent)
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        // Apache closes idle connections after 5 s. A request on a connection that is being closed fails, and it is
        // unknown whether the server read it.
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_max_idle_per_host(2)
        .build()
        .map_err(SetupError::Client)
}

/// Converts a request without an answer.
pub(crate) fn no_answer(line: &str, error: reqwest::Error) -> CallFailure {
    let late = error.is_timeout();
    silence(line, late, &tachi_text::chain(&error.without_url()))
}

fn silence(line: &str, late: bool, why: &str) -> CallFailure {
    let how = if late { "no answer in time" } else { "no answer" };
    CallFailure::of(Class::Unreachable, line, format!("{how}: {why}"))
}

/// Converts a failed login. `config_source` is the place where the user configured the credentials.
pub(crate) fn login_failure(failure: &Failure, config_source: &str) -> CallFailure {
    let (line, text) = (Failure::REQUEST_LINE, &failure.text);
    let failed = match failure.cause {
        Cause::Unanswered { late, .. } => silence(line, late, text),
        Cause::Malformed(_) => CallFailure::of(Class::Unreachable, line, format!("invalid answer: {text}")),
        Cause::Refused(status) => {
            let barred = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
            let class = if barred { Class::Barred } else { Class::Unreachable };
            let hint = match status {
                StatusCode::UNAUTHORIZED => {
                    format!("; check user, password, project and domains in {config_source}")
                }
                StatusCode::NOT_FOUND => format!("; check auth_url in {config_source}"),
                _ => String::new(),
            };
            // Keystone's text is a sentence, which the hint continues.
            let text = if hint.is_empty() {
                text
            } else {
                text.trim_end_matches('.')
            };
            CallFailure::of(class, line, format!("{}: {text}{hint}", status.as_u16()))
        }
    };
    let refused = matches!(failure.cause, Cause::Refused(_));
    // A 404 of a wrong `auth_url` says nothing about the API, whose own 404 names an object or a path.
    let status = failure
        .status()
        .filter(|status| refused && *status != StatusCode::NOT_FOUND);
    CallFailure {
        status: status.map(|status| status.as_u16()),
        service: Service::Keystone,
        ..failed
    }
}
