//! Refusals of the model: with the API's status and message.

use http::StatusCode;

/// A request Nova refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }

    pub(crate) fn forbidden(rule: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            message: format!("Policy doesn't allow {rule} to be performed."),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: message.into(),
        }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            message: message.into(),
        }
    }
}

/// The caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) project_id: String,
    pub(crate) admin: bool,
}

impl Caller {
    /// Refuses every caller except admins.
    pub(crate) fn require_admin(&self, rule: &str) -> Result<(), Refusal> {
        if self.admin {
            Ok(())
        } else {
            Err(Refusal::forbidden(rule))
        }
    }
}
