//! Errors of Keystone requests.

use std::path::PathBuf;

use reqwest::StatusCode;

/// An error in setting up a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address of Keystone is invalid.
    #[error("using {url:?} as auth_url: {why}")]
    AuthUrl {
        /// The address, without credentials.
        url: String,
        /// The reason.
        why: String,
    },
    /// The address of a service is invalid.
    #[error("using {url:?} as the API's address: {why}")]
    Address {
        /// The address.
        url: String,
        /// The reason.
        why: String,
    },
    /// A file cannot be read.
    #[error("reading {what} {}", path.display())]
    File {
        /// The kind of file, for messages.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// The CA file is not a list of certificates.
    #[error("reading the certificates in {}", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: reqwest::Error,
    },
    /// The CA file contains no certificate.
    #[error("there is no PEM certificate in {}", path.display())]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The files do not contain a certificate with its key.
    #[error("using the certificate in {} with the key in {}", certificate.display(), key.display())]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The parser's error.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The cause of a failed token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There was no answer.
    Unanswered {
        /// True if the request timed out.
        late: bool,
        /// True if the configured values do not form a valid request.
        malformed: bool,
    },
    /// Keystone refused the request.
    Refused(StatusCode),
    /// Keystone sent an invalid answer.
    Malformed(StatusCode),
}

/// A failed token request. Its text contains no secret.
#[derive(Debug)]
pub struct Failure {
    /// The cause.
    pub cause: Cause,
    /// The message of Keystone or of the connection, on one line.
    pub text: String,
    /// The request id that Keystone returned.
    pub request_id: Option<String>,
    /// The HTTP client's error: for the caller that sent the request, not for callers that waited for it.
    pub source: Option<reqwest::Error>,
}

impl Failure {
    /// The request as named in logs.
    pub const REQUEST_LINE: &str = "keystone: POST /auth/tokens";

    pub(crate) fn new(cause: Cause, text: String) -> Self {
        Self {
            cause,
            text,
            request_id: None,
            source: None,
        }
    }

    pub(crate) fn unanswered(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let cause = Cause::Unanswered {
            late: error.is_timeout(),
            malformed: error.is_builder(),
        };
        let text = tachi_text::one_line(&tachi_text::chain(&error), &[]);
        Self {
            source: Some(error),
            ..Self::new(cause, text)
        }
    }

    /// Copies the failure for callers that waited for the same request.
    pub(crate) fn shared(&self) -> Self {
        Self {
            cause: self.cause,
            text: self.text.clone(),
            request_id: self.request_id.clone(),
            source: None,
        }
    }

    /// Returns the status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self.cause {
            Cause::Unanswered { .. } => None,
            Cause::Refused(status) | Cause::Malformed(status) => Some(status),
        }
    }

    /// True if Keystone will refuse the same request again.
    pub fn is_permanent(&self) -> bool {
        let Cause::Refused(status) = self.cause else {
            return false;
        };
        let passes = matches!(status.as_u16(), 406 | 408 | 413 | 425 | 429);
        status.is_redirection() || status.is_client_error() && !passes
    }
}
