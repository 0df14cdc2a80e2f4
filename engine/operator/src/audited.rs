//! Entries of the audit log before and after a change by this process.

use tachi_engine::ports::{AuditEntry, AuditSink};

use crate::failure::Failure;

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
