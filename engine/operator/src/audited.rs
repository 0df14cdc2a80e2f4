//! Entries of the audit log before and after a change by this process.

use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink};

use crate::actions::ActionError;
use crate::failure::Failure;

/// An operator, on a controller or behind an API request, whose actions are written to the audit log.
pub struct AuditedOperator<'a> {
    /// The audit log, which is written before an action.
    pub audit: &'a dyn AuditSink,
    /// The operator, with the reason in parentheses if one was given.
    pub by: String,
    /// The id of the API request, if there is one.
    pub request: Option<String>,
}

impl AuditedOperator<'_> {
    /// Writes the intent to disk before anything else is written.
    pub(crate) async fn intend(
        &self,
        mut entry: AuditEntry,
        text: &str,
        not_done: &'static str,
    ) -> Result<(), ActionError> {
        entry.phase = AuditPhase::Intent;
        entry.operator = Some(self.by.clone());
        entry.text = match &self.request {
            Some(request) => format!("{text} ({request})"),
            None => text.to_owned(),
        };
        let written = self.audit.write(entry).await;
        written.map_err(|source| ActionError::Unaudited { not_done, source })
    }

    /// Writes the result. A failure is returned as text and not as an error, because the action itself has succeeded.
    pub(crate) async fn conclude(
        &self,
        mut entry: AuditEntry,
        result: AuditResult,
        text: String,
    ) -> Option<String> {
        entry.phase = AuditPhase::Outcome;
        entry.operator = Some(self.by.clone());
        entry.result = Some(result);
        entry.text = text;
        let error = self.audit.write(entry).await.err()?;
        Some(format!(
            "its outcome is not in the audit log: {error}: {}",
            error.source
        ))
    }
}

/// Writes the intent to the audit log, which must be on disk before anything is done.
///
/// # Errors
///
/// The audit log cannot be written; the text begins with `not_done`.
pub async fn before(audit: &dyn AuditSink, entry: AuditEntry, not_done: &str) -> Result<(), Failure> {
    let written = audit.write(entry).await;
    written.map_err(|error| {
        let source = error.source.to_string();
        Failure::from_text(format!("{not_done}: {error}: {source}"))
    })
}

/// Writes the outcome. A failed write is only a note, because the action itself has succeeded.
pub async fn after(audit: &dyn AuditSink, entry: AuditEntry, note: fn(&str)) {
    if let Err(error) = audit.write(entry).await {
        note(&format!(
            "tachi: its outcome is not in the audit log: {error}: {}",
            error.source
        ));
    }
}
