//! What goes wrong with Keystone.

use std::path::PathBuf;

use reqwest::StatusCode;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Keystone's address is none.
    #[error("using {url:?} as auth_url: {why}")]
    AuthUrl {
        /// The address, without credentials.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A service's address is none.
    #[error("using {url:?} as the API's address: {why}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read.
    #[error("reading {what} {}", path.display())]
    File {
        /// Which file it is, for people.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The CA file has something else in it.
    #[error("reading the certificates in {}", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The CA file has no certificate in it.
    #[error("there is no PEM certificate in {}", path.display())]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The files are no certificate with its key.
    #[error("using the certificate in {} with the key in {}", certificate.display(), key.display())]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No answer came.
    Unanswered {
        /// It was waited for as long as may be.
        late: bool,
        /// No request could be made of what is configured.
        senseless: bool,
    },
    /// Keystone said no.
    Refused(StatusCode),
    /// An answer that makes no sense.
    Senseless(StatusCode),
}

/// No token. Its text holds no secret.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// What Keystone or the connection said, on one line.
    pub text: String,
    /// The id of the request, as Keystone gave it.
    pub request_id: Option<String>,
    /// What the HTTP client said, for whoever asked and not for those who waited with it.
    pub source: Option<reqwest::Error>,
}

impl Failure {
    /// What is logged of the request.
    pub const LINE: &str = "keystone: POST /auth/tokens";

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
            senseless: error.is_builder(),
        };
        let text = tachi_text::one_line(&tachi_text::chain(&error), &[]);
        Self {
            source: Some(error),
            ..Self::new(cause, text)
        }
    }

    /// For those who waited with whoever asked.
    pub(crate) fn shared(&self) -> Self {
        Self {
            cause: self.cause,
            text: self.text.clone(),
            request_id: self.request_id.clone(),
            source: None,
        }
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self.cause {
            Cause::Unanswered { .. } => None,
            Cause::Refused(status) | Cause::Senseless(status) => Some(status),
        }
    }

    /// Whether the same request will be refused again.
    pub fn lasts(&self) -> bool {
        let Cause::Refused(status) = self.cause else {
            return false;
        };
        let passes = matches!(status.as_u16(), 406 | 408 | 413 | 425 | 429);
        status.is_redirection() || status.is_client_error() && !passes
    }
}
